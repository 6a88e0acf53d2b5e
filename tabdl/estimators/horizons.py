"""Windows of series as forecasting networks see them: changes from the last value, in units of what changes over a season."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tabdl.training.effects import errors_of
from tabdl.training.forecasts import Forecasts, Windows, read_values, relative_error, volatility

WINDOWS = 20_000  # to learn from, at most
MOST_CELLS = 5e7  # of their arrays
SEASONS, HORIZONS = 8, 2  # that a network sees, the larger; eight days are a week and what it changes from
LEAST_UNIT = 0.1  # of a series' usual changes
MOST_SEEN = 100.0  # units that a value may be away from the last one
MOST_RESIDUAL = 10.0  # units that the linear forecast may be off
DOUBT = 0.05  # the most likely that chance may make a gain for which a network counts
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the network that are tried
SPANS = 3  # of the held-out time, in each of which a network has to help


def seen_steps(model: Forecasts) -> int:
    """Of a window, the last steps that a network sees."""
    return min(model.lookback, max(SEASONS * model.seasons[0], HORIZONS * model.horizon))


def window_limit(steps: int, horizon: int, features: int) -> int:
    """How many windows to learn from."""
    return int(min(WINDOWS, max(MOST_CELLS / ((steps + horizon) * (features + 2)), 1_000)))


def add_residual(model: Forecasts, forecast: np.ndarray, residual: np.ndarray) -> np.ndarray:
    return forecast * np.exp(residual.clip(-MOST_RESIDUAL, MOST_RESIDUAL)) if model.log else forecast + residual


def window_units(model: Forecasts, windows: Windows, usual: np.ndarray) -> np.ndarray:
    """What each window changes over a season, at least a share of what its series usually does; (windows,)."""
    return np.maximum(volatility(model, windows.seen), LEAST_UNIT * usual)


def encode_windows(
    model: Forecasts,
    windows: Windows,
    forecast: np.ndarray,
    unit: np.ndarray,
    features: np.ndarray,
    covariates: int,
    past: np.ndarray,
) -> dict[str, np.ndarray]:
    """Arrays "sequence", "mask" and "future" of windows.

    forecast: (windows, horizon), which is part of the future. features: (windows, steps + horizon, features), the first of them
    `covariates`, the others of the calendar, which is told ahead alone. past: mask of the features that nobody knows ahead.
    """
    steps = features.shape[1] - model.horizon
    seen = read_values(model, windows.seen)
    last, size = seen[:, -1:], np.where(unit > 0, unit, 1.0)[:, None]
    before = ((seen[:, -steps:] - last) / size).clip(-MOST_SEEN, MOST_SEEN)
    ahead = ((read_values(model, forecast) - last) / size).clip(-MOST_SEEN, MOST_SEEN)
    return {
        "sequence": np.concatenate([before[:, :, None], features[:, :steps, :covariates]], axis=2, dtype=np.float32),
        "mask": windows.known[:, -steps:].astype(np.float32),
        "future": np.concatenate([ahead[:, :, None], features[:, steps:, ~past]], axis=2, dtype=np.float32),
    }


def residuals(model: Forecasts, forecast: np.ndarray, windows: Windows, unit: np.ndarray) -> np.ndarray:
    """What the forecast leaves, in units, float32 (windows, horizon); zero in gaps, where nothing is known to be wrong."""
    off = errors_of(model, forecast, windows) / np.where(unit > 0, unit, 1.0)[:, None]
    return np.nan_to_num(off, nan=0.0).clip(-MOST_RESIDUAL, MOST_RESIDUAL).astype(np.float32)


@dataclass(frozen=True)
class Judged:
    """Held-out windows that judge a network. plain: forecasts without it, (windows, horizon). unit: (windows,).

    scale: (series,), of the errors.
    """

    model: Forecasts
    windows: Windows
    plain: np.ndarray
    unit: np.ndarray
    scale: np.ndarray

    def forecast(self, found: np.ndarray, share: float) -> np.ndarray:
        """With a share of what the network found, (windows, horizon)."""
        residual = found.clip(-MOST_RESIDUAL, MOST_RESIDUAL)
        return add_residual(self.model, self.plain, share * self.unit[:, None] * residual)

    def error(self, found: np.ndarray, share: float) -> float:
        """Over that of the seasonal naive forecast."""
        return relative_error(self.model, self.windows, self.forecast(found, share), self.scale)

    def worst(self, found: np.ndarray, share: float) -> float:
        """Error over that without the network, in the span of the held-out time where it is largest."""
        spans, ratios = _spans(self.windows.series, self.windows.begin), []
        for span in range(SPANS):
            index = np.flatnonzero((spans == span) & ~np.isnan(self.windows.after).all(axis=1))
            if len(index):
                part = replace(self, windows=self.windows.take(index), plain=self.plain[index], unit=self.unit[index])
                ratios.append(part.error(found[index], share) / max(part.error(found[index], 0.0), 1e-300))
        return max(ratios, default=1.0)

    def doubt(self, found: np.ndarray, share: float) -> float:
        """How likely chance alone makes the error fall so: a t test, in which windows of a series that overlap count as one."""
        from scipy.stats import t

        after, known = self.windows.after, ~np.isnan(self.windows.after)
        gains = np.abs(self.plain - after) - np.abs(self.forecast(found, share) - after)  # (windows, horizon)
        gains = np.where(known, gains, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1) / self.scale[self.windows.series]
        cells = np.stack([self.windows.series, self.windows.begin // after.shape[1]])
        _, place = np.unique(cells, axis=1, return_inverse=True)
        means = np.bincount(place.ravel(), gains) / np.bincount(place.ravel())
        if len(means) < 2:
            return 1.0
        return float(t.sf(means.mean() / max(means.std(ddof=1) / np.sqrt(len(means)), 1e-300), len(means) - 1))

    def validation(self, arrays: dict[str, np.ndarray]) -> Any:
        """What training needs to find the best epoch; arrays: inputs of these windows."""
        from tabdl.training.train import Validation

        def judge(forward: Callable[[dict[str, np.ndarray]], np.ndarray]) -> float:
            found = forward(arrays).astype(np.float64)
            return min(self.error(found, share) for share in SHARES[1:])

        return Validation("error", False, judge, arrays | {"plain": self.plain, "after": self.windows.after})


def _spans(series: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """(windows,) int: the span of its series' held-out time in which a window begins, the first of them 0."""
    order = np.lexsort((begin, series))
    _, first, counts = np.unique(series[order], return_index=True, return_counts=True)
    rank = np.arange(len(series)) - np.repeat(first, counts)
    spans = np.empty(len(series), int)
    spans[order] = SPANS * rank // np.repeat(counts, counts)
    return spans
