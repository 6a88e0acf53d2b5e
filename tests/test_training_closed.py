"""Ridge in closed form, against scikit-learn and against fits that really leave a row out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tabdl.training import closed
from tabdl.training.closed import fit_ridge

SHAPES = [(40, 8), (20, 60), (30, 30), (9, 8)]  # more rows than features, fewer, as many


def problem(rows: int, columns: int, outputs: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, (rows, columns))
    y = x[:, :outputs] * [1, -2, 3][:outputs] + rng.normal(5, 1, (rows, outputs))
    return x, y, rng.integers(1, 4, rows).astype(float)


def reference(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> Ridge:
    return Ridge(alpha=ridge, solver="svd").fit(x, y, sample_weight=weight)


def total_square(x: np.ndarray, weight: np.ndarray) -> float:
    return float(weight @ np.square(x - weight @ x / weight.sum()).sum(axis=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 1.0])
def test_agrees_with_scikit_learn(shape, penalty):
    x, y, weight = problem(*shape)
    ridge = fit_ridge(x, y, weight, penalties=np.array([penalty]))
    expected = reference(x, y, weight, penalty * total_square(x, weight))
    assert ridge.penalty == penalty
    np.testing.assert_allclose(ridge.coefficients, expected.coef_.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ridge.predict(x), expected.predict(x), rtol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", [1e-5, 1e-2])
def test_left_out_predictions_are_those_of_refits(shape, penalty):
    x, y, weight = problem(*shape)
    left_out = fit_ridge(x, y, weight, penalties=np.array([penalty])).left_out
    alpha = penalty * total_square(x, weight)
    for row in range(len(x)):
        rest = np.arange(len(x)) != row
        expected = reference(x[rest], y[rest], weight[rest], alpha).predict(x[[row]])[0]
        np.testing.assert_allclose(left_out[row], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_the_same_as_repeated_rows(shape):
    x, y, _ = problem(*shape)
    times = np.random.default_rng(1).integers(0, 4, len(x))
    weighted, repeated = fit_ridge(x, y, times), fit_ridge(x.repeat(times, 0), y.repeat(times, 0))
    assert weighted.penalty == repeated.penalty
    np.testing.assert_array_equal(weighted.coefficients, repeated.coefficients)
    np.testing.assert_array_equal(weighted.left_out.repeat(times, 0), repeated.left_out)
    gone = times == 0
    np.testing.assert_allclose(weighted.left_out[gone], repeated.predict(x[gone]))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_unit_matters(shape):
    x, y, weight = problem(*shape)
    once, other = fit_ridge(x, y, weight), fit_ridge(x * 1e3, y * 1e-2, weight * 7)
    assert other.penalty == once.penalty
    np.testing.assert_allclose(other.left_out, once.left_out * 1e-2, rtol=1e-5)


def test_penalty_is_the_best_of_left_out_rows_by_brute_force():
    x, y, weight = problem(25, 40)
    y += np.random.default_rng(2).normal(0, 4, y.shape)
    errors = []
    for penalty in closed.PENALTIES:
        left_out = fit_ridge(x, y, weight, penalties=np.array([penalty])).left_out
        errors.append(weight @ np.square(left_out - y).sum(axis=1))
    assert fit_ridge(x, y, weight).penalty == closed.PENALTIES[np.argmin(errors)]


def test_noise_is_shrunk_to_the_mean_and_signal_is_kept():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 200))
    noise = fit_ridge(x, rng.normal(7, 1, (60, 1)))
    assert np.ptp(noise.predict(x)) < 0.5
    assert abs(noise.predict(x).mean() - 7) < 0.5
    signal = fit_ridge(x[:, :20], x[:, :1])
    np.testing.assert_allclose(signal.predict(x[:, :20]), x[:, :1], atol=1e-4)


def test_heaviest_penalty_leaves_the_mean():
    x, y, weight = problem(20, 60)
    ridge = fit_ridge(x, y, weight, penalties=closed.PENALTIES[-1:])
    np.testing.assert_allclose(ridge.predict(x), np.tile(weight @ y / weight.sum(), (20, 1)), atol=0.02)


def test_blocks_change_nothing(monkeypatch):
    for shape in SHAPES:
        x, y, weight = problem(*shape)
        whole = fit_ridge(x, y, weight)
        monkeypatch.setattr(closed, "BLOCK", 7)
        parts = fit_ridge(x, y, weight)
        monkeypatch.undo()
        np.testing.assert_allclose(parts.coefficients, whole.coefficients, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(parts.left_out, whole.left_out, rtol=1e-6)


@pytest.mark.parametrize("x", [np.ones((5, 3)), np.ones((5, 9)), np.zeros((5, 0)), np.ones((1, 4))])
def test_nothing_to_learn_from_gives_the_mean(x):
    y = np.arange(len(x), dtype=float)[:, None]
    ridge = fit_ridge(x, y)
    np.testing.assert_allclose(ridge.predict(x), np.full((len(x), 1), y.mean()), atol=1e-9)
    assert np.isfinite(ridge.left_out).all()
    if len(x) > 1:
        np.testing.assert_allclose(ridge.left_out[0], y[1:].mean())


def test_rows_without_weight_are_refused():
    with pytest.raises(ValueError, match="positive weight"):
        fit_ridge(np.ones((3, 2)), np.ones((3, 1)), np.zeros(3))


def test_input_stays_as_it_is_and_fits_repeat():
    x, y, weight = problem(20, 60)
    before = x.copy(), y.copy(), weight.copy()
    once, again = fit_ridge(x, y, weight), fit_ridge(x, y, weight)
    np.testing.assert_array_equal(once.coefficients, again.coefficients)
    for array, kept in zip((x, y, weight), before, strict=True):
        np.testing.assert_array_equal(array, kept)
