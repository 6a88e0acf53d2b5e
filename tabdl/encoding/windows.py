"""Windows of a series, cut without copying: `lookback` steps that are seen, and the `horizon` steps that follow them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 4096  # windows taken at a time


@dataclass(frozen=True)
class Series:
    """A series without gaps, with `lookback` made-up steps before its first.

    values: (lookback + steps,). known: bool, which of them were observed. lookback: steps that were put before the first.
    repeated: how many of the first steps these repeat.
    """

    values: np.ndarray
    known: np.ndarray
    lookback: int
    repeated: int

    @classmethod
    def of(cls, values: np.ndarray, lookback: int, season: int) -> Series:
        """values: (steps,), NaN for gaps, filled from what came before. Before the first step its season repeats."""
        known = ~np.isnan(values)
        filled = fill_gaps(values, season)
        first = filled[:season] if len(filled) >= season else filled[:1]
        before = np.resize(first[::-1], lookback)[::-1]
        return cls(np.concatenate([before, filled]), np.concatenate([np.zeros(lookback, bool), known]), lookback, len(first))

    @property
    def steps(self) -> int:
        return len(self.values) - self.lookback

    def window(self, lookback: int) -> tuple[np.ndarray, np.ndarray]:
        """The last `lookback` values and which of them are known, both (lookback,)."""
        return self.values[len(self.values) - lookback :], self.known[len(self.known) - lookback :]

    def map(self, function: np.ufunc) -> Series:
        return replace(self, values=function(self.values))


def fill_gaps(values: np.ndarray, season: int) -> np.ndarray:
    """A copy without NaN: a gap takes the value one season before it; (steps,) -> (steps,), zeros where nothing is known."""
    gaps = np.isnan(values)
    filled = values.astype(np.float64)
    if gaps.all():
        return np.zeros(len(values))
    filled[: np.argmin(gaps)] = values[np.argmin(gaps)]
    for step in np.flatnonzero(np.isnan(filled)):  # in order: a gap may take what an earlier one was filled with
        filled[step] = filled[max(step - season, 0)] if step >= season else filled[step - 1]
    return filled


def window_blocks(
    series: Series, lookback: int, horizon: int, start: int, stop: int, stride: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Views (windows, lookback + horizon) of values and of what is known; the horizon begins at step `start` or later.

    The last window's horizon ends with step `stop` - 1; from there windows go back, `stride` steps each. Windows in which
    made-up steps would repeat what is to come are left out.
    """
    start = max(start, min(series.repeated, lookback))
    first, last = series.lookback - lookback + start, series.lookback + min(stop, series.steps)
    if last - first < lookback + horizon:
        return
    views = [sliding_window_view(part[first:last], lookback + horizon)[::-1][::stride] for part in (series.values, series.known)]
    for begin in range(0, len(views[0]), BLOCK):
        yield views[0][begin : begin + BLOCK], views[1][begin : begin + BLOCK]
