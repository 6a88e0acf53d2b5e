"""Windows over a series: views, gaps filled from the past only, made-up steps before the first one."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.encoding.windows import Series, fill_gaps, window_blocks


def windows(series: Series, *cut: int) -> np.ndarray:
    return np.concatenate([values for values, _ in window_blocks(series, *cut)])


def test_windows_are_views_from_the_last_one_back() -> None:
    series = Series.of(np.arange(10.0), lookback=3, season=1)
    (values, known), *rest = window_blocks(series, 3, 2, 0, 10)
    assert not rest
    assert values.base is not None
    assert np.shares_memory(values, series.values)
    assert values[0].tolist() == [5, 6, 7, 8, 9]
    assert values[-1].tolist() == [0, 0, 0, 1, 2]
    assert known[-1].tolist() == [False, False, True, True, True]


def test_horizons_stay_in_their_span() -> None:
    series = Series.of(np.arange(20.0), lookback=4, season=1)
    found = windows(series, 4, 3, 10, 16)
    assert found[:, 4:].min() == 10
    assert found[:, 4:].max() == 15
    assert len(windows(series, 4, 3, 10, 16, 2)) == 2
    assert not list(window_blocks(series, 4, 3, 10, 12))


def test_gaps_are_filled_from_the_season_before_and_never_from_later() -> None:
    values = np.array([1.0, 2, 3, np.nan, 5, 6, 7, np.nan, np.nan])
    assert fill_gaps(values, 3).tolist() == [1, 2, 3, 1, 5, 6, 7, 5, 6]
    assert fill_gaps(values, 1).tolist() == [1, 2, 3, 3, 5, 6, 7, 7, 7]
    changed = values.copy()
    changed[4:] = 99
    assert fill_gaps(changed, 3)[:4].tolist() == fill_gaps(values, 3)[:4].tolist()
    assert np.isnan(values[3])


@pytest.mark.parametrize("steps", [5, 11, 30])
@pytest.mark.parametrize("lookback", [3, 6, 9, 20])
def test_no_window_sees_what_is_to_come(steps: int, lookback: int) -> None:
    for spike in range(steps):
        values = np.arange(float(steps))
        values[spike] = 999
        for window in (w for block, _ in window_blocks(Series.of(values, lookback, 6), lookback, 3, 0, steps) for w in block):
            assert not (999 in window[:lookback] and 999 in window[lookback:])


def test_leading_gaps_and_empty_series() -> None:
    assert fill_gaps(np.array([np.nan, np.nan, 4.0, 5.0]), 2).tolist() == [4, 4, 4, 5]
    assert fill_gaps(np.full(3, np.nan), 2).tolist() == [0, 0, 0]


def test_a_short_series_repeats_its_first_season_before_its_first_step() -> None:
    values, known = Series.of(np.array([1.0, 2.0, 3.0]), lookback=5, season=2).window(7)
    assert values.tolist() == [1, 2, 1, 2, 1, 2, 3]
    assert known.tolist() == [False, False, False, False, True, True, True]
    values, _ = Series.of(np.array([7.0]), lookback=4, season=2).window(5)
    assert values.tolist() == [7] * 5
