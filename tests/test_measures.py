"""What intervals are measured in: of known series, of unknown ones, and of those that tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.encoding.windows import Series
from tabdl.estimators.measures import Measures
from tabdl.training.forecasts import Forecasts, Windows

LOOKBACK = 12


def model(log: bool = False) -> Forecasts:
    return Forecasts(np.zeros((1, 2)), (4,), LOOKBACK, np.zeros((3, 0)), log, 1e-9)


def noisy(level: float, seed: int = 0) -> np.ndarray:
    return level * (1 + 0.1 * np.random.default_rng(seed).normal(size=60))


def windows(values: list[float], series: int) -> Windows:
    seen = Series.of(np.array(values), LOOKBACK, 4).window(LOOKBACK)[0]
    return Windows(seen[None], np.ones((1, LOOKBACK), bool), np.zeros((1, 2)), np.array([series]), np.array([len(values)]))


def learn(*values: np.ndarray, log: bool = False) -> Measures:
    return Measures.learn(model(log), [Series.of(part, LOOKBACK, 4) for part in values])


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
def test_what_tells_nothing_is_as_series_are_at_its_level(log: bool, size: float) -> None:
    found = learn(noisy(size), noisy(3 * size, 1), np.full(60, 2 * size), log=log)
    relative = found.own / (1 if log else size * np.array([[1], [3], [2]]))
    assert relative == pytest.approx(0.1, rel=0.8)
    for values in ([5 * size], [5 * size] * 3):
        (changes, deviations) = found.usual(model(log), windows(values, -1))[0] / (1 if log else 5 * size)
        assert 0.05 < changes < 0.2
        assert 0.05 < deviations < 0.2


def test_an_unknown_series_counts_the_more_the_longer_it_is() -> None:
    found = learn(noisy(10.0))
    wild = (10 + 20 * np.random.default_rng(3).normal(size=12)).tolist()
    sizes = [found.usual(model(), windows(wild[:steps], -1))[0, 0] for steps in (1, 12)]
    assert sizes[0] == pytest.approx(found.typical[0] * abs(wild[0]))
    assert sizes[1] > 5 * sizes[0]


def test_zeros_and_constants_alone() -> None:
    found = learn(noisy(10.0), np.zeros(60))
    assert found.own[1, 0] == pytest.approx(found.own[0, 0])  # nothing tells its level either
    assert found.usual(model(), windows([0.0], -1))[0, 0] == pytest.approx(found.own[0, 0])
    assert (learn(np.full(60, 3.0)).own == 0).all()


def test_steps_that_were_made_up_are_not_recent() -> None:
    found = learn(noisy(10.0))
    for series, values in ((-1, [10.0] * 20), (0, [10.0] * 3)):
        cut = windows(values, series)
        np.testing.assert_array_equal(found.recent(model(), cut), found.usual(model(), cut))
    long = windows([10.0] * 20, 0)
    assert (found.recent(model(), long) == 0).all()
