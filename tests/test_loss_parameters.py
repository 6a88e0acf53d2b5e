"""The effects of `loss`, `metric`, `class_weight`, `label_smoothing` and `quantiles`, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from effects import ROWS, X, c, classifier, effect, regressor, start, y
from sklearn import metrics

from tabdl import MLPClassifier, MLPRegressor


def _log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p[:, 1] / p[:, 0])


@effect("Classifier.loss")
def test_losses_of_two_classes() -> None:
    models_ = {loss: start(classifier, X, c, loss=loss) for loss in MLPClassifier.fields["loss"].options}
    for loss, model in models_.items():
        p = model.predict_proba(X)
        true = p[np.arange(ROWS), c]
        expected = {
            "focal": (1 - true) ** 2 * -np.log(true),
            "hinge": np.maximum(0, 1 - (2 * c - 1) * _log_odds(p)),
        }.get(loss, -np.log(true))
        assert model.history_["loss"][0] == pytest.approx(expected.mean(), rel=1e-4), loss


@effect("Classifier.loss")
def test_losses_of_three_classes() -> None:
    three = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    for loss in MLPClassifier.fields["loss"].options:
        model = start(classifier, X, three, loss=loss)
        p = np.maximum(model.predict_proba(X), 1e-30)  # ordered classes may have none at all
        true = p[np.arange(ROWS), three]
        wrong = np.where(np.arange(3) == three[:, None], -np.inf, np.log(p)).max(axis=1)
        above, on = 1 - np.cumsum(p, axis=1)[:, :2], three[:, None] > np.arange(2)  # P(y > k), y > k
        expected = {
            "focal": (1 - true) ** 2 * -np.log(true),
            "hinge": np.maximum(0, 1 + wrong - np.log(true)),
            "ordinal": -np.log(np.where(on, above, 1 - above)).sum(axis=1),
        }.get(loss, -np.log(true))
        assert model.history_["loss"][0] == pytest.approx(expected.mean(), rel=1e-3), loss


@effect("Classifier.loss")
def test_ordinal_loss_uses_the_order() -> None:
    """Far classes cost more than near ones: with the true order every class is ranked better than with a shuffled one."""
    levels = np.digitize(X[:, 0], [-1, -0.3, 0.3, 1])
    errors = []
    for name in ([0, 1, 2, 3, 4], [2, 4, 0, 3, 1]):
        labels = np.array(name)[levels]
        model = classifier(loss="ordinal", epochs=30, learning_rate=0.02, validation_fraction=0).fit(X, labels)
        errors.append((model.predict(X) != labels).mean())
    assert errors[0] < errors[1]


@effect("Classifier.label_smoothing")
def test_label_smoothing() -> None:
    options = {"epochs": 60, "learning_rate": 0.05, "validation_fraction": 0}
    sure, modest = (classifier(label_smoothing=s, **options).fit(X, c).predict_proba(X).max(axis=1).mean() for s in (0, 0.4))
    assert sure > modest + 0.05
    assert modest == pytest.approx(0.8, abs=0.1)  # the goal is 0.8 for the class and 0.2 for the other
    smooth, kl = (start(classifier, X, c, loss=loss, label_smoothing=0.4) for loss in ("cross_entropy", "kl"))
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert smooth.history_["loss"][0] - kl.history_["loss"][0] == pytest.approx(entropy, rel=1e-4)


@effect("Classifier.class_weight")
def test_class_weight() -> None:
    options = {"epochs": 5, "learning_rate": 0.01}
    means = [classifier(class_weight=w, **options).fit(X, c).predict_proba(X)[:, 1].mean() for w in ({0: 9}, None, {1: 9})]
    assert means[0] < means[1] - 0.1
    assert means[1] + 0.1 < means[2]
    share = c.mean()
    balanced, explicit = (
        classifier(class_weight=w, validation_fraction=0, **options).fit(X, c).predict_proba(X)
        for w in ("balanced", {0: 0.5 / (1 - share), 1: 0.5 / share})
    )
    np.testing.assert_allclose(balanced, explicit, rtol=1e-5)
    assert balanced[:, 1].mean() == pytest.approx(0.5, abs=0.1)


@effect("Classifier.calibrate")
def test_calibrate() -> None:
    """Margins of the hinge loss are no probabilities: held-out rows make them so, and what is chosen stays."""
    rows = np.random.default_rng(1).normal(size=(1200, 3))
    labels = (rows[:, 0] > 0).astype(int)
    options = {"loss": "hinge", "metric": "auc", "epochs": 30, "learning_rate": 0.02}
    given = {"X_val": rows[100:500], "y_val": labels[100:500]}
    with_, without = (classifier(calibrate=on, **options).fit(rows[:100], labels[:100], **given) for on in (True, False))
    assert without.temperature_ == 1
    assert with_.temperature_ < 0.8
    new, true = rows[500:], labels[500:]
    np.testing.assert_array_equal(with_.predict(new), without.predict(new))
    assert metrics.log_loss(true, with_.predict_proba(new)) < metrics.log_loss(true, without.predict_proba(new)) - 0.02
    expected = _log_odds(without.predict_proba(new)) / with_.temperature_
    np.testing.assert_allclose(_log_odds(with_.predict_proba(new)), expected, rtol=1e-6)


@effect("Classifier.metric")
@pytest.mark.parametrize("metric", MLPClassifier.fields["metric"].options)
def test_metric_of_classes(metric: str) -> None:
    model = classifier(metric=metric, epochs=6, learning_rate=0.05, calibrate=False)
    model.fit(X[:70], c[:70], X_val=X[70:], y_val=c[70:])
    scores = np.array(model.history_[f"val_{metric}"])
    lower = metric in ("log_loss", "brier")
    assert model.best_epoch_ == 1 + int(np.argmin(scores) if lower else np.argmax(scores))
    p, truth = model.predict_proba(X[70:])[:, 1], c[70:]
    expected = {
        "log_loss": lambda: metrics.log_loss(truth, p),
        "accuracy": lambda: metrics.accuracy_score(truth, p > 0.5),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(truth, p > 0.5),
        "auc": lambda: metrics.roc_auc_score(truth, p),
        "average_precision": lambda: metrics.average_precision_score(truth, p),
        "brier": lambda: 2 * np.mean((p - truth) ** 2),  # summed over both classes
    }[metric]()
    best = min(scores) if lower else max(scores)
    assert best in (pytest.approx(expected, rel=1e-4), pytest.approx(expected / 2, rel=1e-4) if metric == "brier" else None)


@effect("Regressor.loss")
@pytest.mark.parametrize("loss", MLPRegressor.fields["loss"].options)
def test_losses_of_numbers(loss: str) -> None:
    target = np.floor(np.exp(y / 3)) if loss in ("poisson", "log_mse") else y
    model = start(regressor, X, target, loss=loss)
    predicted = model.predict(X)
    error = np.abs(predicted - target) / target.std()
    expected = {
        "mse": lambda: error**2,
        "mae": lambda: error,
        "huber": lambda: np.where(error <= 1, error**2 / 2, error - 0.5),
        "log_mse": lambda: (np.log1p(predicted) - np.log1p(target)) ** 2 / np.log1p(target).var(),
        "poisson": lambda: predicted / target.mean() - target / target.mean() * np.log(predicted / target.mean()),
    }[loss]()
    assert model.history_["loss"][0] == pytest.approx(expected.mean(), rel=1e-3)
    assert loss != "poisson" or (predicted > 0).all()


@effect("Regressor.quantiles")
def test_quantiles() -> None:
    target = np.random.default_rng(5).normal(100, 10, ROWS)
    model = regressor(quantiles=(0.1, 0.5, 0.9), epochs=80, learning_rate=0.05, validation_fraction=0, units=(2,)).fit(X, target)
    predicted = model.predict(X)
    assert predicted.shape == (ROWS, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    np.testing.assert_allclose((target[:, None] <= predicted).mean(axis=0), [0.1, 0.5, 0.9], atol=0.1)


@effect("Regressor.metric")
def test_metric_of_numbers() -> None:
    target = np.exp(y / 3)
    expected = {
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "r2": metrics.r2_score,
        "poisson_deviance": lambda t, p: metrics.mean_poisson_deviance(t, np.maximum(p, 1e-12)),
        "pinball": lambda t, p: metrics.mean_pinball_loss(t, p, alpha=0.5),
    }
    for metric, score in expected.items():
        model = regressor(metric=metric, epochs=5, learning_rate=0.05).fit(X[:70], target[:70], X_val=X[70:], y_val=target[70:])
        scores = model.history_[f"val_{metric}"]
        best = max(scores) if metric == "r2" else min(scores)
        assert model.best_epoch_ == 1 + scores.index(best)
        assert best == pytest.approx(score(target[70:], model.predict(X[70:])), rel=1e-4)
    named = [
        ({}, "rmse"),
        ({"loss": "mae"}, "mae"),
        ({"loss": "poisson"}, "poisson_deviance"),
        ({"quantiles": (0.2, 0.8)}, "pinball"),
    ]
    for params, metric in named:
        assert f"val_{metric}" in regressor(**params).fit(X, target).history_
