"""Series -> thousands of scaled features for a ridge: MiniRocket and Hydra on the series and on its first differences.

Features of a row depend on its own steps alone, never on the padding behind them or on the other rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tabdl.encoding.columns import _array
from tabdl.encoding.hydra import Hydra
from tabdl.encoding.minirocket import MiniRocket
from tabdl.encoding.summaries import Summaries

CHUNK = 1 << 17  # steps of rows at a time, so that the work stays in the cache
LANES = 8  # rows of a chunk are filled up to a multiple: sums of a row run in one order, whatever rows are beside it


class RocketKernels:
    """Random convolution kernels fitted to training series.

    Parameters
    ----------
    features : MiniRocket features of the series, and as many of its differences
    groups : Hydra groups of eight kernels for each dilation of the series, and as many of its differences

    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(20, 30, 1)).astype(np.float32)
    >>> lengths = np.full(20, 30)
    >>> kernels = RocketKernels(features=840, groups=4).fit(values, lengths, seed=0)
    >>> kernels.transform(values[:3], lengths[:3]).shape
    (3, 2076)
    """

    def __init__(self, features: int = 10_000, groups: int = 32) -> None:
        self.features, self.groups = features, groups

    def fit(self, values: np.ndarray, lengths: np.ndarray, seed: int) -> RocketKernels:
        """Fit kernels and scales. values: float32 (rows, steps, channels), zeros after the end; lengths: int (rows,), >= 1."""
        self.fit_transform(values, lengths, seed)
        return self

    def fit_transform(self, values: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
        """`fit`, and the features of these rows at no further cost."""
        self._plan(int(np.median(lengths)), values.shape[2])
        rng = np.random.default_rng(seed)
        for series, steps, mini, hydra in self._sides(values.transpose(2, 1, 0), lengths):
            mini.fit(series, steps, rng)
            hydra.draw(rng)
        raw = self._raw(values, lengths)
        at = self._counts
        raw[:, at] = np.sqrt(np.maximum(raw[:, at], 0))
        self.center = raw.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = raw.std(axis=0, dtype=np.float64)
        spread[at] += (raw[:, at] == 0).mean(axis=0) ** 4
        self.factor = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6).astype(np.float32)
        return self._scaled(raw)

    def transform(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Scaled features, float32 (rows, width)."""
        raw = self._raw(values, lengths)
        raw[:, self._counts] = np.sqrt(np.maximum(raw[:, self._counts], 0))
        return self._scaled(raw)

    def _plan(self, length: int, channels: int) -> None:
        self.length, self.channels = length, channels
        self.minis = [MiniRocket(size, channels, self.features) for size in (length, max(length - 1, 1))]
        self.hydras = [Hydra(size, channels, self.groups) for size in (length, max(length - 1, 1))]
        self.summaries = Summaries(channels)
        widths = [part.width for part in (*self.minis, *self.hydras, self.summaries)]
        self.ends = np.cumsum(widths)
        self.width = int(self.ends[-1])

    @property
    def _counts(self) -> slice:
        return slice(self.ends[1], self.ends[3])

    def _sides(self, series: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, MiniRocket, Hydra]]:
        """The series and its differences, float32 (channels, steps, rows), with their lengths and kernels."""
        yield series, lengths, self.minis[0], self.hydras[0]
        if series.shape[1] > 1:
            time = np.arange(series.shape[1] - 1)[:, None]
            changes = np.where(time < lengths - 1, np.diff(series, axis=1), np.float32(0))
        else:
            changes = np.zeros_like(series)
        yield changes, np.maximum(lengths - 1, 1), self.minis[1], self.hydras[1]

    def _raw(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        raw = np.empty((len(values), self.width), np.float32)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            rows = order[start : start + max(CHUNK // int(lengths[order[start]]), 1)]
            rows = rows[: max(CHUNK // int(lengths[rows[-1]]), 1)]
            steps, filled = int(lengths[rows[-1]]), -(-len(rows) // LANES) * LANES
            series = np.zeros((values.shape[2], steps, filled), np.float32)
            series[:, :, : len(rows)] = values[rows, :steps].transpose(2, 1, 0)
            sizes = np.ones(filled, np.int64)
            sizes[: len(rows)] = lengths[rows]
            parts: list[np.ndarray] = []
            for side, sizes_, mini, hydra in self._sides(series, sizes):
                parts += [mini.transform(side, sizes_), hydra.transform(side, sizes_)]
            parts = [parts[0], parts[2], parts[1], parts[3], self.summaries.transform(series, sizes)]
            raw[rows] = np.concatenate(parts, axis=1)[: len(rows)]
            start += len(rows)
        return raw

    def _scaled(self, raw: np.ndarray) -> np.ndarray:
        empty = raw[:, self._counts] == 0
        raw -= self.center
        raw *= self.factor
        raw[:, self._counts][empty] = 0  # a kernel that never won says nothing
        return raw
