"""Validation metrics against scikit-learn, with and without weights."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import tabdl
from tabdl.training.metrics import CLASSIFICATION, LARGER_IS_BETTER, METRICS, REGRESSION

RNG = np.random.default_rng(0)
N = 80
ON = RNG.uniform(0.05, 0.95, N)
BINARY, PAIR = RNG.integers(0, 2, (N, 1)), np.column_stack([1 - ON, ON])
CLASS, MANY = RNG.integers(0, 4, (N, 1)), RNG.dirichlet(np.ones(4), N)
LABELS, SHARES = RNG.integers(0, 2, (N, 3)), RNG.uniform(0.05, 0.95, (N, 3))
REAL, GUESS = RNG.gamma(2, 3, (N, 2)) * [1, 50], RNG.gamma(2, 3, (N, 2)) * [1, 50]
HOT = np.eye(4)[CLASS[:, 0]]
WEIGHTS = [None, RNG.uniform(0.2, 3, N)]
weighted = pytest.mark.parametrize("w", WEIGHTS, ids=["even", "weighted"])


def close(name, y, p, w, expected, **extra):
    assert METRICS[name](y, p, w, **extra) == pytest.approx(expected, rel=1e-9)


@weighted
def test_binary_metrics(w):
    y, kw = BINARY[:, 0], {"sample_weight": w}
    close("log_loss", BINARY, PAIR, w, sk.log_loss(y, ON, **kw))
    close("accuracy", BINARY, PAIR, w, sk.accuracy_score(y, ON > 0.5, **kw))
    close("balanced_accuracy", BINARY, PAIR, w, sk.balanced_accuracy_score(y, ON > 0.5, **kw))
    close("auc", BINARY, PAIR, w, sk.roc_auc_score(y, ON, **kw))
    close("average_precision", BINARY, PAIR, w, sk.average_precision_score(y, ON, **kw))
    close("brier", BINARY, PAIR, w, sk.brier_score_loss(y, ON, **kw))


@weighted
def test_many_classes(w):
    y, kw = CLASS[:, 0], {"sample_weight": w}
    close("log_loss", CLASS, MANY, w, sk.log_loss(y, MANY, **kw))
    close("accuracy", CLASS, MANY, w, sk.accuracy_score(y, MANY.argmax(1), **kw))
    close("balanced_accuracy", CLASS, MANY, w, sk.balanced_accuracy_score(y, MANY.argmax(1), **kw))
    close("auc", CLASS, MANY, w, sk.roc_auc_score(HOT, MANY, average="macro", **kw))
    close("average_precision", CLASS, MANY, w, sk.average_precision_score(HOT, MANY, average="macro", **kw))
    close("brier", CLASS, MANY, w, sk.mean_squared_error(HOT, MANY, **kw))


@weighted
def test_labels(w):
    kw = {"sample_weight": w}
    close("log_loss", LABELS, SHARES, w, np.mean([sk.log_loss(LABELS[:, j], SHARES[:, j], **kw) for j in range(3)]))
    close("accuracy", LABELS, SHARES, w, sk.accuracy_score(LABELS, SHARES > 0.5, **kw))
    close("auc", LABELS, SHARES, w, sk.roc_auc_score(LABELS, SHARES, **kw))
    close("average_precision", LABELS, SHARES, w, sk.average_precision_score(LABELS, SHARES, **kw))
    close("brier", LABELS, SHARES, w, sk.mean_squared_error(LABELS, SHARES, **kw))
    recall = sk.recall_score(LABELS, SHARES > 0.5, average="macro", **kw)
    close("balanced_accuracy", LABELS, SHARES, w, recall)


@weighted
@pytest.mark.parametrize("column", [slice(None), 0], ids=["two outputs", "one"])
def test_numbers(w, column):
    y, p, kw = REAL[:, column], GUESS[:, column], {"sample_weight": w}
    close("rmse", y, p, w, sk.root_mean_squared_error(y, p, **kw))
    close("mae", y, p, w, sk.mean_absolute_error(y, p, **kw))
    close("r2", y, p, w, sk.r2_score(y, p, **kw))
    pairs = [(REAL[:, j], GUESS[:, j]) for j in ((0, 1) if column != 0 else (0,))]
    close("poisson_deviance", y, p, w, np.mean([sk.mean_poisson_deviance(a, b, **kw) for a, b in pairs]))


@weighted
def test_pinball_averages_the_levels(w):
    y, levels = REAL[:, 0], (0.1, 0.7)
    expected = np.mean([sk.mean_pinball_loss(y, GUESS[:, j], alpha=a, sample_weight=w) for j, a in enumerate(levels)])
    close("pinball", y, GUESS, w, expected, levels=levels)
    close("pinball", y, GUESS[:, 0], w, sk.mean_pinball_loss(y, GUESS[:, 0], alpha=0.5, sample_weight=w))


def test_weights_equal_repeated_rows():
    weight = RNG.integers(1, 4, N)
    for names, y, p in ((CLASSIFICATION, CLASS, MANY), (REGRESSION, REAL, GUESS)):
        for name in names:
            repeated = METRICS[name](np.repeat(y, weight, axis=0), np.repeat(p, weight, axis=0), None)
            assert METRICS[name](y, p, weight.astype(float)) == pytest.approx(repeated, rel=1e-9), name


def test_degenerate_validation_rows_give_a_number():
    alone = np.zeros((10, 1), int)
    assert METRICS["auc"](alone, PAIR[:10], None) == 0.5
    assert METRICS["average_precision"](alone, PAIR[:10], None) == 0.5
    assert METRICS["balanced_accuracy"](alone, np.tile([0.9, 0.1], (10, 1)), None) == 1.0
    assert METRICS["r2"](np.ones(5), np.zeros(5), None) == 0.0
    assert np.isfinite(METRICS["log_loss"](BINARY, np.tile([1.0, 0.0], (N, 1)), None))
    assert METRICS["poisson_deviance"](np.array([0.0, 2.0]), np.array([0.0, 2.0]), None) == pytest.approx(0, abs=1e-9)


def test_a_better_prediction_scores_better_in_the_declared_direction():
    for names, y, perfect, worse in ((CLASSIFICATION, CLASS, HOT * 0.96 + 0.01, MANY), (REGRESSION, REAL, REAL, GUESS)):
        for name in names:
            gain = METRICS[name](y, perfect, None) - METRICS[name](y, worse, None)
            assert (gain > 0) == (name in LARGER_IS_BETTER), name


def test_documented_names_are_the_known_ones():
    assert set(CLASSIFICATION) == set(tabdl.MLPClassifier.fields["metric"].options)
    assert {"auto", *REGRESSION} == set(tabdl.MLPRegressor.fields["metric"].options)
    assert set(CLASSIFICATION) | set(REGRESSION) == set(METRICS) >= LARGER_IS_BETTER
