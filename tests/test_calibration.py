"""Temperatures: what held-out rows teach, against formulas, on networks, and for every public classifier."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from small import series_sizes

from tabdl import MLPClassifier, models
from tabdl.estimators import calibration
from tabdl.estimators.calibration import effective_rows, fit_temperature, temper
from tabdl.estimators.state import pack, unpack
from tabdl.testing.cases import Case
from tabdl.testing.promises import saved_and_loaded

RNG = np.random.default_rng(0)
CLASSIFIERS = [name for name in models.catalogue() if name.endswith("Classifier")]
REGRESSORS = [name for name in models.catalogue() if name.endswith("Regressor")]
FAST = {"units": (16,), "epochs": 12, "learning_rate": 0.02, "random_state": 0}


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def drawn(kind: str, rows: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(y, p): targets that p describes truly at a temperature; floats as networks give them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (rows, 4 if kind == "many" else 3 if kind == "labels" else 1))
    if kind == "labels":
        p, true = (1 / (1 + np.exp(-scores / t)) for t in (1, temperature))
        return (rng.uniform(size=p.shape) < true).astype(float), p
    if kind == "two":
        scores = np.hstack([np.zeros((rows, 1)), scores])
    p, true = softmax(scores), softmax(scores / temperature)
    return (rng.uniform(size=(rows, 1)) > true.cumsum(axis=1)).sum(axis=1, keepdims=True).astype(float), p


def log_loss(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    if y.shape == p.shape:
        return float(np.average(-np.log(np.where(y == 1, p, 1 - p)).mean(axis=1), weights=weight))
    return float(np.average(-np.log(np.take_along_axis(p, y.astype(int), axis=1))[:, 0], weights=weight))


@pytest.mark.parametrize("kind", ["two", "many", "labels"])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found(kind, temperature):
    y, p = drawn(kind, 20_000, temperature)
    assert fit_temperature(y, p, None) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("kind", ["two", "many", "labels"])
@pytest.mark.parametrize("rows", [6, 40, 400])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_minimum_of_log_loss_and_prior(kind, rows, weighted):
    for seed in range(5):
        y, p = drawn(kind, rows, 1.8, seed)
        weight = np.random.default_rng(seed).exponential(3, rows) if weighted else None
        count = rows if weight is None else weight.sum() ** 2 / (weight**2).sum()

        def goal(t, y=y, p=p, weight=weight, count=count):
            prior = calibration.PRIOR * (1 / t - 1 + np.log(t))
            return count * log_loss(y, np.clip(temper(p, t, kind == "labels"), 1e-300, 1), weight) + prior

        best = minimize_scalar(goal, bounds=(calibration.COLDEST, calibration.HOTTEST), method="bounded", options={"xatol": 1e-9})
        gain = count * (log_loss(y, p, weight) - log_loss(y, temper(p, best.x, kind == "labels"), weight))
        found = fit_temperature(y, p, weight)
        assert found == pytest.approx(best.x if gain > (best.x < 1) else 1, rel=1e-3)
        assert log_loss(y, temper(p, found, kind == "labels"), weight) <= log_loss(y, p, weight)


def test_few_or_perfectly_separated_rows_change_little():
    sure = np.array([[0.9, 0.1], [0.1, 0.9]] * 3)[:5]
    right, wrong = np.array([[0.0], [1.0]] * 3)[:5], np.array([[1.0], [0.0]] * 3)[:5]
    assert fit_temperature(right, sure, None) == 1, "five rows that are right"
    assert 0.5 < fit_temperature(np.tile(right[:2], (50, 1)), np.tile(sure[:2], (50, 1)), None) < 0.6, "a hundred of them"
    assert 1 < fit_temperature(wrong, sure, None) < 3, "five rows that are wrong"
    assert fit_temperature(right[:1], sure[:1], None) == pytest.approx(1, abs=0.05)
    saturated = np.array([[1.0, 0.0], [0.0, 1.0]] * 500)
    truth = np.array([[0.0], [1.0]] * 500)
    assert fit_temperature(truth, saturated, None) == pytest.approx(1, abs=1e-3), "nothing to gain"
    many = np.tile(sure[:2], (5_000, 1))
    assert calibration.COLDEST <= fit_temperature(np.tile(right[:2], (5_000, 1)), many, None) < 0.4
    hottest = fit_temperature(np.tile(wrong[:2], (5_000, 1)), many, None)
    assert hottest == pytest.approx(calibration.HOTTEST, rel=1e-6)
    one_mistake = truth.copy()
    one_mistake[0] = 1
    assert fit_temperature(one_mistake, saturated, None) < 4, "a single row that is sure and wrong counts no more than 1e-7"


def test_calibrated_models_mostly_stay_as_they_are():
    found = np.array([fit_temperature(*drawn("two", 60, 1.0, seed), None) for seed in range(200)])
    assert np.abs(np.log(found)).mean() < 0.15
    assert np.exp(np.log(found).mean()) == pytest.approx(1, abs=0.05)


def test_weights_count_by_their_ratios_and_nearly_like_repeated_rows():
    y, p = drawn("two", 4_000, 1.7)
    weight = np.random.default_rng(1).integers(1, 4, 4_000).astype(float)
    found = fit_temperature(y, p, weight)
    assert fit_temperature(y, p, weight * 1e-6) == pytest.approx(found, rel=1e-9)
    again = np.repeat(np.arange(4_000), weight.astype(int))
    assert fit_temperature(y[again], p[again], None) == pytest.approx(found, rel=1e-2)
    half = np.arange(4_000) < 2_000
    assert fit_temperature(y, p, np.where(half, 1.0, 1e-9)) == pytest.approx(fit_temperature(y[half], p[half], None), rel=1e-6)


def test_whole_sample_weights_are_repeated_rows_also_under_class_weights():
    times, factor = np.random.default_rng(1).integers(1, 4, 50), np.where(np.arange(50) < 10, 4.0, 0.25)
    assert effective_rows(50, None) == pytest.approx(effective_rows(50, np.full(50, 0.3))) == 50
    assert effective_rows(50, times.astype(float), times.astype(float)) == pytest.approx(times.sum())
    repeated = effective_rows(times.sum(), np.repeat(factor, times))
    assert effective_rows(50, times * factor, times.astype(float)) == pytest.approx(repeated)
    assert repeated < times.sum() / 2
    assert effective_rows(50, times * 0.1, times * 0.1) == pytest.approx(effective_rows(50, times.astype(float)))


def test_probabilities_of_weighted_classes_are_judged_as_such():
    """A model that is right about classes weighted 1 to 9 is left alone; judged on plain rows it would be bent out of shape."""
    y, p = drawn("two", 50_000, 1.0)
    odds = 9 * p[:, 1] / p[:, 0]
    weighted = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    factors = np.where(y[:, 0] == 1, 9.0, 1.0)
    assert fit_temperature(y, weighted, factors) == pytest.approx(1, abs=0.05)
    assert abs(np.log(fit_temperature(y, weighted, None))) > 0.3


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0, 10.0])
def test_order_and_choice_stay(temperature):
    ends = np.array([0, 1e-30, 1e-10, 0.5 - 2**-25, 0.5, 0.5 + 2**-24, 1 - 2**-23, 1 - 2**-24, 1])
    p = np.sort(np.concatenate([ends, RNG.uniform(size=200).astype(np.float32).astype(float)]))
    two = temper(np.column_stack([1 - p, p]), temperature, False)
    labels = temper(p[:, None], temperature, True)
    np.testing.assert_array_equal(labels[:, 0], two[:, 1])
    np.testing.assert_array_equal(labels[:, 0] > 0.5, p > 0.5)
    np.testing.assert_array_equal(two.argmax(axis=1), np.column_stack([1 - p, p]).argmax(axis=1))
    assert (np.diff(labels[:, 0]) >= 0).all()
    assert temperature < 0.5 or (np.diff(labels[:, 0]) > 0).all(), "no ties come up"
    many = softmax(RNG.normal(0, 5, (300, 5))).astype(np.float32).astype(float)
    many[0], many[1] = [0, 0, 1, 0, 0], 0.2
    cooked = temper(many, temperature, False)
    np.testing.assert_array_equal(cooked.argsort(axis=1, kind="stable"), many.argsort(axis=1, kind="stable"))
    np.testing.assert_allclose(cooked.sum(axis=1), 1, rtol=1e-12 if temperature != 1 else 1e-6)
    np.testing.assert_allclose(two.sum(axis=1), 1, rtol=1e-12)
    assert temperature != 1 or cooked is many


@pytest.fixture(scope="module")
def clear() -> tuple[np.ndarray, np.ndarray]:
    """Classes that a line tells apart."""
    X = np.random.default_rng(2).normal(size=(1_600, 4))
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


@pytest.mark.parametrize("loss, low, high", [("cross_entropy", 1.5, 9.9), ("hinge", 0.101, 0.8), ("focal", 0.101, 0.8)])
def test_rows_of_neither_part_gain(clear, loss, low, high):
    """A network that learned from better rows than come is too sure, one of margins or focal loss not sure enough."""
    X, y = clear
    if low > 1:
        y = np.where((np.arange(1_600) >= 300) & (np.random.default_rng(3).uniform(size=1_600) < 0.2), 1 - y, y)
    model = MLPClassifier(**FAST, loss=loss, metric="auc").fit(X[:300], y[:300], X_val=X[300:600], y_val=y[300:600])
    plain = pickle.loads(pickle.dumps(model))
    plain.temperature_ = 1.0
    assert low < model.temperature_ < high
    before, after = (log_loss(y[600:, None], m.predict_proba(X[600:])) for m in (plain, model))
    assert after < before
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))


def test_ordered_classes_and_labels_have_a_temperature(clear):
    X, _ = clear
    levels = np.digitize(X[:, 0], [-1, 0, 1])
    labels = np.column_stack([levels > 0, levels > 1, X[:, 1] > 0]).astype(int)
    for y, options in ((levels, {"loss": "ordinal"}), (labels, {}), (levels, {})):
        truth = y if y.ndim == 2 else y[:, None]
        model = MLPClassifier(**FAST, label_smoothing=0.4, **options)
        model.fit(X[:500], y[:500], X_val=X[500:1000], y_val=y[500:1000])
        tempered = model.predict_proba(X[1000:])
        if y.ndim == 1:
            np.testing.assert_allclose(tempered.sum(axis=1), 1, rtol=1e-9)
        assert model.temperature_ != 1
        decided, temperature, model.temperature_ = model.predict(X), model.temperature_, 1.0
        np.testing.assert_array_equal(model.predict(X), decided)
        np.testing.assert_allclose(temper(model.predict_proba(X[1000:]), temperature, y.ndim == 2), tempered, rtol=1e-12)
        assert log_loss(truth[1000:], tempered) < log_loss(truth[1000:], model.predict_proba(X[1000:]))


def test_training_knows_no_temperature(clear):
    X, y = clear
    model, plain = (MLPClassifier(**FAST, metric="auc", calibrate=c).fit(X[:300], y[:300]) for c in (True, False))
    assert plain.temperature_ == 1.0
    assert model.history_ | {"seconds": 0} == plain.history_ | {"seconds": 0}
    for name, weight in plain.weights_.items():
        np.testing.assert_array_equal(model.weights_[name], weight)


def test_without_held_out_rows_it_is_one_again(clear):
    X, y = clear
    model = MLPClassifier(**FAST, loss="hinge").fit(X[:300], y[:300])
    assert model.temperature_ != 1
    model.partial_fit(X[:300], y[:300])
    assert model.temperature_ == 1
    assert MLPClassifier(**FAST, loss="hinge", validation_fraction=0).fit(X[:300], y[:300]).temperature_ == 1


def test_folds_never_soften_the_average_of_their_models():
    """Each model of a fold is too sure, their average less so: the temperature of one would be too much for it."""
    X = np.random.default_rng(2).normal(size=(1_600, 6))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + np.random.default_rng(3).logistic(0, 1, 1_600) > 0).astype(int)
    options = {"units": (128, 128), "metric": "accuracy", "epochs": 60, "patience": 60, "dropout": 0.0, "bagging": 8}
    model = MLPClassifier(**FAST | options).fit(X[:400], y[:400])
    alone = fit_temperature(y[:400, None].astype(float), model.out_of_fold_, None)
    assert alone > 1.1
    assert model.temperature_ == 1
    p = model.predict_proba(X[400:])
    assert log_loss(y[400:, None], p) < log_loss(y[400:, None], temper(p, alone, False))


def test_out_of_fold_probabilities_are_at_the_temperature(clear):
    X, y = clear
    model, plain = (MLPClassifier(**FAST, loss="hinge", bagging=3, calibrate=c).fit(X[:300], y[:300]) for c in (True, False))
    expected = fit_temperature(y[:300, None].astype(float), plain.out_of_fold_, None)
    assert model.temperature_ == pytest.approx(expected, rel=1e-9) != 1  # sums of NumPy 1 depend on how rows lie in memory
    np.testing.assert_array_equal(model.out_of_fold_, temper(plain.out_of_fold_, model.temperature_, False))
    np.testing.assert_array_equal(model.predict_proba(X), temper(plain.predict_proba(X), model.temperature_, False))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e9, float("nan"), "1"])
def test_a_forged_temperature_is_refused(clear, temperature):
    X, y = clear
    state, arrays = pack(MLPClassifier(**FAST | {"epochs": 1}).fit(X[:100], y[:100]))
    assert unpack(MLPClassifier, json.loads(json.dumps(state)), arrays).temperature_ == state["temperature"]
    with pytest.raises((ValueError, TypeError)):
        unpack(MLPClassifier, state | {"temperature": temperature}, arrays)
    del state["temperature"]
    assert unpack(MLPClassifier, state, arrays).temperature_ == 1, "files of before there were temperatures"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_decides_as_without(name):
    case = Case(models.load_class(name), series_sizes(name))
    for params, y in (({}, case.y), ({"loss": "ordinal"}, np.digitize(case.signal, np.quantile(case.signal, [0.3, 0.6])))):
        model, plain = (case.new(calibrate=c, metric="auc", **params).fit(case.table, y) for c in (True, False))
        np.testing.assert_array_equal(model.predict(case.table), plain.predict(case.table))
        expected = temper(plain.predict_proba(case.table), model.temperature_, False)
        np.testing.assert_array_equal(model.predict_proba(case.table), expected)
        loaded = saved_and_loaded(model) if not name.startswith("Keras") else model
        assert loaded.temperature_ == model.temperature_


@pytest.mark.parametrize("calibrate", [True, False])
def test_epochs_are_judged_at_the_temperature_that_their_predictions_would_get(clear, calibrate):
    """Labels of the training rows are better than those that come: all epochs are too sure."""
    X, y = clear
    noisy = np.where((np.arange(1_600) >= 300) & (np.random.default_rng(3).uniform(size=1_600) < 0.2), 1 - y, y)
    model = MLPClassifier(**FAST, calibrate=calibrate).fit(X[:300], noisy[:300], X_val=X[300:600], y_val=noisy[300:600])
    told = model.history_["val_log_loss"][model.best_epoch_ - 1]
    assert (model.temperature_ > 1) == calibrate
    np.testing.assert_allclose(told, log_loss(noisy[300:600, None], model.predict_proba(X[300:600])), rtol=1e-4)
