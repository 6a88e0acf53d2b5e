"""How many rows a category needs, against simulated effects whose variances are known."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.credibility import rows_needed, unexplained

rng = np.random.default_rng(0)
CODES = np.repeat(np.arange(400), rng.integers(2, 40, 400))
ROWS = np.bincount(CODES).astype(float)
ONE = np.ones(len(CODES))
NONE = np.zeros((len(CODES), 0))
EFFECT, NOISE = rng.normal(size=(400, 1))[CODES], rng.normal(size=(len(CODES), 1))
X = rng.normal(size=(len(CODES), 3))


def needed(rest, numbers=NONE, weight=ONE):
    return rows_needed(CODES, np.bincount(CODES, weight), weight, rest, numbers)


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_rows_needed_are_the_ratio_of_the_variances(spread):
    assert needed(EFFECT + spread * NOISE) == pytest.approx(spread**2, rel=0.5)


def test_noise_alone_needs_more_rows_than_there_are():
    assert needed(NOISE) > 300
    assert needed(NOISE, X) > 300, "nor is one of several slopes large by chance"


def test_slopes_count_as_much_as_means():
    assert needed(EFFECT * X[:, :1] + 0.1 * NOISE) > 50
    assert needed(EFFECT * X[:, :1] + 0.1 * NOISE, X) < 4


def test_outputs_share_their_evidence():
    both = np.hstack([EFFECT + NOISE, NOISE[::-1]])
    assert needed(EFFECT + NOISE) < needed(both) == pytest.approx(2.0, rel=0.5)


def test_a_row_of_weight_two_is_two_rows():
    twice = np.concatenate([CODES, CODES])
    rest = EFFECT + NOISE
    found = rows_needed(twice, 2 * ROWS, np.ones(len(twice)), np.vstack([rest, rest]), np.zeros((len(twice), 0)))
    assert needed(rest, weight=2 * ONE) == pytest.approx(found)


def test_a_constant_target_and_a_single_code_say_nothing():
    assert needed(0 * NOISE) == np.inf
    one = np.zeros(50, int)
    assert rows_needed(one, np.array([50.0]), np.ones(50), NOISE[:50], np.zeros((50, 0))) == np.inf


def test_unexplained_leaves_what_single_columns_do_not_tell():
    flag = (rng.random((len(CODES), 1)) < 0.3).astype(float)
    shown = 10 * X[:, :1] + X[:, 1:2] ** 2 + 2 * flag
    left = unexplained(X, flag, ONE, shown + NOISE)
    assert np.std(left - NOISE) < 0.05 * np.std(NOISE)
    centered = unexplained(NONE, NONE, ONE, NOISE + 5)
    np.testing.assert_allclose(centered, NOISE - NOISE.mean(), atol=1e-9)
