"""Seasons of series: the cycles of the calendar that the steps themselves confirm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabdl.times import Frequency

CYCLES = (60, 3_600, 86_400, 604_800, 31_557_600)  # seconds of a minute, an hour, a day, a week, a year
CONVINCING = 0.15  # correlation of a step's change with that one season before
DEVIATIONS = 4  # of chance, that a correlation needs where no calendar names the season
NEAR_HIGHEST = 0.75  # of the highest correlation: from here on a lag may be a season that no calendar names
AGAIN = 0.5  # of the correlation at a season: the least mean over its multiples
DIP = 0.4  # of the correlation at a season: what that of shorter lags and of longer ones must fall below
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
    """The first hump of the correlation that comes near the highest; a season is where it and its multiples are highest."""
    found = np.array([1.0, *(correlation(changes, lag) for lag in range(1, longest + 1))])  # lag k at position k
    products = np.array([sum(max(len(part) - lag, 0) for part in changes) for lag in range(len(found))])
    chance = 1 / np.sqrt(np.maximum(products, 1))  # standard deviations
    near = found >= np.maximum(NEAR_HIGHEST * found[2:].max(initial=0), CONVINCING)
    first = next((k for k in range(2, longest + 1) if near[k] and _stands_alone(found, k)), None)
    if first is None:
        return (1,)
    low = np.flatnonzero(found[first:] < DIP * found[first])
    hump = range(first, first + low[0] if len(low) else longest + 1)
    season = max(hump, key=lambda lag: found[lag::lag].mean())
    again = found[season::season]  # after one season, two ...
    if again.mean() < AGAIN * again[0] or again.sum() < DEVIATIONS * np.sqrt((chance[season::season] ** 2).sum()):
        return (1,)
    return season, *_find_longer(found[1:], season, DEVIATIONS * chance[0])


def _stands_alone(found: np.ndarray, lag: int) -> bool:
    """Whether the correlation dips before a lag, and after it: of the changes of a smooth series it is high at first as well.

    Of noise it dips at lag 1, which tells nothing.
    """
    sides = found[2:lag], found[lag + 1 : 2 * lag]
    return all(side.min() < DIP * found[lag] for side in sides if len(side))


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
