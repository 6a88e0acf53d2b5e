"""Learning-rate schedules against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.training.schedules import SCHEDULES, factors

T = np.linspace(0, 0.999, 200)
FORMULAS = {
    "constant": lambda t: np.ones_like(t),
    "cosine": lambda t: (1 + np.cos(np.pi * t)) / 2,
    "linear": lambda t: 1 - t,
    "exponential": lambda t: 0.01**t,
    "step": lambda t: np.where(t < 1 / 3, 1, np.where(t < 2 / 3, 0.1, 0.01)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_follows_its_formula(schedule):
    got = factors(schedule, T, 0.0)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, FORMULAS[schedule](T), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES)
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
