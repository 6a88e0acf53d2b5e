"""Folds that are learned one after the other, because one alone keeps all cores busy."""

from __future__ import annotations

import time
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import tabdl
from tabdl.errors import ArtifactError
from tabdl.models.tabm import TabM
from tabdl.testing import mixed_table
from tabdl.training.train import Training

ROWS = 100
TABLE = mixed_table(ROWS)
SIGNAL = 2 * TABLE["number"].to_numpy() + np.random.default_rng(1).normal(size=ROWS)
SMALL: dict[str, Any] = {"width": 8, "members": 2, "bins": 4, "embedding_width": 2, "epochs": 4, "bagging": 3, "random_state": 0}


def regressor(**params: Any) -> Any:
    return tabdl.TabMRegressor(**SMALL | params)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return regressor().fit(TABLE, SIGNAL)


def spy_on_copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many copies each training has."""
    from tabdl.training import fitting

    counts, inner = [], fitting.train
    monkeypatch.setattr(
        fitting, "train", lambda program, copies, *a, **k: counts.append(len(copies)) or inner(program, copies, *a, **k)
    )
    return counts


@pytest.mark.parametrize("params", [{}, {"validation_fraction": 0, "bagging": 2}])
def test_folds_learn_the_same_apart_as_side_by_side(params, monkeypatch):
    counts = spy_on_copies(monkeypatch)
    apart = regressor(**params).fit(TABLE, SIGNAL)
    monkeypatch.setattr(TabM, "folds_apart", False)
    together = regressor(**params).fit(TABLE, SIGNAL)
    folds = len(apart.encoders_)
    assert counts == [1] * folds + [folds]
    assert len(apart.models_) == folds
    np.testing.assert_allclose(apart.predict(TABLE), together.predict(TABLE), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(apart.out_of_fold_, together.out_of_fold_, rtol=1e-3, atol=1e-3)
    for key in ("epoch", "loss", "learning_rate", "val_rmse"):
        np.testing.assert_allclose(apart.history_[key], together.history_[key], rtol=1e-3, err_msg=key)


def test_the_history_is_of_the_folds_that_still_run(monkeypatch):
    from tabdl.training import fitting

    runs, inner = [], fitting.train
    monkeypatch.setattr(fitting, "train", lambda *a, **k: runs.append(inner(*a, **k)) or runs[-1])
    model = regressor(epochs=60, patience=1, learning_rate=0.03).fit(TABLE, SIGNAL)
    lengths = [run.epoch for run in runs]
    assert len(set(lengths)) > 1, "folds stop when they no longer improve, each for itself"
    assert model.history_["epoch"] == list(range(1, max(lengths) + 1))
    last = [run.history["loss"][-1] for run in runs if run.epoch == max(lengths)]
    assert model.history_["loss"][-1] == pytest.approx(np.mean(last))
    assert sum(model.history_["seconds"]) == pytest.approx(sum(sum(run.history["seconds"]) for run in runs))


def test_time_limit_is_that_of_all_folds():
    begun = time.monotonic()
    model = regressor(epochs=100_000, patience=100_000, time_limit=1.5).fit(TABLE, SIGNAL)
    assert sum(model.history_["seconds"]) < 2
    assert time.monotonic() - begun < 15


def test_folds_share_the_time_after_what_compiled(monkeypatch):
    """A first call of 10 s, others of half a second, in 31 s."""
    from tabdl import backends
    from tabdl.training import clock, fitting, program
    from tabdl.training import train as training

    now, runs, inner, compiling = [0.0], [], fitting.train, backends.compile_training

    def slow(step: Any, folds: tuple[int, ...]) -> Any:
        compiled, calls = compiling(step, folds), []

        def call(*arguments: Any) -> Any:
            now[0] += 0.5 if calls else 10.0
            calls.append(1)
            return compiled(*arguments)

        return call

    monkeypatch.setattr(program, "_programs", OrderedDict())
    monkeypatch.setattr(backends, "compile_training", slow)
    monkeypatch.setattr(fitting, "train", lambda *a, **k: runs.append(inner(*a, **k)) or runs[-1])
    for module in (clock, training):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for expected in (14, 20):  # 21 s / 3 folds; then 31 s / 3 with a program that is there
        now[0], before = 0.0, len(runs)
        regressor(epochs=1_000, patience=1_000, schedule="cosine", time_limit=31.0).fit(TABLE, SIGNAL)
        epochs = [run.epoch for run in runs[before:]]
        assert 29.0 <= now[0] <= 31.0
        assert max(epochs) - min(epochs) <= 2, epochs
        assert all(abs(own - expected) <= 2 for own in epochs), epochs
        assert all(run.progress == pytest.approx(1) for run in runs[before:]), "each schedule ends"
        assert all(run.history["learning_rate"][-1] < 1e-4 for run in runs[before:])


def test_an_interrupted_fit_goes_on_within_its_fold(fitted, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        seen = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            Kill.seen += 1
            if Kill.seen == 7:  # the third epoch of the second fold
                raise Killed

    monkeypatch.setattr("tabdl.training.checkpoint.BUDGET", np.inf)  # write every epoch
    path = tmp_path / "fit.npz"
    with pytest.raises(Killed):
        regressor(checkpoint=path, callbacks=[Kill()]).fit(TABLE, SIGNAL)
    assert {file.name for file in tmp_path.iterdir()} == {"fit.npz.fold0", "fit.npz.fold1"}
    epochs, inner = [], Training.run_epoch
    monkeypatch.setattr(Training, "run_epoch", lambda *a: epochs.append(1) or inner(*a))
    with pytest.raises(ArtifactError, match="belongs to a fit of other data or parameters"):
        regressor(checkpoint=path).fit(TABLE, SIGNAL + 1)
    (tmp_path / "fit.npz.fold0").rename(tmp_path / "kept")
    with pytest.raises(ArtifactError, match="fold1 belongs to a fit of other data or parameters"):
        regressor(checkpoint=path).fit(TABLE, SIGNAL + 1)
    assert not epochs, "refused before any fold is trained"
    (tmp_path / "kept").rename(tmp_path / "fit.npz.fold0")
    resumed = regressor(checkpoint=path).fit(TABLE, SIGNAL)
    assert len(epochs) == 2 + 4, "the first fold was finished"
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(resumed.predict(TABLE), fitted.predict(TABLE))
    assert resumed.history_["loss"] == fitted.history_["loss"]


def test_folds_go_on_from_their_own_weights():
    model = tabdl.TabularRegressor(neighbors=False, epochs=2, random_state=0).fit(TABLE, SIGNAL)
    before = {k: v.copy() for k, v in model.weights_.items()}
    model.set_params(learning_rate=1e-5).partial_fit(TABLE, SIGNAL)
    kernel = next(k for k in before if k.endswith("kernel"))
    moved = np.abs(model.weights_[kernel] - before[kernel]).reshape(5, -1).mean(axis=1)
    apart = np.abs(before[kernel][:1] - before[kernel][1:]).reshape(4, -1).mean(axis=1)
    assert (moved > 0).all()
    assert moved.max() < apart.min(), "nearer to where it was than to another fold"
