"""A network of your own, as a notebook defines it: in `__main__`, in a folder that Python imports nothing from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEFINITIONS = '''
import keras
import numpy as np

import tabdl
from tabdl import KerasClassifier, TableNetwork, layers, param
from tabdl.testing import mixed_table


class Mine(TableNetwork):
    """One dense layer of my own."""

    width: int = param(16, "size of the layer", low=1, high=64)
    defaults = dict(learning_rate=0.02)

    def forward(self, inputs):
        x = layers.blocks.join(inputs.numbers, inputs.flags, layers.categories.embed(inputs))
        return keras.layers.Dense(self.width, activation="relu")(x)


class MineClassifier(tabdl.Classifier, Mine):
    """My network for classes."""


def forward(inputs):
    x = keras.layers.Dense(16, activation="relu")(inputs.numbers)
    return keras.layers.Dropout(0.1)(x)


table = mixed_table(150)
y = np.where(table["number"] + table["active"] > 0.5, "yes", "no")


def p(model):
    return model.predict_proba(table)
'''

USE = """
import pickle

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

for model in (MineClassifier(epochs=4, random_state=0), KerasClassifier(forward=forward, epochs=4, random_state=0)):
    name = type(model).__name__
    model.fit(table, y)
    copied = clone(model)
    assert copied.get_params() == model.get_params() and not hasattr(copied, "weights_")
    assert np.array_equal(p(copied.fit(table, y)), p(model)), "a clone should fit the same model"
    assert np.array_equal(p(pickle.loads(pickle.dumps(model))), p(model)), "a pickled copy should predict the same"
    grid = {"learning_rate": [1e-6, 0.02]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, scoring="roc_auc", error_score="raise").fit(table, y)
    assert search.best_params_ == {"learning_rate": 0.02}, search.best_params_
    tabdl.save(model, name + ".tabdl")
    np.save(name + ".npy", p(model))

try:
    tabdl.load("MineClassifier.tabdl")
except tabdl.errors.ArtifactError as error:
    assert "classes=[" in str(error), error
else:
    raise AssertionError("an unknown class should be refused")
try:
    tabdl.load("KerasClassifier.tabdl")
except tabdl.errors.ArtifactError as error:
    assert "'forward'" in str(error) and "classes=[forward]" in str(error), error
else:
    raise AssertionError("an unknown function should be refused")
print("made")
"""

LOAD_AND_CHECK = """
for name, own in {"MineClassifier": [MineClassifier], "KerasClassifier": [forward]}.items():
    loaded = tabdl.load(name + ".tabdl", classes=own)
    assert type(loaded).__name__ == name and loaded.get_params()["epochs"] == 4
    assert np.array_equal(p(loaded), np.load(name + ".npy")), "a loaded model should predict the same in a new process"
assert loaded.forward is forward

import tabdl.testing

tabdl.testing.check_network(MineClassifier, width=8)
tabdl.testing.check_network(KerasClassifier, forward=forward)
print("loaded")
"""


def run(code: str, folder: Path) -> str:
    """What the code prints as a script of a new process in `folder`."""
    script = folder / "script.py"
    script.write_text(DEFINITIONS + code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_a_notebook_defines_uses_and_keeps_its_own_network(tmp_path: Path) -> None:
    """clone, pickle, search in two processes, save; then load and the whole contract in a new process."""
    assert "made" in run(USE, tmp_path)
    assert {"MineClassifier.tabdl", "KerasClassifier.tabdl"} <= {file.name for file in tmp_path.iterdir()}
    assert "loaded" in run(LOAD_AND_CHECK, tmp_path)
