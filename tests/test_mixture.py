"""Mixtures of networks: shares, what the parts are told, and what happens when a fit fails or goes on."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from effects import ROWS, X, c, effect, y

import tabdl
from tabdl.errors import ParameterError, TargetError
from tabdl.estimators.mixture import find_shares, mix
from tabdl.estimators.rows import automatic_folds, make_folds
from tabdl.testing import mixed_table
from tabdl.training import clock

TabularClassifier: Any = tabdl.TabularClassifier
TabularRegressor: Any = tabdl.TabularRegressor
TabM: Any = tabdl.TabMClassifier
Neighbors: Any = tabdl.NeighborsClassifier
FAST: dict[str, Any] = {"epochs": 2, "bagging": 1, "random_state": 0}


def regressor(**params: Any) -> Any:
    return TabularRegressor(**FAST | params)


def classifier(**params: Any) -> Any:
    return TabularClassifier(**FAST | params)


def outputs(model: Any, table: Any) -> np.ndarray:
    return model.predict_proba(table) if hasattr(model, "predict_proba") else model.predict(table)


@effect("Tabular.members", "Tabular.neighbors")
def test_parts() -> None:
    model = classifier().fit(X, c)
    assert list(model.parts_) == ["tabm0", "tabm1", "neighbors"]
    assert [type(part).__name__ for part in model.parts_.values()] == ["TabMClassifier"] * 2 + ["NeighborsClassifier"]
    first, second = (model.parts_[name].weights_ for name in ("tabm0", "tabm1"))
    assert any((first[k] != second[k]).any() for k in first), "each has its own seed"
    assert list(regressor(members=1, neighbors=False).fit(X, y).parts_) == ["tabm0"]
    assert list(regressor(members=3, neighbors=False).fit(X, y).parts_) == ["tabm0", "tabm1", "tabm2"]


# ---- shares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [c, y, np.digitize(y, [0, 2]), np.column_stack([c, 1 - c, X[:, 1] > 0]).astype(int)])
def test_predictions_are_the_mean_of_the_parts_weighted_by_shares(target):
    model = (regressor() if target.dtype.kind == "f" else classifier(calibrate=False)).fit(X, target)
    assert model.shares_.shape == (3,)
    assert (model.shares_ > 0).all()
    assert model.shares_.sum() == pytest.approx(1)
    expected = sum(s * outputs(part, X) for s, part in zip(model.shares_, model.parts_.values(), strict=True))
    np.testing.assert_allclose(outputs(model, X), expected, rtol=1e-10)
    assert len(model.models_) == 3


def test_shares_are_equal_without_held_out_rows():
    np.testing.assert_array_equal(regressor(validation_fraction=0).fit(X, y).shares_, [1 / 3] * 3)
    np.testing.assert_array_equal(regressor().partial_fit(X, y).shares_, [1 / 3] * 3)


def squared(rows: int, spreads: tuple[float, ...]) -> Any:
    """nats(shares) of parts that err independently by `spreads`."""
    rng = np.random.default_rng(0)
    errors = np.array([s * rng.normal(size=rows) for s in spreads])
    return lambda shares: rows * float(np.log(np.sqrt(np.mean(mix(shares, errors) ** 2))))


def test_shares_follow_the_better_part_as_far_as_rows_say_so():
    likely = np.array([0.9, 0.5, 0.5])  # what each part says of the true class, in every row
    many, few = (find_shares(lambda shares, rows=rows: -rows * float(np.log(shares @ likely)), 3) for rows in (2_000, 3))
    assert many[0] > 0.99
    assert 1 / 3 < few[0] < 0.5
    numbers = find_shares(squared(5_000, (1.0, 4.0, 4.0)), 3)
    np.testing.assert_allclose(numbers, [8 / 9, 1 / 18, 1 / 18], atol=0.03)  # inverse to the variances
    alike = find_shares(squared(5_000, (1.0, 1.0, 1.0)), 3)
    np.testing.assert_allclose(alike, 1 / 3, atol=0.05)
    np.testing.assert_allclose(find_shares(squared(5_000, (1.0, 2.0)), 2), [0.8, 0.2], atol=0.05)  # inverse to the variances
    np.testing.assert_array_equal(find_shares(squared(9, (1.0,)), 1), [1])
    for found in (many, few, alike, numbers):
        assert found.sum() == pytest.approx(1)


def test_a_part_that_fails_loses_its_share(monkeypatch):
    """Neighbours that hold noise, judged by many rows."""
    from tabdl.models.neighbors import NeighborsRegressor

    inner = NeighborsRegressor._fit_folds
    monkeypatch.setattr(NeighborsRegressor, "_fit_folds", lambda self, *a: [v + 50 for v in inner(self, *a)])
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(1_000, 2))
    model = regressor(members=1, epochs=10, validation_fraction=0.5).fit(wide, wide[:, 0])
    assert model.shares_[1] < 0.02


# ---- parameters ------------------------------------------------------------------------------------------------------


def test_parameters_off_their_default_reach_the_parts():
    model = classifier(patience=3, batch_size=20, class_weight="balanced", unseen=0.1, weight_decay=0.5, metric="auc").fit(X, c)
    for part in model.parts_.values():
        found = [
            getattr(part, k) for k in ("epochs", "patience", "batch_size", "class_weight", "unseen", "weight_decay", "metric")
        ]
        assert found == [2, 3, 20, "balanced", 0.1, 0.5, "auc"]
        assert part.bagging == 1
    plain = classifier().fit(X, c)
    rates = [part.learning_rate for part in plain.parts_.values()]
    assert rates == [TabM().learning_rate] * 2 + [Neighbors().learning_rate]
    assert classifier().get_params() == plain.get_params()


def test_time_limit_is_shared(monkeypatch):
    now, fit = [100.0], tabdl.TabMRegressor._fit_folds

    def slow(part: Any, *given: Any) -> Any:
        done = fit(part, *given)
        now[0] += 1.25
        return done

    with monkeypatch.context() as patch:
        patch.setattr(tabdl.TabMRegressor, "_fit_folds", slow)
        patch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
        limits = [part.time_limit for part in regressor(time_limit=3.0).fit(X, y).parts_.values()]
    assert limits == [1.0, 0.875, 0.5], "an equal part of what the ones before have left"
    model = regressor(epochs=100_000, schedule="cosine", patience=10**6, time_limit=1.5).fit(X, y)
    assert sum(sum(part.history_["seconds"]) for part in model.parts_.values()) < 2.5


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_mse", "poisson", "quantiles"])
def test_all_kinds_of_numbers(loss):
    params: dict[str, Any] = {"quantiles": (0.1, 0.5, 0.9)} if loss == "quantiles" else {"loss": loss}
    predicted = regressor(**params).fit(X, np.abs(np.round(y))).predict(X)
    assert np.isfinite(predicted).all()
    assert predicted.shape == ((ROWS, 3) if loss == "quantiles" else (ROWS,))
    if loss == "quantiles":
        assert (np.diff(predicted, axis=1) >= 0).all()
    if loss == "poisson":
        assert (predicted >= 0).all()


@pytest.mark.parametrize("loss", ["focal", "hinge", "kl", "ordinal"])
def test_all_kinds_of_classes(loss):
    p = classifier(loss=loss).fit(X, np.digitize(y, [0, 2])).predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


# ---- folds, going on, failing ----------------------------------------------------------------------------------------


def test_out_of_fold_predictions_are_mixed_too():
    rng = np.random.default_rng(0)
    wide, noise = rng.normal(size=(150, 10)), rng.normal(size=150)
    model = TabularRegressor(bagging=3, members=2, epochs=8, random_state=0).fit(wide, noise)
    assert model.out_of_fold_.shape == (150,)
    assert abs(np.corrcoef(model.out_of_fold_, noise)[0, 1]) < 0.35
    assert len(model.models_) == 9
    weight = np.where(np.arange(150) % 5 == 0, 0.0, 1.0)
    gaps = regressor(bagging=3).fit(wide, noise, weight).out_of_fold_
    np.testing.assert_array_equal(np.isnan(gaps), weight == 0)


def test_small_tables_are_bagged():
    model = TabularClassifier(epochs=1, random_state=0).fit(X, c)
    assert [len(model.encoders_), list(model.parts_)] == [5, ["tabm0", "neighbors"]]
    assert model.out_of_fold_.shape == (ROWS, 2)
    most = max(len(train) for train, _ in make_folds(c, 5, 0, stratify=True))
    assert model.parts_["neighbors"].sizes_["memory"] == most, "as many places as a fold has rows"
    assert [automatic_folds(rows) for rows in (19, 20, 5_000, 5_001, 10_000, 10_001)] == [1, 5, 5, 3, 3, 1]


@pytest.mark.parametrize("alone", [{"validation_fraction": 0}, {"warm_start": True}, {"X_val": X, "y_val": y}])
def test_no_folds_where_none_can_be_held_out(alone):
    held = {k: v for k, v in alone.items() if k.endswith("_val")}
    params = {k: v for k, v in alone.items() if k not in held}
    model = regressor(epochs=1, bagging="auto", neighbors=False, **params).fit(X, y, **held)
    assert [len(model.encoders_), list(model.parts_)] == [1, ["tabm0", "tabm1"]]


def test_all_folds_learn_from_new_rows():
    model = regressor(bagging="auto", neighbors=False).fit(X, y)
    before, shares = model.weights_, model.shares_
    model.partial_fit(X[:40], y[:40])
    path = next(k for k in before if k.endswith("kernel"))
    assert (np.abs(model.weights_[path] - before[path]).reshape(5, -1).max(axis=1) > 0).all()
    np.testing.assert_array_equal(model.shares_, shares)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_warm_start_goes_on_with_the_parameters_of_now():
    model = regressor(warm_start=True).fit(X, y)
    first = model.weights_
    model.set_params(epochs=1, learning_rate=1e-6).fit(X, y)
    assert [part.history_["epoch"] for part in model.parts_.values()] == [[1]] * 3
    for name, weight in first.items():
        if "neighbors" not in name:
            np.testing.assert_allclose(model.weights_[name], weight, atol=1e-3, err_msg=name)
    before = model.predict(X)
    with pytest.raises(
        ParameterError, match="warm_start expects the networks of the last fit, tabm0, tabm1, neighbors, received"
    ):
        model.set_params(members=1).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_partial_fit_takes_chunks_of_any_size():
    model = regressor().partial_fit(X[:60], y[:60])
    first = model.predict(X)
    model.partial_fit(X[60:66], y[60:66])
    assert (model.predict(X) != first).any()
    np.testing.assert_array_equal(model.shares_, [1 / 3] * 3)


def test_partial_fit_keeps_the_shares_of_a_fit():
    model = regressor().fit(X, y)
    shares = model.shares_
    np.testing.assert_array_equal(model.partial_fit(X, y).shares_, shares)


class Stop(keras.callbacks.Callback):
    """Fails in the last part, when the others are fitted."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1 and "neighbors" in self.model.name:
            raise InterruptedError


@pytest.mark.parametrize("warm", [True, False])
def test_a_failing_fit_leaves_the_fitted_parts_as_they_were(warm):
    model = regressor(warm_start=warm).fit(X, y)
    before, parts, shares = model.predict(X), model.parts_, model.shares_
    with pytest.raises(InterruptedError):
        model.set_params(callbacks=[Stop()]).fit(X, 2 * y)
    with pytest.raises(TargetError):
        model.fit(X, np.full(ROWS, np.nan))
    assert model.parts_ is parts
    assert model.shares_ is shares
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_killed_fit_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("tabdl.training.checkpoint.BUDGET", np.inf)
    expected = regressor(epochs=3).fit(X, y)
    path = tmp_path / "fit"
    with pytest.raises(InterruptedError):
        regressor(epochs=3, checkpoint=path, callbacks=[Stop()]).fit(X, y)
    assert {file.name for file in tmp_path.iterdir()} == {"fit.tabm0", "fit.tabm1", "fit.neighbors"}, "also of finished parts"
    resumed = regressor(epochs=3, checkpoint=path).fit(X, y)
    np.testing.assert_array_equal(resumed.predict(X), expected.predict(X))
    assert not list(tmp_path.iterdir())


# ---- keeping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbors", [True, False])
@pytest.mark.parametrize("bagging", [1, 2])
def test_a_file_says_whether_it_contains_rows(neighbors, bagging, tmp_path):
    table = mixed_table(ROWS)
    model = classifier(neighbors=neighbors, bagging=bagging).fit(table, c)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        path = tabdl.save(model, tmp_path / "model.tabdl")
    assert any("contains rows of the training table" in str(w.message) for w in told) is neighbors
    with zipfile.ZipFile(path) as file:
        assert json.loads(file.read("manifest.json"))["contains_rows"] is neighbors
    for copied in (tabdl.load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.predict_proba(table), model.predict_proba(table))
        np.testing.assert_array_equal(copied.shares_, model.shares_)
    loaded = tabdl.load(path)
    if bagging == 1:
        loaded.partial_fit(table, c)
        assert np.isfinite(loaded.predict_proba(table)).all()


def test_a_file_loads_where_the_parts_are_chosen_otherwise(tmp_path, monkeypatch):
    model = regressor(neighbors=False).fit(X, y)
    path = tabdl.save(model, tmp_path / "model.tabdl")

    def others(self: Any, kind: str, folds: int) -> dict[str, Any]:
        return {f"tabm{i}": tabdl.TabMRegressor(width=9, bins=5, dropout=0.5) for i in range(2)}

    monkeypatch.setattr(TabularRegressor, "networks", others)
    np.testing.assert_array_equal(tabdl.load(path).predict(X), model.predict(X))


@pytest.mark.parametrize("rows", [2, 5])
def test_tiny_tables(rows):
    assert np.isfinite(regressor().fit(X[:rows], y[:rows]).predict(X)).all()


def test_categories_alone():
    table = pd.DataFrame({"letter": np.random.default_rng(0).choice(list("abc"), ROWS)})
    assert np.isfinite(classifier(batch_size="full").fit(table, c).predict_proba(table)).all()
