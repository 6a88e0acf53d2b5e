"""Seasons: named by the calendar, confirmed by the series."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.seasons import cycles, find_seasons
from tabdl.times import Frequency

HOUR = Frequency("fixed", 3_600_000_000)
DAY = Frequency("fixed", 86_400_000_000)
MONTH, QUARTER, YEAR = (Frequency("month", step) for step in (1, 3, 12))
WORKDAY, NUMBER = Frequency("workday", 1), Frequency("number", 1)


def noise(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=steps)


def pattern(season: int, steps: int, strength: float = 2.0, seed: int = 1) -> np.ndarray:
    return np.resize(strength * noise(season, seed), steps) + noise(steps)


def test_the_calendar_names_candidates() -> None:
    assert cycles(HOUR) == [24, 168, 8766]
    assert cycles(DAY) == [7, 365]
    assert cycles(Frequency("fixed", 900_000_000)) == [4, 96, 672, 35064]
    assert cycles(Frequency("fixed", 7 * 86_400_000_000)) == [52]
    assert [cycles(f) for f in (MONTH, QUARTER, YEAR, NUMBER)] == [[12], [4], [], []]
    assert cycles(WORKDAY) == [5, 261]


@pytest.mark.parametrize(
    ("season", "frequency"),
    [(24, HOUR), (7, DAY), (12, MONTH), (4, QUARTER), (5, WORKDAY), (52, Frequency("fixed", 7 * 86_400_000_000))],
)
def test_a_season_of_the_calendar_is_found(season: int, frequency: Frequency) -> None:
    assert find_seasons([pattern(season, 6 * season + 40) for _ in range(3)], frequency)[0] == season


@pytest.mark.parametrize("frequency", [HOUR, DAY, MONTH, NUMBER])
def test_noise_and_trends_have_none(frequency: Frequency) -> None:
    assert find_seasons([noise(150, seed) for seed in range(5)], frequency)[0] == 1
    assert find_seasons([noise(150, seed).cumsum() for seed in range(5)], frequency)[0] == 1
    assert find_seasons([np.arange(150.0)], frequency)[0] == 1


@pytest.mark.parametrize("season", [3, 10, 12, 31])
def test_numbers_as_times_leave_it_to_the_series(season: int) -> None:
    assert find_seasons([pattern(season, 8 * season + 50, strength=10.0)], NUMBER)[0] == season


@pytest.mark.parametrize("season", [12, 24])
@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_season_of_numbers_is_not_its_first_steps(season: int, seed: int) -> None:
    wave = 10 * np.sin(2 * np.pi * np.arange(300) / season)
    assert find_seasons([wave + noise(300, seed)], NUMBER) == (season,)


def test_one_series_of_noise_has_no_season() -> None:
    assert [find_seasons([noise(steps, steps)], NUMBER) for steps in range(60, 160, 10)] == [(1,)] * 10


def test_days_and_weeks_together() -> None:
    days, weeks = pattern(24, 168 * 5), np.repeat(2 * noise(7, 5), 24)
    both = days * np.resize(1 + np.abs(weeks), 168 * 5)
    assert find_seasons([both], HOUR) == (24, 168)
    assert find_seasons([both], NUMBER) == (24, 168)


@pytest.mark.parametrize("season", [7, 12, 24])
def test_one_season_of_numbers_as_times_is_not_several(season: int) -> None:
    assert find_seasons([pattern(season, 20 * season, seed=seed) for seed in range(10)], NUMBER) == (season,)


def test_short_gappy_and_constant_series() -> None:
    gappy = pattern(12, 100)
    gappy[::7] = np.nan
    assert find_seasons([gappy, np.full(50, 2.0), np.array([1.0]), np.full(20, np.nan)], MONTH)[0] == 12
    assert find_seasons([pattern(12, 20)], MONTH)[0] == 1
    assert find_seasons([], MONTH)[0] == 1
