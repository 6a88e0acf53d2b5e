"""Seasons of series: the cycles of the calendar that the steps themselves confirm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabdl.times import Frequency

CYCLES = (60, 3_600, 86_400, 604_800, 31_557_600)  # seconds of a minute, an hour, a day, a week, a year
CONVINCING = 0.15  # correlation of a step's change with that one season before
DEVIATIONS = 4  # of chance, that a correlation needs where no calendar names the season
NEARLY = 0.6  # of the best correlation: from here on the shortest season is the main one
STANDS_OUT = 0.03  # correlation of a week of days above that of fewer days
LONGEST = 400  # steps of a season that no calendar names
MOST_SERIES, MOST_STEPS = 200, 5_000


def find_seasons(series: Sequence[np.ndarray], frequency: Frequency) -> tuple[int, ...]:
    """The main season in steps, and longer ones that the series have as well; (1,) where none is convincing.

    series: arrays (steps,), NaN for gaps. The calendar names the candidates: 24 and 168 for hours, 7 and 365 for days, 5 for
    working days, 12 for months, 4 for quarters; plain numbers as times leave all. A season must fit into a series twice.
    """
    chosen = np.linspace(0, len(series) - 1, min(len(series), MOST_SERIES)).round().astype(int)
    changes = [_changes(series[i][-MOST_STEPS:]) for i in chosen]
    longest = max((len(part) for part in changes), default=0) // 2
    named = [lag for lag in cycles(frequency) if lag <= longest]
    if frequency.kind == "number":
        return _find_unnamed(changes, min(longest, LONGEST))
    found = {lag: correlation(changes, lag) for lag in named}
    best = max(found.values(), default=0.0)
    if best < CONVINCING:
        return (1,)
    seasons = [lag for lag, value in found.items() if value >= max(NEARLY * best, CONVINCING)]
    return tuple(seasons[:2])


def cycles(frequency: Frequency) -> list[int]:
    """Seasons of the calendar in steps, in ascending order; none for plain numbers."""
    if frequency.kind == "month":
        return [12 // frequency.step] if 12 % frequency.step == 0 and frequency.step < 12 else []
    if frequency.kind == "workday":
        return [5, 261]
    if frequency.kind == "number":
        return []
    lags = [(cycle / (frequency.step / 1e6), cycle) for cycle in CYCLES]
    return [round(lag) for lag, cycle in lags if lag >= 2 and (lag == round(lag) or cycle == CYCLES[-1])]


def correlation(changes: Sequence[np.ndarray], lag: int) -> float:
    """Mean over the series of the correlation of what is `lag` steps apart; series shorter than twice that do not count."""
    values = [_correlate(part, lag) for part in changes if len(part) >= 2 * lag]
    return float(np.mean(values)) if values else 0.0


def _changes(values: np.ndarray) -> np.ndarray:
    """From step to step, less their mean; without the level, a trend looks like no season. Gaps stay NaN."""
    changes = np.diff(values)
    known = ~np.isnan(changes)
    if not known.any():
        return np.zeros(0)
    return changes - changes[known].mean()


def _correlate(values: np.ndarray, lag: int) -> float:
    product, squares = values[lag:] * values[:-lag], values**2
    if np.isnan(product).all() or not np.nansum(squares) > 0:
        return 0.0
    return float(np.nanmean(product) / np.nanmean(squares))


def _find_unnamed(changes: list[np.ndarray], longest: int) -> tuple[int, ...]:
    """The first peak of the correlation that comes near the highest."""
    found = np.array([correlation(changes, lag) for lag in range(1, longest + 1)])
    chance = DEVIATIONS / np.sqrt(max(sum(map(len, changes)), 1))
    least = max(CONVINCING, chance)
    if len(found) < 2 or found[1:].max() < least:
        return (1,)
    around = np.concatenate([[np.inf], found, [-np.inf]])  # lag k at position k; lag 1 is no season
    peaks = [k for k in range(2, longest + 1) if around[k] >= max(around[k - 1], around[k + 1])]
    near = [k for k in peaks if around[k] >= max(0.75 * found[1:].max(), least)]
    return (near[0], *_find_longer(found, near[0], chance)) if near else (1,)


def _find_longer(found: np.ndarray, season: int, chance: float) -> list[int]:
    """The first whole number of seasons, three or more, that stands out of all fewer ones and of the next.

    found: correlation at each lag from 1 on. chance: what it may make of one.
    """
    values = found[season - 1 :: season]  # of one season, two ...
    rise = max(STANDS_OUT, chance)
    several = range(3, len(values))
    longer = [
        m for m in several if values[m - 1] > max(*values[1 : m - 1], values[m]) and values[m - 1] - min(values[1:m]) >= rise
    ]
    return [longer[0] * season] if longer else []
