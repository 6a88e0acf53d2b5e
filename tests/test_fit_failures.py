"""A fit that fails loses nothing, a fit that goes on goes on with the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.schema import Schema

RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=120), "b": RNG.normal(size=120)})
Y = (X["a"] > 0).map({True: "p", False: "q"})
SMALL = {"units": (8,), "epochs": 2, "random_state": 0}


def classifier(**params):
    return tabdl.MLPClassifier(**SMALL | params)


@pytest.mark.parametrize("break_it", ["schema", "interrupt", "divergence"])
def test_a_refit_that_fails_leaves_the_old_model(break_it, monkeypatch):
    model = classifier().fit(X, Y)
    before, state = model.predict_proba(X), dict(model.__dict__)
    other = Y.map({"p": "c", "q": "d"})
    if break_it == "schema":
        with pytest.raises(SchemaError):
            model.fit(X.assign(zip="x"), other, schema={"zip": "number"})
    elif break_it == "interrupt":
        monkeypatch.setattr("tabdl.training.fitting.train", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, other)
    else:
        model.set_params(
            learning_rate=10.0, clip_norm=None, optimizer="sgd", units=(64, 64, 64), initializer="he_normal", epochs=60
        )
        state = dict(model.__dict__)
        with pytest.raises(ParameterError, match="diverged"):
            model.fit(X * 1e3, pd.Series(np.where(Y == "p", "c", "d")))
        model.set_params(units=(8,))
        state = dict(model.__dict__)
    assert model.__dict__ == state
    assert model.classes_.tolist() == ["p", "q"]
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_partial_fit_of_a_regressor_takes_weights_third():
    y = 1000 + X["a"]
    model = tabdl.MLPRegressor(**SMALL).partial_fit(X, y, np.where(X["b"] > 0, 1.0, 3.0))
    assert model.target_.center[0] == pytest.approx(1000, abs=2)
    plain = tabdl.MLPRegressor(**SMALL).partial_fit(X, y)
    assert not np.array_equal(model.predict(X), plain.predict(X))


def test_partial_fit_keeps_the_order_of_ordinal_classes():
    sizes = np.array(["S", "M", "L"])[np.digitize(X["a"], [-0.4, 0.4])]
    model = classifier(loss="ordinal").partial_fit(X, sizes, classes=["S", "M", "L"])
    assert model.classes_.tolist() == ["S", "M", "L"]


def test_a_checkpoint_needs_a_seed(tmp_path):
    with pytest.raises(ParameterError, match="expects an int as random_state, received None"):
        classifier(random_state=None, checkpoint=tmp_path / "c.npz").fit(X, Y)


def test_the_mark_of_a_checkpoint_ignores_verbosity_and_sees_how_epochs_are_judged(tmp_path, monkeypatch):
    marks = []
    original = tabdl.training.fitting.Checkpoint
    monkeypatch.setattr("tabdl.training.fitting.Checkpoint", lambda path, mark: marks.append(mark) or original(path, mark))
    path = tmp_path / "c.npz"
    for params in ({}, {"verbose": 2}, {"time_limit": 60.0}, {"metric": "auc"}, {"calibrate": False}):
        classifier(checkpoint=path, **params).fit(X, Y, X_val=X, y_val=Y)
    classifier(checkpoint=path).fit(X, Y, X_val=X + 0.1, y_val=Y)
    first, *same, metric, uncalibrated, moved = marks
    assert set(same) == {first}
    assert len({first, metric, uncalibrated, moved}) == 4


def test_warm_start_with_another_network_is_refused():
    model = classifier(warm_start=True).fit(X, Y)
    with pytest.raises(ParameterError, match="warm_start expects the network of the last fit"):
        model.set_params(units=(9,)).fit(X, Y)


@pytest.mark.parametrize("weights", [{"p": -1.0}, {"p": 0.0, "q": 0.0}])
def test_class_weights_are_positive(weights):
    with pytest.raises(ParameterError, match="expected weights above 0"):
        classifier(class_weight=weights).fit(X, Y)


@pytest.mark.parametrize("loss, bad", [("poisson", -1.0), ("log_mse", -2.0)])
def test_validation_targets_are_checked_like_training_targets(loss, bad):
    y = np.abs(X["a"].to_numpy())
    with pytest.raises(TargetError, match="expects targets"):
        tabdl.MLPRegressor(**SMALL, loss=loss).fit(X, y, X_val=X, y_val=np.where(y > 1, bad, y))


@pytest.mark.parametrize("size", [4, 5, "full"])
def test_the_loss_of_an_epoch_is_the_mean_over_rows_whatever_the_batches(size):
    quiet = {"learning_rate": 1e-6, "optimizer": "sgd", "momentum": 0.0, "dropout": 0.0, "weight_decay": 0.0}
    model = classifier(batch_size=size, validation_fraction=0, epochs=1, **quiet).fit(X[:7], Y[:7])
    p = model.predict_proba(X[:7])
    truth = (Y[:7] == "q").to_numpy().astype(int)
    assert model.history_["loss"][0] == pytest.approx(-np.log(p[np.arange(7), truth]).mean(), rel=1e-3)


def test_private_columns_leave_no_cell_in_the_bins():
    salary = pd.DataFrame({"salary": RNG.uniform(1_000, 9_000, 200).round(), "age": RNG.integers(20, 60, 200)})
    schema = Schema.infer(salary, private=["salary"])
    y = (salary["salary"] > 5_000).astype(int)
    model = tabdl.TabMClassifier(epochs=1, random_state=0).fit(salary, y, schema=schema)
    slope, shift = (model.weights_[f"piecewise_linear_0/{name}"].astype(float) for name in ("slope", "shift"))
    encoder = model.encoder_._numbers
    edges = -shift[0][slope[0] > 0] / slope[0][slope[0] > 0]
    cells = edges / np.sqrt(1 - (edges / 3) ** 2) / encoder.scale[0] + encoder.center[0]
    rows = np.sort(salary["salary"].to_numpy())
    assert len(edges) > 20
    nearest = np.abs(rows[:, None] - cells).min(axis=0)
    assert (nearest < 0.5).mean() < 0.2, "of 200 cells 40 apart, chance alone puts 2.5% of the edges that near"
