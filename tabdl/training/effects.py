"""Effects of covariates whose future is known: of what is new in them, which the past of a series could not tell.

A promotion each Friday is in a forecast from the past already; one on a Tuesday is not. So the error of such a forecast is
explained by how the covariates differ from what the same kernel forecasts of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tabdl.encoding.windows import Series
from tabdl.training.forecasts import Forecasts

PENALTIES = (np.inf, 1.0, 0.1, 1e-2, 1e-3)  # of the mean square of the news; the first leaves no effect
MOST_WINDOWS = 20_000
SMALLEST = 0.1  # scale of a window, of that of its series


@dataclass(frozen=True)
class Windows:
    """Places in series: the number of the series, and the padded position of the first step ahead; both (windows,)."""

    whose: np.ndarray
    at: np.ndarray

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: np.ndarray) -> Windows:
        return Windows(self.whose[rows], self.at[rows])

    def seen(self, series: Sequence[Series], lookback: int) -> np.ndarray:
        """(windows, lookback) values before each place."""
        return self._gather([part.values for part in series], -lookback, lookback)

    def known(self, series: Sequence[Series], lookback: int) -> np.ndarray:
        """bool (windows, lookback): what was observed of them."""
        return self._gather([part.known for part in series], -lookback, lookback)

    def ahead(self, series: Sequence[Series], horizon: int) -> np.ndarray:
        """(windows, horizon) values from each place on, NaN for gaps."""
        values = self._gather([part.values for part in series], 0, horizon)
        return np.where(self._gather([part.known for part in series], 0, horizon), values, np.nan)

    def _gather(self, arrays: Sequence[np.ndarray], start: int, size: int) -> np.ndarray:
        found = np.empty((len(self), size), arrays[0].dtype)
        for i in np.unique(self.whose):
            own = self.whose == i
            found[own] = sliding_window_view(arrays[i], size)[self.at[own] + start]
        return found


def place_windows(series: Sequence[Series], horizon: int, held: int, inside: bool, most: int = MOST_WINDOWS) -> Windows:
    """Windows whose steps ahead lie all in the last `held` steps (`inside`), or all before them; about `most` of them."""
    spans = [(max(part.steps - held, 1), part.steps - horizon) if inside else (1, part.steps - held - horizon) for part in series]
    total = sum(max(stop - start + 1, 0) for start, stop in spans)
    stride = max(1, total // most)
    whose, at = [], []
    for i, (part, (start, stop)) in enumerate(zip(series, spans, strict=True)):
        places = np.arange(stop, start - 1, -stride)
        if len(places) and np.isfinite(part.values[part.lookback :]).any():
            whose.append(np.full(len(places), i))
            at.append(part.lookback + places)
    none = [np.zeros(0, np.int64)]
    return Windows(np.concatenate(whose or none), np.concatenate(at or none))


def scale_of(seen: np.ndarray, known: np.ndarray, season: int, usual: np.ndarray) -> np.ndarray:
    """Root mean square of what changes over a season in each window, (windows, 1), between steps that are known.

    usual: (windows, 1), that of the whole series: for windows that know less than a season, and a tenth of it at least.
    """
    lag = season if season < seen.shape[1] else 1
    both = known[:, lag:] & known[:, :-lag]
    count = both.sum(axis=1, keepdims=True)
    squares = np.where(both, np.square(seen[:, lag:] - seen[:, :-lag]), 0).sum(axis=1, keepdims=True)
    scale = np.sqrt(squares / np.maximum(count, 1))
    return np.where(count < max(min(season, seen.shape[1] - lag), 1), usual, np.maximum(scale, SMALLEST * usual))


def news(kernel: np.ndarray, past: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What the kernel did not expect of `ahead` (windows, horizon, covariates) from `past` (windows, lookback, covariates)."""
    recent = past[:, -len(kernel) :]
    level = recent[:, -1:]
    return ahead - (np.einsum("wlc,lh->whc", recent - level, kernel, optimize=True) + level)


def fit_effects(x: np.ndarray, error: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients (covariates,) of scaled errors (windows, horizon), NaN for gaps, on news (windows, horizon, covariates)."""
    if np.isinf(penalty):
        return np.zeros(x.shape[2])
    there = np.isfinite(error)
    rows, y = x[there], error[there]
    products = rows.T @ rows
    unit = np.trace(products) / max(len(products), 1) or 1.0
    return np.linalg.solve(products + penalty * unit * np.eye(len(products)), rows.T @ y)


def choose_effects(
    model: Forecasts, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
) -> tuple[float, np.ndarray]:
    """(penalty, effects) with the least absolute error of held-out windows; each part is (news, scaled errors)."""
    tried = [(penalty, fit_effects(*before, penalty)) for penalty in PENALTIES]
    errors = [float(np.nanmean(np.abs(after[1] - after[0] @ effects))) for _, effects in tried]
    return tried[int(np.argmin(errors))]
