"""Losses against NumPy, SciPy and scikit-learn, without and with a member axis."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import log_loss, mean_absolute_error, mean_pinball_loss, mean_squared_error

from tabdl.layers import links
from tabdl.spec import Head
from tabdl.training import losses
from tabdl.training.losses import make_loss

RNG = np.random.default_rng(0)
Z1, Z4 = (RNG.normal(0, 2, (40, n)).astype(np.float32) for n in (1, 4))
BINARY = RNG.integers(0, 2, (40, 1)).astype(np.float32)
CLASS = RNG.integers(0, 4, (40, 1)).astype(np.float32)
LABELS = RNG.integers(0, 2, (40, 4)).astype(np.float32)
REAL = RNG.normal(0, 1.5, (40, 4)).astype(np.float32)
HOT = np.eye(4)[CLASS[:, 0].astype(int)]


def head(loss, link, outputs=4, **more):
    return Head(outputs, link, loss, **more)


def value(y, logits, head):
    convert = keras.ops.convert_to_tensor
    return keras.ops.convert_to_numpy(make_loss(head)(convert(y), convert(logits)))


def bce(y, z):
    return -(y * log_expit(z.astype(float)) + (1 - y) * log_expit(-z.astype(float)))


def descending(z):
    return z[:, :1] - np.cumsum(np.hstack([0 * z[:, :1], np.log1p(np.exp(z[:, 1:]))]), axis=1)


def focal_binary(y, z):
    p = expit(z.astype(float))
    return -(y * (1 - p) ** 2 * np.log(p) + (1 - y) * p**2 * np.log(1 - p))


def focal_classes(hot, z):
    p = softmax(z.astype(float), axis=1)
    return -(hot * (1 - p) ** 2 * np.log(p)).sum(1)


def margin(z):
    wrong = np.where(HOT == 1, -np.inf, z).max(1)
    return np.maximum(0, 1 + wrong - (HOT * z).sum(1))


def entropy(p):
    return -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0), axis=-1)


def soft(y, amount, classes):
    return y * (1 - amount) + amount / classes


CASES = {
    "binary cross-entropy": (head("cross_entropy", "sigmoid", 1), BINARY, Z1, bce(BINARY, Z1)[:, 0]),
    "label cross-entropy": (head("cross_entropy", "sigmoid"), LABELS, Z4, bce(LABELS, Z4).mean(1)),
    "class cross-entropy": (head("cross_entropy", "softmax"), CLASS, Z4, -(HOT * log_softmax(Z4.astype(float), axis=1)).sum(1)),
    "smoothed binary": (head("cross_entropy", "sigmoid", 1, smoothing=0.2), BINARY, Z1, bce(soft(BINARY, 0.2, 2), Z1)[:, 0]),
    "smoothed classes": (
        head("cross_entropy", "softmax", smoothing=0.2), CLASS, Z4,
        -(soft(HOT, 0.2, 4) * log_softmax(Z4.astype(float), axis=1)).sum(1),
    ),
    "binary focal": (head("focal", "sigmoid", 1), BINARY, Z1, focal_binary(BINARY, Z1)[:, 0]),
    "label focal": (head("focal", "sigmoid"), LABELS, Z4, focal_binary(LABELS, Z4).mean(1)),
    "class focal": (head("focal", "softmax"), CLASS, Z4, focal_classes(HOT, Z4)),
    "binary hinge": (head("hinge", "sigmoid", 1), BINARY, Z1, np.maximum(0, 1 - (2 * BINARY - 1) * Z1)[:, 0]),
    "class hinge": (head("hinge", "softmax"), CLASS, Z4, margin(Z4)),
    "binary KL": (head("kl", "sigmoid", 1), BINARY, Z1, bce(BINARY, Z1)[:, 0]),
    "smoothed binary KL": (
        head("kl", "sigmoid", 1, smoothing=0.2), BINARY, Z1,
        (bce(soft(BINARY, 0.2, 2), Z1)[:, 0] - entropy(np.hstack([soft(BINARY, 0.2, 2), 1 - soft(BINARY, 0.2, 2)]))),
    ),
    "smoothed class KL": (
        head("kl", "softmax", smoothing=0.2), CLASS, Z4,
        -(soft(HOT, 0.2, 4) * log_softmax(Z4.astype(float), axis=1)).sum(1) - entropy(soft(HOT, 0.2, 4)),
    ),
    "ordinal": (
        head("ordinal", "cumulative", 3),
        CLASS,
        Z4[:, :3],
        bce((np.arange(3) < CLASS) * 1.0, descending(Z4[:, :3])).sum(1),
    ),
    "mse": (head("mse", "identity"), REAL, Z4, ((REAL - Z4) ** 2).mean(1)),
    "mae": (head("mae", "identity"), REAL, Z4, np.abs(REAL - Z4).mean(1)),
    "huber": (
        head("huber", "identity"), REAL, Z4,
        np.where(np.abs(REAL - Z4) <= 1, 0.5 * (REAL - Z4) ** 2, np.abs(REAL - Z4) - 0.5).mean(1),
    ),
    "poisson": (head("poisson", "exp"), np.abs(REAL), Z4, (np.exp(Z4) - np.abs(REAL) * Z4).mean(1)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_loss_of_each_row_follows_its_formula(case):
    kind, y, logits, expected = CASES[case]
    got = value(y, logits, kind)
    assert got.shape == (40,)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_members_are_averaged_after_the_loss(case):
    kind, y, logits, _ = CASES[case]
    several = [logits, -logits, logits / 3]
    got = value(y, np.stack(several, axis=1), kind)
    np.testing.assert_allclose(got, np.mean([value(y, z, kind) for z in several], axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("members", [0, 3])
def test_pinball_loss_is_scikit_learns_averaged_over_levels(members):
    levels = (0.1, 0.4, 0.5, 0.9)
    kind, y = head("quantile", "ascending", levels=levels), REAL[:, :1]
    several = [Z4 * (1 + k) for k in range(max(members, 1))]
    logits = np.stack(several, axis=1) if members else Z4
    predictions = [keras.ops.convert_to_numpy(links.ascending(keras.ops.convert_to_tensor(z))) for z in several]
    expected = np.mean([[mean_pinball_loss(y[:, 0], p[:, j], alpha=a) for j, a in enumerate(levels)] for p in predictions])
    assert value(y, logits, kind).mean() == pytest.approx(expected, rel=1e-5)


def test_means_agree_with_scikit_learn():
    assert value(BINARY, Z1, head("cross_entropy", "sigmoid", 1)).mean() == pytest.approx(
        log_loss(BINARY[:, 0], expit(Z1[:, 0])), rel=1e-5
    )
    assert value(CLASS, Z4, head("cross_entropy", "softmax")).mean() == pytest.approx(
        log_loss(CLASS[:, 0], softmax(Z4, axis=1)), rel=1e-5
    )
    assert value(REAL, Z4, head("mse", "identity")).mean() == pytest.approx(mean_squared_error(REAL, Z4), rel=1e-5)
    assert value(REAL, Z4, head("mae", "identity")).mean() == pytest.approx(mean_absolute_error(REAL, Z4), rel=1e-5)


@pytest.mark.parametrize(
    "loss, link",
    [("cross_entropy", "sigmoid"), ("focal", "sigmoid"), ("kl", "sigmoid"), ("cross_entropy", "softmax"), ("focal", "softmax")],
)
def test_extreme_logits_stay_finite(loss, link):
    extreme = np.array([[80.0, -80, 0, 40], [-80, 80, 80, -80]], np.float32)
    y = np.array([[0.0], [3.0]], np.float32) if link == "softmax" else np.array([[0, 1, 1, 0], [1, 0, 1, 0]], np.float32)
    assert np.isfinite(value(y, extreme, head(loss, link))).all()


def test_poisson_stays_finite():
    assert np.isfinite(value(np.ones((1, 1), np.float32), np.array([[1e4]], np.float32), head("poisson", "exp", 1))).all()


def test_every_documented_name_has_a_loss_and_a_case():
    import tabdl

    documented = {*tabdl.MLPClassifier.fields["loss"].options, *tabdl.MLPRegressor.fields["loss"].options}
    known = {kind.loss for kind, *_ in CASES.values()} | {"quantile"}
    assert known == set(losses._LOSSES)
    assert documented - {"log_mse"} < known
