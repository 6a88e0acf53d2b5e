"""Neighbors: what the parameters do, and a memory that belongs to the weights it is used with."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from effects import ROWS, X, c, effect, y

import tabdl
from tabdl.errors import ParameterError
from tabdl.layers import blocks
from tabdl.layers.neighbors import SoftVote
from tabdl.layers.numbers import Periodic
from tabdl.models.neighbors import Neighbors
from tabdl.testing import mixed_table
from tabdl.training.train import Training

NeighborsClassifier: Any = tabdl.NeighborsClassifier
NeighborsRegressor: Any = tabdl.NeighborsRegressor
SMALL: dict[str, Any] = {"width": 8, "embedding_width": 4, "epochs": 3, "random_state": 0}
array = keras.ops.convert_to_numpy


def regressor(**params: Any) -> Any:
    return NeighborsRegressor(**SMALL | params)


def classifier(**params: Any) -> Any:
    return NeighborsClassifier(**SMALL | params)


def only(model: keras.Model, kind: type) -> Any:
    (layer,) = [layer for layer in model.layers if isinstance(layer, kind)]
    return layer


def embedded(model: keras.Model, encoder: Any, table: Any) -> np.ndarray:
    """Where rows lie in the space, by the weights of the model."""
    arrays = encoder.encode(table)
    arrays |= {"target": np.zeros((len(table), model.input["target"].shape[1]), np.float32), "weight": np.ones(len(table), "f")}
    z = only(model, SoftVote).input[0]
    return array(keras.Model(model.input, z)(arrays))


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.round(4).T)]


def held_rows(model: keras.Model) -> np.ndarray:
    """Keys and votes of the filled places of the memory."""
    layer = only(model, SoftVote)
    filled = array(layer.log_weight) > -1e6
    return np.hstack([array(layer.keys), array(layer.votes)])[filled]


# ---- parameters ------------------------------------------------------------------------------------------------------


@effect("Neighbors.width", "Neighbors.embedding_width", "Neighbors.sigma")
def test_sizes_of_the_space() -> None:
    model = regressor(width=7, embedding_width=5, sigma=0.02).fit(X, y).model_
    assert only(model, SoftVote).keys.shape[1] == 7
    embedding = only(model, Periodic)
    assert embedding.output.shape == (None, 3 * 5)
    spreads = [
        array(only(regressor(sigma=s, learning_rate=1e-6, epochs=1).fit(X, y).model_, Periodic).frequency).std()
        for s in (0.02, 2)
    ]
    np.testing.assert_allclose(spreads, [0.02, 2], rtol=0.35)  # of 48 numbers


@effect("Neighbors.blocks")
def test_blocks() -> None:
    for count in (0, 3):
        model = regressor(width=6, blocks=count).fit(X, y).model_
        shapes = [tuple(w.shape) for w in model.weights if w.path.endswith("kernel")]
        assert shapes == [(12, 6), *count * [(6, 12), (12, 6)]]


@effect("Neighbors.dropout")
def test_dropout() -> None:
    model = regressor(dropout=0.3).fit(X, y)
    layer = only(model.model_, blocks.Dropout)
    given = np.ones((2_000, 12), np.float32)
    assert (array(layer(given, training=True)) == 0).mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(array(layer(given, training=False)), given)
    assert not [layer for layer in regressor().fit(X, y).model_.layers if isinstance(layer, blocks.Dropout)]


@effect("Neighbors.context")
def test_context(monkeypatch) -> None:
    """The rows that a step shows beside its own; more than there are is an error that says what to do."""
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    order = Training.order
    monkeypatch.setattr(Training, "order", lambda self: shown.append(order(self)) or shown[-1])
    for asked, rows in ((7, 7), (60, 60), ("auto", int(0.3 * 85))):
        shown.clear()
        regressor(context=asked, batch_size=20, epochs=1).fit(X, y)
        keep = shown[0][1][:, :, 0]
        own = 85 // keep.shape[1] + (85 % keep.shape[1] > 0)
        assert keep.shape[2] == own + rows
        assert not keep[:, :, own:].any()
    assert Neighbors.automatic(10**6, 5) == {"context": 4_096, "memory": 8_192}
    message = r"context=85 expects more than 85 training rows, received 85; lower it"
    with pytest.raises(ParameterError, match=message):
        regressor(context=85).fit(X, y)
    with pytest.raises(ParameterError, match="context=66 .* received 66; lower it"):
        regressor(context=66, bagging=3).fit(X, y)


@effect("Neighbors.memory")
def test_memory() -> None:
    """All training rows, or at most so many means of rows that lie near each other."""
    everything = regressor().fit(X, y)
    assert held_rows(everything.model_).shape == (85, 8 + 1)
    few, again, other = (regressor(memory=20, random_state=seed).fit(X, y) for seed in (0, 0, 1))
    votes, kept = held_rows(few.model_)[:, -1], held_rows(everything.model_)[:, -1]
    assert 10 < len(votes) <= 20
    assert not set(votes) <= set(kept), "some stand for several rows"
    assert kept.min() <= votes.min() < votes.max() <= kept.max()
    mass = np.exp(few.weights_["soft_vote_0/log_weight"][: len(votes)])
    assert np.average(votes, weights=mass) == pytest.approx(kept.mean(), abs=1e-4)
    assert mass.sum() == pytest.approx(85, rel=1e-4)
    np.testing.assert_array_equal(held_rows(few.model_), held_rows(again.model_))
    assert set(votes) != set(held_rows(other.model_)[:, -1])
    large = regressor(memory=50_000).fit(X, y)
    assert held_rows(large.model_).shape == (85, 9)
    np.testing.assert_allclose(large.predict(X), everything.predict(X), rtol=1e-4, atol=1e-4)


# ---- the memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [{}, {"members": 2}, {"bagging": 3}])
@pytest.mark.parametrize("held_out", [0.15, 0.0])
def test_stored_keys_are_where_the_rows_lie_by_the_best_weights(copies, held_out):
    """Large steps, and where possible held-out rows that contradict: keys of the last epoch lie elsewhere than the best one's."""
    model = regressor(**copies, epochs=12, schedule="constant", learning_rate=0.1, validation_fraction=held_out)
    held = {"X_val": X[85:], "y_val": -y[85:]} if held_out and "bagging" not in copies else {}
    model.fit(X, y, **held)
    assert not held or model.best_epoch_ < 12
    for i, each in enumerate(model.models_):
        encoder = model.encoders_[i % len(model.encoders_)] if "bagging" in copies else model.encoder_
        rows, everything = held_rows(each), embedded(each, encoder, X)
        distance = np.abs(rows[:, None, :8] - everything[None]).max(axis=2)  # (held, rows)
        nearest = distance.argmin(axis=1)
        assert distance.min(axis=1).max() < 1e-4
        assert len(set(nearest)) == len(rows), "each row is held once"
        scaled = model.target_.encode(y)[nearest]
        np.testing.assert_allclose(rows[:, 8:], scaled, atol=1e-5)


def test_scores_are_those_of_the_weights_of_their_epoch():
    """The score of each epoch is what a fit that ends there gets: the memory is refreshed before it."""
    held = {"X_val": X[70:], "y_val": y[70:]}
    options = {"schedule": "constant", "learning_rate": 0.01, "warmup": 0, "width": 4}
    scores = regressor(epochs=5, **options).fit(X[:70], y[:70], **held).history_["val_rmse"]
    for epochs in (1, 3, 5):
        short = regressor(epochs=epochs, validation_fraction=0, **options).fit(X[:70], y[:70])
        assert np.sqrt(np.mean((short.predict(X[70:]) - y[70:]) ** 2)) == pytest.approx(scores[epochs - 1], rel=1e-4)


def test_held_out_rows_are_not_in_memory():
    strange = y.copy()
    strange[70:] = 1e4
    model = regressor().fit(X[:70], y[:70], X_val=X[70:], y_val=strange[70:])
    assert held_rows(model.model_).shape[0] == 70
    folds = regressor(bagging=4, epochs=1).fit(X, y)
    counts = [len(held_rows(each)) for each in folds.models_]
    assert counts == [75] * 4


def test_out_of_fold_rows_do_not_vote_on_themselves():
    """Neighbours repeat a random target that they hold, and know nothing of one that they do not."""
    rng = np.random.default_rng(0)
    wide, noise = rng.normal(size=(200, 12)), rng.normal(size=200)
    model = NeighborsRegressor(bagging=4, epochs=10, random_state=0).fit(wide, noise)
    assert abs(np.corrcoef(model.out_of_fold_, noise)[0, 1]) < 0.3
    assert np.corrcoef(model.predict(wide), noise)[0, 1] > 0.5


def test_weights_of_rows_count_in_votes():
    weight = np.where(y > np.median(y), 20.0, 1.0)
    plain, pulled = (regressor(learning_rate=1e-6).fit(X, y, w).predict(X) for w in (None, weight))
    assert (pulled > plain).mean() > 0.95
    zero = np.where(np.arange(ROWS) < 60, 1.0, 0.0)
    np.testing.assert_array_equal(regressor().fit(X, y, zero).predict(X), regressor().fit(X[:60], y[:60]).predict(X))


def test_partial_fit_remembers_the_rows_of_the_last_call():
    model = regressor(validation_fraction=0).partial_fit(X[:60], y[:60])
    assert held_rows(model.model_).shape[0] == 60
    model.partial_fit(X[60:70], y[60:70])  # fewer rows than the context of the first call
    np.testing.assert_allclose(np.sort(held_rows(model.model_)[:, -1]), np.sort(model.target_.encode(y[60:70])[:, 0]), atol=1e-5)
    model.partial_fit(X, y)
    assert 30 < held_rows(model.model_).shape[0] <= 60
    with pytest.raises(ParameterError, match="training rows, received 1"):
        model.partial_fit(X[:1], y[:1])


# ---- keeping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [{}, {"members": 2}, {"bagging": 2}, {"members": 2, "bagging": 2}])
def test_saved_and_pickled_models_predict_the_same_to_the_bit(copies, tmp_path):
    table = mixed_table(ROWS)
    model = classifier(**copies).fit(table, c)
    path = tmp_path / "model.tabdl"
    with pytest.warns(UserWarning, match="contains rows of the training table; share it only with people who may see them"):
        tabdl.save(model, path)
    for copied in (tabdl.load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict_proba(table), model.predict_proba(table))
    assert model.contains_rows
    assert manifest(path)["contains_rows"] is True


def manifest(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("manifest.json"))


OTHER_BACKEND = """
import sys, numpy as np, pandas as pd, tabdl, keras
from tabdl.testing import mixed_table
assert keras.backend.backend() == sys.argv[2]
table = mixed_table(100)
np.save(sys.argv[1] + ".npy", tabdl.load(sys.argv[1]).predict_proba(table))
y = table["active"].to_numpy().astype(int)
model = tabdl.NeighborsClassifier(width=8, embedding_width=4, epochs=20, members=2, random_state=0).fit(table, y)
assert model.score(table, y) > 0.8, model.score(table, y)
"""


def test_a_model_of_one_backend_predicts_under_the_other(tmp_path):
    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    pytest.importorskip(other)
    model = classifier(bagging=2).fit(mixed_table(ROWS), c)
    path = tmp_path / "model.tabdl"
    with pytest.warns(UserWarning, match="contains rows"):
        tabdl.save(model, path)
    command = [sys.executable, "-c", OTHER_BACKEND, str(path), other]
    subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": other}, capture_output=True)
    received = np.load(f"{path}.npy")
    np.testing.assert_allclose(received, model.predict_proba(mixed_table(ROWS)), rtol=1e-4, atol=1e-5)


# ---- odd tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 3, 5, 6])
def test_tiny_tables(rows):
    assert np.isfinite(regressor().fit(X[:rows], y[:rows]).predict(X)).all()
    p = classifier().fit(X[:rows], np.arange(rows) % 2).predict_proba(X)
    assert np.isfinite(p).all()
    if rows >= 4:
        assert np.isfinite(regressor(bagging=2).fit(X[:rows], y[:rows]).out_of_fold_).all()


def test_all_rows_in_a_step_leave_room_for_the_context():
    model = regressor(batch_size="full").fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_categories_alone():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"letter": rng.choice(list("abc"), 150), "other": rng.choice(list("xy"), 150)})
    model = NeighborsClassifier(epochs=30, random_state=0).fit(table, table["letter"] == "b")
    assert model.score(table, table["letter"] == "b") == 1


def test_neighbours_learn_which_column_matters():
    """Of nine columns one decides: plain nearest neighbours drown in the other eight."""
    from sklearn.neighbors import KNeighborsRegressor

    rng = np.random.default_rng(0)
    wide = rng.normal(size=(700, 9))
    target = np.sin(3 * wide[:, 0])
    model = NeighborsRegressor(random_state=0).fit(wide[:500], target[:500])
    plain = max(KNeighborsRegressor(k).fit(wide[:500], target[:500]).score(wide[500:], target[500:]) for k in (3, 10, 30))
    assert model.score(wide[500:], target[500:]) > 0.8 > plain + 0.3
