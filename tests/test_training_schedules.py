"""Learning-rate schedules against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.training.schedules import FADES, SCHEDULES, factors, fades

T = np.linspace(0, 0.999, 200)
FORMULAS = {
    "constant": lambda t: np.ones_like(t),
    "cosine": lambda t: (1 + np.cos(np.pi * t)) / 2,
    "linear": lambda t: 1 - t,
    "exponential": lambda t: 0.01**t,
    "coslog4": lambda t: (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2,
    "step": lambda t: np.where(t < 1 / 3, 1, np.where(t < 2 / 3, 0.1, 0.01)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_follows_its_formula(schedule):
    got = factors(schedule, T, 0.0)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, FORMULAS[schedule](T), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", [s for s in SCHEDULES if s != "coslog4"])
@pytest.mark.parametrize("warmup", [0.05, 0.5])
def test_warmup_rises_linearly_and_the_schedule_follows(schedule, warmup):
    got = factors(schedule, T, warmup)
    rising = warmup > T
    np.testing.assert_allclose(got[rising], T[rising] / warmup, rtol=1e-5)
    np.testing.assert_allclose(got[~rising], FORMULAS[schedule]((T[~rising] - warmup) / (1 - warmup)), rtol=1e-4, atol=1e-6)
    assert got.max() <= 1


def test_every_documented_schedule_exists():
    assert set(SCHEDULES) == set(FORMULAS)


def test_shape_is_kept_and_unknown_names_fail():
    assert factors("cosine", np.zeros((2, 3)), 0.1).shape == (2, 3)
    with pytest.raises(KeyError, match="zigzag"):
        factors("zigzag", T, 0.0)


def test_coslog4_has_four_cycles_each_twice_as_long():
    places = [(2**k - 1) / 15 for k in range(5)]
    np.testing.assert_allclose(factors("coslog4", np.array(places), 0.0), 0, atol=1e-6)
    peaks = [(2 ** (k + 0.5) - 1) / 15 for k in range(4)]
    np.testing.assert_allclose(factors("coslog4", np.array(peaks), 0.0), 1, atol=1e-6)
    np.testing.assert_allclose(np.diff(places)[1:] / np.diff(places)[:-1], 2)
    np.testing.assert_array_equal(factors("coslog4", T, 0.3), factors("coslog4", T, 0.0), err_msg="it rises by itself")


def test_fades_follow_their_formulas():
    assert FADES == ("none", "flat_cosine")
    for fade in FADES:
        assert fades(fade, T.reshape(2, 100)).shape == (2, 100)
        assert fades(fade, T).dtype == np.float32
    np.testing.assert_array_equal(fades("none", T), 1)
    got = fades("flat_cosine", T)
    np.testing.assert_array_equal(got[T < 0.5], 1)
    late = T[T >= 0.5]
    np.testing.assert_allclose(got[T >= 0.5], np.cos(np.pi * (late - 0.5)) ** 2, atol=1e-6)
    assert (np.diff(got) <= 0).all()
    assert fades("flat_cosine", np.array([1.0])) == pytest.approx(0, abs=1e-7)
