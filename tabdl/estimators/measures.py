"""What intervals are measured in: how much a series changes over a season, and how far windows are from their means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabdl.encoding.windows import Series
from tabdl.training.forecasts import Forecasts, Windows, deviation, usual_deviation, volatility

RECENT_SEASONS = 7
LEAST_TOLD = 1e-9  # of the largest measure of a series: below, a series only repeats itself
TRUST = 2.0  # steps of an unknown series after which its own measures count as much as those of all


@dataclass(frozen=True)
class Measures:
    """own: (series, 2), changes over a season and deviations, as the kernel sees values.

    typical: (2,), their medians over series, in levels of these. level: the median one; 0 where levels tell nothing of changes,
    as of logarithms and of values below zero.
    """

    own: np.ndarray
    typical: np.ndarray
    level: float

    @classmethod
    def learn(cls, model: Forecasts, series: list[Series]) -> Measures:
        steps = [part.values[part.lookback :] for part in series]
        own = np.array([(volatility(model, part[None])[0], usual_deviation(model, part)) for part in steps])
        levels = np.array([np.abs(part).mean() for part in steps])
        relative = not model.log and min(part.min() for part in steps) >= 0
        level = _median(levels[levels > 0]) if relative else 0.0
        units = cls(own, np.ones(2), level).typical_at(levels)
        told = own / units > LEAST_TOLD * (own / units).max(axis=0)
        typical = np.array([_median(own[told[:, k], k] / units[told[:, k], k]) for k in (0, 1)])
        return cls(np.where(told, own, units * typical), typical, level)

    def typical_at(self, levels: np.ndarray) -> np.ndarray:
        """Where nothing else is known; (series, 2)."""
        return np.outer(np.where(levels > 0, levels, self.level) if self.level else np.ones(len(levels)), self.typical)

    def usual(self, model: Forecasts, windows: Windows) -> np.ndarray:
        """Of the series of each window; of one that is not known as far as its steps tell, else what is typical; (windows, 2)."""
        found = self.own[windows.series]
        for i in np.flatnonzero(windows.series < 0):
            seen = windows.seen[i : i + 1, -min(int(windows.begin[i]), model.lookback) :]
            typical = self.typical_at(np.abs(seen).mean(axis=1))[0]
            own = np.array([volatility(model, seen)[0], deviation(model, seen)[0]])
            found[i] = np.sqrt(((seen.shape[1] - 1) * own**2 + TRUST * typical**2) / (seen.shape[1] - 1 + TRUST))
        return found

    def recent(self, model: Forecasts, windows: Windows) -> np.ndarray:
        """Changes over the last seasons, and how far windows are from their means; (windows, 2).

        What is usual where a series is not known, or a window has steps that were made up.
        """
        last = windows.seen[:, -(RECENT_SEASONS + 1) * model.seasons[0] :]
        found = np.stack([volatility(model, last), deviation(model, windows.seen)], axis=1)
        short = (windows.series < 0) | (windows.begin < model.lookback)
        return np.where(short[:, None], self.usual(model, windows), found)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0
