"""Equal seeds, equal models: on refit, in a new process, after saving, after kill -9 and resume, on TensorFlow and JAX."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import models
from tabdl.testing import mixed_table
from tabdl.training import program as programs

EPOCHS = 4
SMALL = {
    "mlp": {"units": (8,), "norm": "batch", "dropout": 0.3},
    "embedding": {"units": (8,), "members": 2},
    "resnet": {"blocks": 1, "width": 8},
    "tabm": {"members": 2, "width": 8, "bins": 6},
    "fttransformer": {"blocks": 1, "width": 8, "bins": 6},
    "dcn": {"units": (8,), "bins": 6},
    "cnn": {"blocks": 1, "width": 8, "bins": 6},
    "rnn": {"width": 8, "bins": 6},
}

# Every child process reads models.json, fits and loads what it names, writes predictions, and last may kill itself in a fit.
CHILD = """
import json, os, signal, sys
from pathlib import Path
import keras, numpy as np
import tabdl
from tabdl import models
from tabdl.testing import mixed_table
from tabdl.training import checkpoint

folder, out, kill = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
fits, loads = (text.split() for text in sys.argv[4:])
small, epochs = json.loads((folder / "models.json").read_text())
X = mixed_table()
y = (X["number"] > 0).astype(int)
checkpoint.BUDGET = float("inf")  # write every epoch


def make(name, **more):
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in small[name].items()}
    return models.find(name, "classifier")(**params, epochs=epochs, random_state=7, **more)


class Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


found = {}
for name in fits:
    found["fit/" + name] = make(name).fit(X, y).predict_proba(X)
    found["again/" + name] = make(name).fit(X, y).predict_proba(X)
for name in loads:
    found["load/" + name] = tabdl.load(folder / (name + ".tabdl")).predict_proba(X)
if kill == "resume":
    found["resume/mlp"] = make("mlp", checkpoint=folder / "killed.npz").fit(X, y).predict_proba(X)
np.savez(folder / out, **found)
if kill == "kill":
    make("mlp", checkpoint=folder / "killed.npz", callbacks=[Kill()]).fit(X, y)
"""


def table() -> tuple[pd.DataFrame, pd.Series]:
    X = mixed_table()
    return X, (X["number"] > 0).astype(int)


def make(name: str, **more):
    return models.find(name, "classifier")(**SMALL[name], epochs=EPOCHS, random_state=7, **more)


def child(folder: Path, out: str, kill: str, fits: str, loads: str, backend: str = "tensorflow") -> dict[str, np.ndarray]:
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", CHILD, str(folder), out, kill, fits, loads]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == (-signal.SIGKILL if kill == "kill" else 0), done.stderr[-2000:]
    with np.load(folder / out) as file:
        return dict(file)


@pytest.fixture(scope="module")
def here():
    """The models of this process, and their predictions."""
    X, y = table()
    fitted = {name: make(name).fit(X, y) for name in SMALL}
    return fitted, {name: model.predict_proba(X) for name, model in fitted.items()}


@pytest.fixture(scope="module")
def there(here, tmp_path_factory):
    """What another process made of the same seeds and of the files saved here; it then died in the middle of a fit."""
    folder = tmp_path_factory.mktemp("there")
    (folder / "models.json").write_text(json.dumps([SMALL, EPOCHS]))
    for name, model in here[0].items():
        tabdl.save(model, folder / f"{name}.tabdl")
    return folder, child(folder, "out.npz", "kill", "tabm mlp embedding", " ".join(SMALL))


@pytest.mark.parametrize("name", SMALL)
def test_refit_gives_the_same_to_the_bit_whatever_ran_before(name, here):
    X, y = table()
    tabdl.MLPRegressor(units=(5,), epochs=1, random_state=1).fit(X, X["number"]).predict(X)
    make(name).set_params(dropout=0.5, learning_rate=0.1, optimizer="sgd").fit(X, y)
    model = make(name).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), here[1][name])
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), here[1][name])
    assert (make(name).set_params(random_state=8).fit(X, y).predict_proba(X) != here[1][name]).any()


def test_compiling_anew_gives_the_same_to_the_bit(here, monkeypatch):
    X, y = table()
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    make("mlp").set_params(dropout=0.6, learning_rate=0.1).fit(X, y)
    np.testing.assert_array_equal(make("mlp").fit(X, y).predict_proba(X), here[1]["mlp"])


def test_history_is_reproduced_too(here):
    X, y = table()
    history = make("mlp").fit(X, y).history_
    for key in ("epoch", "loss", "learning_rate", "val_log_loss"):
        assert history[key] == here[0]["mlp"].history_[key], key


def test_the_global_random_states_are_neither_used_nor_changed(here):
    X, y = table()
    keras.utils.set_random_seed(1)
    expected = random.random(), np.random.random(), keras.ops.convert_to_numpy(keras.random.uniform((3,))).tolist()
    keras.utils.set_random_seed(1)
    model = make("mlp").fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), here[1]["mlp"])
    tabdl.MLPClassifier(units=(4,), epochs=1).fit(X, y)
    assert (random.random(), np.random.random(), keras.ops.convert_to_numpy(keras.random.uniform((3,))).tolist()) == expected


def test_without_a_seed_models_differ():
    X, y = table()
    first, second = (make("mlp").set_params(random_state=None).fit(X, y).predict_proba(X) for _ in range(2))
    assert (first != second).any()


def test_a_generator_moves_on_from_fit_to_fit(here):
    X, y = table()
    both = [
        [make("mlp").set_params(random_state=s).fit(X, y).predict_proba(X) for _ in range(2)]
        for s in map(np.random.RandomState, (3, 3))
    ]
    np.testing.assert_array_equal(both[0], both[1])
    assert (both[0][0] != both[0][1]).any()


def test_fits_in_threads_do_not_disturb_each_other(here):
    X, y = table()
    found, names = {}, ["mlp", "tabm", "mlp", "resnet"]

    def work(place):
        found[place] = make(names[place]).fit(X, y).predict_proba(X)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[place], here[1][name])


@pytest.mark.parametrize("name", SMALL)
def test_saved_and_loaded_is_the_same_to_the_bit(name, here, there):
    folder, _ = there
    X, _ = table()
    np.testing.assert_array_equal(tabdl.load(folder / f"{name}.tabdl").predict_proba(X), here[1][name])


def test_a_new_process_fits_and_loads_the_same_to_the_bit(here, there):
    _, found = there
    for name in ("tabm", "mlp", "embedding"):
        np.testing.assert_array_equal(found[f"fit/{name}"], here[1][name])
        np.testing.assert_array_equal(found[f"again/{name}"], here[1][name])
    for name in SMALL:
        np.testing.assert_array_equal(found[f"load/{name}"], here[1][name])


def test_killed_and_resumed_is_the_same_to_the_bit(here, there):
    folder, _ = there
    X, y = table()
    path = folder / "killed.npz"
    with np.load(path) as file:
        stood = json.loads(str(file["plain"]))
    assert stood["epoch"] == 2, "the process died in its third epoch"
    model = make("mlp", checkpoint=path).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), here[1]["mlp"])
    assert model.history_["seconds"][:2] == stood["history"]["seconds"], "the first epochs were not run again"
    assert model.history_["loss"] == here[0]["mlp"].history_["loss"]
    assert not path.exists()


@pytest.mark.parametrize("changed", [{"learning_rate": 0.1}, {"units": (9,)}, {"random_state": 8}])
def test_a_checkpoint_of_other_parameters_is_refused(changed, tmp_path):
    from tabdl.training.checkpoint import Checkpoint

    X, y = table()
    path = tmp_path / "fit.npz"
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / (1 - epoch))
    with pytest.raises(ZeroDivisionError):
        make("mlp", checkpoint=path, callbacks=[stop]).fit(X, y)
    assert Checkpoint(path, "").path.exists()
    with pytest.raises(tabdl.errors.ArtifactError, match="other data or parameters; delete it or choose another file"):
        make("mlp", checkpoint=path).set_params(**changed).fit(X, y)
    with pytest.raises(tabdl.errors.ArtifactError, match="other data or parameters"):
        make("mlp", checkpoint=path).fit(X[::-1], y[::-1])


@pytest.fixture(scope="module")
def jax(there):
    """Fits, a load and a death under JAX in one process, a fit and the resume in another."""
    pytest.importorskip("jax", reason="the extra `jax` is not installed")
    folder, _ = there
    (folder / "killed.npz").unlink(missing_ok=True)
    first = child(folder, "jax.npz", "kill", "mlp", "mlp tabm embedding", "jax")
    return first, child(folder, "jax_resumed.npz", "resume", "mlp", "", "jax")


@pytest.mark.parametrize("name", ["mlp", "tabm", "embedding"])
def test_saved_under_tensorflow_loaded_under_jax(name, here, jax):
    expected = here[1][name]
    assert np.abs(jax[0][f"load/{name}"] - expected).max() <= 1e-5 * expected.std()


@pytest.mark.full
def test_every_model_saved_under_tensorflow_loaded_under_jax(here, there):
    pytest.importorskip("jax", reason="the extra `jax` is not installed")
    found = child(there[0], "all.npz", "live", " ".join(SMALL), " ".join(SMALL), "jax")
    for name, expected in here[1].items():
        assert np.abs(found[f"load/{name}"] - expected).max() <= 1e-5 * expected.std(), name
        np.testing.assert_array_equal(found[f"fit/{name}"], found[f"again/{name}"], err_msg=name)


def test_jax_is_reproducible_too(here, jax):
    first, second = jax
    for found in (first["again/mlp"], second["fit/mlp"], second["again/mlp"]):
        np.testing.assert_array_equal(found, first["fit/mlp"])
    np.testing.assert_array_equal(second["resume/mlp"], first["fit/mlp"])
    assert (first["fit/mlp"] != here[1]["mlp"]).any(), "it was the other backend"
