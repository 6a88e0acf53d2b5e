"""The linear kernel in closed form: exact where the series is, and blind to what it is tested on."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.encoding.windows import Series
from tabdl.training.linear import STRONG, Choice, average_seasons, repeat_seasons, search, solve, sum_windows


def walk(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=steps).cumsum()


def test_seasonal_naives() -> None:
    seen = np.array([[1.0, 2, 3, 4, 5, 6]])
    assert repeat_seasons(seen, 3, 2, 1).tolist() == [[5, 6, 5]]
    assert repeat_seasons(seen, 3, 2, 0).tolist() == [[3, 4, 3]]
    np.testing.assert_allclose(seen @ average_seasons(6, 3, 2, 2), [[4, 5, 4]])


def test_recovers_a_linear_recurrence() -> None:
    x = np.zeros(200)
    x[:3] = 1.0, 0.5, -0.3
    for t in range(3, 200):
        x[t] = 1.6 * x[t - 1] - 1.1 * x[t - 2] + 0.4 * x[t - 3] + 0.1 * x[0]
    x = x + 5
    sums = sum_windows([Series.of(x, 8, 1)], [(8, 200)], 8, 4, 1)
    kernel = solve(sums, [Choice(8, 1, 1e-9)], 1)
    np.testing.assert_allclose(x[40:48] @ kernel, x[48:52], atol=1e-3 * x.std())


def test_a_seasonal_series_is_its_prior() -> None:
    x = np.tile([1.0, 4.0, 2.0, 9.0], 30)
    sums = sum_windows([Series.of(x, 8, 4)], [(8, 120)], 8, 6, 4)
    kernel = solve(sums, [Choice(8, 1, 0.1)], 4)
    np.testing.assert_allclose(x[-8:] @ kernel, [1, 4, 2, 9, 1, 4], atol=1e-9)


def test_a_shift_of_the_series_shifts_the_forecast() -> None:
    sums = sum_windows([Series.of(walk(150), 10, 1)], [(1, 150)], 10, 5, 1)
    np.testing.assert_allclose(solve(sums, [Choice(10, 1, 0.1), Choice(5, 7, 1.0)], 1).sum(axis=0), 2 - 1, atol=1e-9)


def test_stronger_penalties_come_nearer_to_the_prior() -> None:
    sums = sum_windows([Series.of(walk(150), 12, 4)], [(1, 150)], 12, 4, 4)
    prior = average_seasons(12, 4, 4, 1)
    away = [np.abs(solve(sums, [Choice(12, 1, penalty)], 4) - prior)[:-1].sum() for penalty in (1e-3, 1.0, 1e6)]
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-3


def test_a_gap_counts_less_and_a_window_of_gaps_not_at_all() -> None:
    x = walk(100)
    whole = sum_windows([Series.of(x, 10, 1)], [(10, 100)], 10, 5, 1)
    holed = x.copy()
    holed[50:53] = np.nan
    some = sum_windows([Series.of(holed, 10, 1)], [(10, 100)], 10, 5, 1)
    assert some.weight[0] < whole.weight[0]
    holed[40:70] = np.nan
    few = sum_windows([Series.of(holed, 10, 1)], [(10, 100)], 10, 5, 1)
    assert few.windows < some.windows <= whole.windows


@pytest.mark.parametrize("season", [1, 7])
def test_no_sum_looks_into_the_steps_after_its_span(season: int) -> None:
    x = walk(120)
    spiked = x.copy()
    spiked[90:] += 1e6
    first, second = (sum_windows([Series.of(v, 20, season)], [(1, 90)], 20, 6, season) for v in (x, spiked))
    for name in ("seen", "both", "next", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(*(solve(s, [Choice(20, 1, 0.1)], season) for s in (first, second)))


def test_the_search_finds_the_lookback_that_is_needed() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    for t in range(9, 400):
        x[t] += 0.95 * x[t - 9]  # only a lookback of 9 knows
    parts = [sum_windows([Series.of(x, 12, 1)], [span], 12, 1, 1) for span in ((1, 300), (300, 400))]
    best = search(*parts, [3, 12], 1, errors=50)
    assert best[0].lookback == 12
    assert sum(choice.weight for choice in best) == pytest.approx(1)
    assert len(search(*parts, [3, 12], 1, errors=1)) > len(best)


def test_fewer_windows_than_a_season_has_steps_are_not_trusted() -> None:
    values = np.tile(np.random.default_rng(0).normal(size=12), 4) + 0.1 * np.random.default_rng(1).normal(size=48)
    series = [Series.of(values, 12, 12)]
    held = sum_windows(series, [(36, 48)], 12, 6, 12)
    for begin, few in ((24, True), (12, False)):
        trial = sum_windows(series, [(begin, 36)], 12, 6, 12)
        assert (trial.windows < 12) == few
        assert (min(choice.penalty for choice in search(trial, held, [12], 12, 0.1)) >= STRONG) == few


def test_a_level_far_from_zero_is_no_repetition() -> None:
    x = walk(100)
    near, far = (sum_windows([Series.of(level + x, 10, 1)], [(10, 100)], 10, 5, 1) for level in (0.0, 1e10))
    assert near.windows == far.windows > 0
    np.testing.assert_allclose(far.seen, near.seen, rtol=1e-3, atol=1e-4)
    repeated = 0.3 * np.resize([1.0, 2.0, 3.0, 4.0], 100) * (1 + 1e-16 * np.arange(100))
    assert not sum_windows([Series.of(1e10 * repeated, 10, 4)], [(10, 100)], 10, 5, 4).windows
