"""Intervals and quantiles: what held-out rows teach, against formulas, on networks, and for every public regressor."""

from __future__ import annotations

import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
from small import series_sizes

import tabdl
from tabdl import MLPClassifier, MLPRegressor, models
from tabdl.errors import ArtifactError, ParameterError
from tabdl.estimators import calibration
from tabdl.estimators.calibration import STEPS, conformal_radii, effective_rows
from tabdl.estimators.state import pack, unpack
from tabdl.testing.cases import Case

RNG = np.random.default_rng(0)
REGRESSORS = [  # those of series have the same code: `make full` shows it
    pytest.param(name, marks=[] if getattr(models.load_class(name), "reads_tables", True) else pytest.mark.full)
    for name in models.catalogue("Regressor")
]
FAST = {"units": (16,), "epochs": 12, "learning_rate": 0.02, "random_state": 0}


@pytest.fixture(scope="module")
def clear() -> tuple[np.ndarray, np.ndarray]:
    """Classes that a line tells apart."""
    X = np.random.default_rng(2).normal(size=(1_600, 4))
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


# ---- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 9, 18, 99, 1_000, 5_000])
def test_radii_are_order_statistics_with_one_row_more(rows):
    sizes = np.random.default_rng(rows).exponential(size=rows)
    radii = conformal_radii(sizes, None)
    ordered = np.append(np.sort(sizes), np.inf)
    for step in (1, 100, 500, 800, 900, 950, 990, 999, 1000):
        rank = -(-step * (rows + 1) // STEPS)  # the smallest that covers, in whole numbers
        exact = ordered[min(rank, rows + 1) - 1]
        assert exact <= radii[step] <= exact * 1.0101, (step, rank)
    finite = radii[np.isfinite(radii)]
    assert (np.diff(finite) >= 0).all()
    assert all(float(f"{r:.2e}") == pytest.approx(r, rel=1e-9) for r in finite), "three digits"


def test_radii_of_weighted_rows():
    sizes = np.random.default_rng(0).exponential(size=400)
    weight = np.random.default_rng(1).integers(1, 4, 400).astype(float)
    np.testing.assert_array_equal(conformal_radii(sizes, weight), conformal_radii(sizes, weight * 1e5))
    np.testing.assert_array_equal(conformal_radii(sizes, np.full(400, 7.0)), conformal_radii(sizes, None))
    again = conformal_radii(np.repeat(sizes, weight.astype(int)), None)
    np.testing.assert_array_equal(conformal_radii(sizes, weight, effective_rows(400, weight, weight)), again)
    assert (conformal_radii(sizes, weight) >= again).all(), "weights that are no counts know less"
    few = conformal_radii(sizes, np.where(np.arange(400) < 5, 1.0, 1e-12))
    assert np.isinf(few[900]), "five rows that count are five rows"


def test_radii_may_be_negative_infinite_or_of_broken_predictions():
    assert (conformal_radii(np.full(50, -2.0), None)[:980] == -2).all()
    assert -1.23457 <= conformal_radii(np.full(50, -1.23456789), None)[500] == pytest.approx(-1.23)
    assert conformal_radii(np.zeros(50), None)[500] == 0
    broken = conformal_radii(np.array([1.0] * 30 + [np.nan] * 20), None)
    assert broken[500] == 1
    assert np.isinf(broken[700])


@pytest.mark.parametrize("rows", [19, 60])
def test_mean_coverage_over_many_held_out_parts(rows):
    """Over repetitions the share lies between 1 - alpha and 1 - alpha + 1 / (rows + 1), whatever the distribution."""
    rng = np.random.default_rng(4)
    for alpha in (0.05, 0.1, 0.3):
        step = calibration.step_of(alpha)
        radii = np.array([conformal_radii(rng.exponential(size=rows), None)[step] for _ in range(3_000)])
        covered = (1 - np.exp(-radii)).mean()
        error = 4 * np.sqrt(alpha * (1 - alpha) / rows / 3_000)
        assert 1 - alpha - error <= covered <= 1 - alpha + 1 / (rows + 1) + error + 0.003, alpha


def make_numbers(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors three times as large on one side as on the other."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 3))
    return X, 5 + 2 * X[:, 0] + np.where(X[:, 1] > 0, 0.9, 0.3) * rng.normal(size=rows)


KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, lambda y: y),
    "mae": ({"loss": "mae"}, lambda y: y),
    "members": ({"members": 2}, lambda y: y),
    "quantiles": ({"quantiles": (0.05, 0.5, 0.95)}, lambda y: y),
    "one quantile": ({"quantiles": (0.7,)}, lambda y: y),
    "logarithms": ({"loss": "log_mse"}, lambda y: np.exp(y / 2)),
    "several": ({}, lambda y: np.column_stack([y, -100 * y])),
}


def covered(model: Any, X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """Share of rows inside, of each output."""
    bounds = model.predict_interval(X, alpha)
    return np.atleast_1d(((bounds[..., 0] <= y) & (y <= bounds[..., 1])).mean(axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_of_new_rows(kind):
    params, shape = KINDS[kind]
    (X, y), (X_val, y_val), (X_new, y_new) = (make_numbers(rows, seed) for seed, rows in enumerate((400, 600, 8_000)))
    model = MLPRegressor(**FAST | params).fit(X, shape(y), X_val=X_val, y_val=shape(y_val))
    for alpha in (0.02, 0.1, 0.4):
        error = 4 * np.sqrt(alpha * (1 - alpha) * (1 / 600 + 1 / 8_000))  # of the held-out rows and of the new ones
        share = covered(model, X_new, shape(y_new), alpha)
        assert (np.abs(share - (1 - alpha)) < error + 1 / 601).all(), (alpha, share)


def test_coverage_of_bagged_models():
    """Errors of one model on a part of the rows, around the average of all: on the safe side."""
    (X, y), (X_new, y_new) = (make_numbers(rows, seed) for seed, rows in enumerate((600, 8_000)))
    model = MLPRegressor(**FAST, bagging=4).fit(X, y)
    for alpha in (0.02, 0.1, 0.4):
        error = 4 * np.sqrt(alpha * (1 - alpha) * (1 / 600 + 1 / 8_000))
        assert -error < covered(model, X_new, y_new, alpha)[0] - (1 - alpha) < error + 0.03, alpha


def test_coverage_of_weighted_rows():
    """Where the noisy side counts nine times as much, intervals are wider, and right for such a mixture."""
    (X, y), (X_val, y_val), (X_new, y_new) = (make_numbers(rows, seed) for seed, rows in enumerate((400, 1_500, 8_000)))
    plain, weighted = (
        MLPRegressor(**FAST).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)
        for w in (None, np.where(X_val[:, 1] > 0, 9.0, 1.0))
    )
    inside = [
        (lambda b, y_new=y_new: (b[:, 0] <= y_new) & (y_new <= b[:, 1]))(m.predict_interval(X_new)) for m in (plain, weighted)
    ]
    shares = [np.average(i, weights=np.where(X_new[:, 1] > 0, 9.0, 1.0)) for i in inside]
    assert shares[1] == pytest.approx(0.9, abs=0.03)
    assert shares[0] < 0.87
    assert np.ptp(weighted.predict_interval(X_new), axis=1).mean() > np.ptp(plain.predict_interval(X_new), axis=1).mean()


def test_quantiles_give_each_row_its_own_width():
    (X, y), (X_val, y_val), (X_new, y_new) = (make_numbers(rows, seed) for seed, rows in enumerate((2_000, 600, 8_000)))
    noisy = X_new[:, 1] > 0
    even, own = (
        MLPRegressor(**FAST | {"epochs": 40}, quantiles=q).fit(X, y, X_val=X_val, y_val=y_val) for q in (None, (0.05, 0.5, 0.95))
    )
    widths = {m: np.ptp(m.predict_interval(X_new), axis=1) for m in (even, own)}
    np.testing.assert_allclose(widths[even], widths[even][0])
    assert widths[own][noisy].mean() > 1.6 * widths[own][~noisy].mean()
    assert widths[own].mean() < widths[even].mean()
    gaps = [abs(covered(m, X_new[noisy], y_new[noisy], 0.1)[0] - 0.9) for m in (even, own)]
    assert gaps[1] < 0.6 * gaps[0], f"the share should hold on either side, received gaps {gaps}"


def test_counts_never_go_below_zero():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(6_000, 2))
    y = rng.poisson(np.exp(0.5 * X[:, 0])).astype(float)
    model = MLPRegressor(**FAST, loss="poisson").fit(X[:500], y[:500], X_val=X[500:1_000], y_val=y[500:1_000])
    bounds = model.predict_interval(X[1_000:])
    assert bounds.min() >= 0
    assert covered(model, X[1_000:], y[1_000:], 0.1)[0] > 0.87, "counts are not continuous: more is fine"
    wide = np.ptp(bounds, axis=1)
    assert np.corrcoef(wide, model.predict(X[1_000:]))[0, 1] > 0.5, "wider where counts are large"


def test_the_levels_nearest_to_equal_tails_are_moved():
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    assert calibration._pair(levels, calibration.step_of(0.1)) == (0, 4)
    assert calibration._pair(levels, calibration.step_of(0.2)) == (1, 3)
    assert calibration._pair(levels, calibration.step_of(0.999)) == (2, 2)
    assert all(low <= high for low, high in (calibration._pair((0.2, 0.3, 0.9), step) for step in range(STEPS + 1)))


def test_what_cannot_be_answered_is_said(clear):
    X, _ = clear
    y = X[:, 0]
    for model in (
        MLPRegressor(**FAST, validation_fraction=0).fit(X[:100], y[:100]),
        MLPRegressor(**FAST).fit(X[:100], y[:100]).partial_fit(X[:100], y[:100]),
    ):
        with pytest.raises(ParameterError, match=r"held none out; fit with X_val and y_val, with validation_fraction above 0"):
            model.predict_interval(X)
    few = MLPRegressor(**FAST).fit(X[:100], y[:100])  # 15 held out
    with pytest.raises(ParameterError, match=r"alpha=0.05 expects 19 held-out rows or more, received fewer; raise alpha"):
        few.predict_interval(X, 0.05)
    assert np.isfinite(few.predict_interval(X, 0.07)).all()
    for alpha in (0, 1, -0.1, 90, float("nan")):
        with pytest.raises(ParameterError, match="expected the share of rows outside"):
            few.predict_interval(X, alpha)
    with pytest.raises(Exception, match="not fitted yet"):
        MLPRegressor().predict_interval(X)


@pytest.mark.parametrize("name", REGRESSORS)
def test_every_regressor_has_intervals_that_hold_its_prediction(name, tmp_path):
    case = Case(models.load_class(name), series_sizes(name))
    rising = np.exp(case.signal / 4)
    targets = [
        ({}, case.y),
        ({}, np.column_stack([case.y, -case.y])),
        ({"quantiles": (0.1, 0.5, 0.9)}, case.y),
        ({"loss": "poisson"}, np.floor(rising)),
        ({"loss": "log_mse"}, rising),
        ({"bagging": 2}, case.y),
    ]
    for params, y in targets:
        model = case.new(**params).fit(case.table, y)
        middle = model.predict(case.table)[:, 1] if "quantiles" in params else model.predict(case.table)
        for alpha in (0.1, 0.5, 0.95):
            bounds = model.predict_interval(case.table, alpha)
            assert bounds.shape == (*middle.shape, 2)
            assert (bounds[..., 0] <= middle).all(), (params, alpha)
            assert (middle <= bounds[..., 1]).all(), (params, alpha)
            assert bounds[..., 0].min() >= 0 or params.get("loss") != "poisson"
        own = [v for v in model.get_params().values() if callable(v)]
        loaded = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"), classes=own)
        np.testing.assert_array_equal(loaded.predict_interval(case.table), model.predict_interval(case.table))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).radii_, model.radii_)


def test_the_file_keeps_radii_and_no_row(tmp_path):
    X, y = make_numbers(300, 0)
    model = MLPRegressor(**FAST, bagging=2).fit(X, y)
    path = tabdl.save(model, tmp_path / "model.tabdl")
    with zipfile.ZipFile(path) as file:
        names = [n for n in file.namelist() if not n.startswith(("weights/", "encoder/", "fold", "probe/"))]
        assert sorted(names) == ["manifest.json", "radii.npy"]
        assert json.loads(file.read("manifest.json"))["contains_rows"] is False
    assert model.radii_.shape == (1, STEPS + 1)
    residuals = np.abs(y - model.out_of_fold_)
    assert not np.isin(model.radii_, residuals).any(), "rounded up"
    assert model.radii_[0, 0] >= residuals.min()


def test_forged_radii_are_refused():
    X, y = make_numbers(100, 0)
    state, arrays = pack(MLPRegressor(**FAST | {"epochs": 1}).fit(X, y))
    for wrong in (arrays["radii"][:, :-1], np.vstack([arrays["radii"]] * 2), np.full_like(arrays["radii"], np.nan)):
        with pytest.raises(ValueError, match="expected radii of shape"):
            unpack(MLPRegressor, state, arrays | {"radii": wrong})
    del arrays["radii"]
    with pytest.raises(ParameterError, match="held none out"):
        unpack(MLPRegressor, state, arrays).predict_interval(X)


def test_a_file_with_another_temperature_does_not_load(tmp_path, monkeypatch):
    """The probe rows see what is predicted, temperature included."""
    X, y = make_numbers(100, 0)
    model = MLPClassifier(**FAST).fit(X, y > 5)
    original = pack(model)
    monkeypatch.setattr("tabdl.artifact.pack", lambda estimator: (original[0] | {"temperature": 3.0}, original[1]))
    path = tabdl.save(model, tmp_path / "model.tabdl")
    with pytest.raises(ArtifactError, match="probe rows"):
        tabdl.load(path)


# ---- quantiles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGRESSORS)
def test_quantiles_of_random_networks_never_cross(name):
    """Hardly trained, with 25 levels, on rows far out; also averaged over folds."""
    case = Case(models.load_class(name), series_sizes(name))
    levels = tuple(np.linspace(0.02, 0.98, 25))
    far = case.table.assign(number=case.table["number"] * 1e6, gappy=-1e9)
    for seed in range(3):
        model = case.new(quantiles=levels, random_state=seed, epochs=1, learning_rate=0.5 * seed + 1e-6, bagging=1 + seed % 2)
        model.fit(case.table, case.y)
        for table in (case.table, far):
            predicted = model.predict(table)
            assert np.isfinite(predicted).all()
            assert (np.diff(predicted, axis=1) >= 0).all(), seed
