"""Series -> thousands of scaled features for a ridge: MiniRocket and Hydra on the series and on its first differences.

The features of a row depend on its own steps alone, never on the padding behind them nor on the rows beside it. Both on both
sides: Dempster, Schmidt, Webb, "Hydra", 2023 (arXiv 2203.13652), section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tabdl.encoding.columns import read_state
from tabdl.encoding.hydra import Hydra
from tabdl.encoding.minirocket import KERNELS, MiniRocket
from tabdl.encoding.summaries import Summaries

CHUNK = 1 << 17  # steps of all rows at a time, so that the work stays in the cache
MOST_CHANNELS = 16  # of a whole chunk; with more channels its rows are fewer
LANES = 8  # rows of a chunk are filled up to a multiple: sums of a row run in one order, whatever rows are beside it
SAMPLE = 256  # training rows that biases come from
SHARES = (1.0, 1.0, 1.0, 1.0, 0.1)  # of the spread: shares of the series and its differences, wins of both, summaries
FLAT = 1e-6  # a feature that varies less over the training rows is left out
FAR = 3.0  # standard deviations, beyond which a feature is clipped: a ridge must not follow a strange series far away


class RocketKernels:
    """Random convolution kernels fitted to training series, and the scales of their features.

    Values are float32 (rows, steps, channels), channels of like spread, zeros after the end of a row; lengths: int (rows,), at
    least 1.

    Parameters
    ----------
    features : MiniRocket features of the series, and as many of its differences; 84 at least
    groups : Hydra groups of eight kernels at each dilation of the series, and as many of its differences

    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(20, 30, 1)).astype(np.float32)
    >>> lengths = np.full(20, 30)
    >>> kernels = RocketKernels(features=840, groups=4).fit(values, lengths, seed=0)
    >>> kernels.transform(values[:3], lengths[:3]).shape
    (3, 1946)
    """

    def __init__(self, features: int = 10_000, groups: int = 32) -> None:
        self.features, self.groups = features, groups

    def fit(self, values: np.ndarray, lengths: np.ndarray, seed: int) -> RocketKernels:
        """Draw kernels by the seed, and fit biases and scales."""
        self.fit_transform(values, lengths, seed)
        return self

    def fit_transform(self, values: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
        """`fit`, and the features of the training rows at no further cost."""
        self._plan(max(int(np.median(lengths)), 1), values.shape[2])
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(values))[:SAMPLE]
        sides = _sides(values[drawn].transpose(2, 1, 0), lengths[drawn])
        for (series, sizes), shares, wins in zip(sides, self.shares, self.wins, strict=True):
            shares.fit(series, sizes, rng)
            wins.draw(rng)
        raw = self._raw(values, lengths)
        self.center, self.factor = np.zeros(self.width, np.float32), np.zeros(self.width, np.float32)
        self.limits = np.zeros(len(SHARES), np.float32)
        for block in range(len(SHARES)):
            self._fit_scale(raw, block)
        return self._scale(raw)

    def transform(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Scaled features, float32 (rows, width): all squares of a training row sum to about `sum(SHARES)`."""
        return self._scale(self._raw(values, lengths))

    def _plan(self, length: int, channels: int) -> None:
        """Kernels for series of `length` steps, and their places among the features."""
        self.length, self.channels = length, channels
        sizes = length, max(length - 1, 1)
        self.shares = [MiniRocket(size, channels, self.features) for size in sizes]
        self.wins = [Hydra(size, channels, self.groups) for size in sizes]
        self.summaries = Summaries(channels)
        ends = np.cumsum([0] + [block.width for block in (*self.shares, *self.wins, self.summaries)]).tolist()
        self.parts = [slice(start, end) for start, end in pairwise(ends)]
        self.width = ends[-1]

    def _raw(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        raw = np.empty((len(values), self.width), np.float32)
        for rows in self._chunks(lengths):
            steps = int(lengths[rows[-1]])
            filled = len(rows) if steps > CHUNK else -(-len(rows) // LANES) * LANES
            series = np.zeros((self.channels, steps, filled), np.float32)
            series[:, :, : len(rows)] = values[rows, :steps].transpose(2, 1, 0)
            sizes = np.ones(filled, np.int64)
            sizes[: len(rows)] = lengths[rows]
            sides = list(_sides(series, sizes))
            blocks = [block.transform(*side) for block, side in zip((*self.shares, *self.wins), sides * 2, strict=True)]
            for part, block in zip(self.parts, [*blocks, self.summaries.transform(series, sizes)], strict=True):
                raw[rows, part] = block[: len(rows)]
        return raw

    def _chunks(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of like length, shortest first."""
        order, start = np.argsort(lengths, kind="stable"), 0
        most = CHUNK * MOST_CHANNELS // max(self.channels, MOST_CHANNELS)
        while start < len(order):
            rows = order[start:]
            for end in (0, -1):  # as many as fit if all are like the shortest, then like the longest of those
                rows = rows[: max(most // max(int(lengths[rows[end]]), self.length), 1)]
            yield rows
            start += len(rows)

    def _fit_scale(self, raw: np.ndarray, block: int) -> None:
        """Means, factors and limit of a block, so that the squares of a row sum to about its share."""
        part, sparse, total = self.parts[block], block in (2, 3), 0.0
        for start in range(part.start, part.stop, 256):
            at = slice(start, min(start + 256, part.stop))
            columns = raw[:, at].astype(np.float64)
            spread = columns.std(axis=0)
            known = spread > FLAT
            zeros = (columns == 0).mean(axis=0) if sparse else np.zeros(len(spread))
            factor = np.divide(1, spread + zeros**4, out=np.zeros_like(spread), where=known)  # rare wins are no large numbers
            self.center[at], self.factor[at] = columns.mean(axis=0), factor
            total += float(np.square(spread * factor).sum())
        unit = np.sqrt(SHARES[block] / max(total, 1e-12))
        self.factor[part] *= unit
        self.limits[block] = FAR * unit

    def _scale(self, raw: np.ndarray) -> np.ndarray:
        wins = raw[:, self.parts[2].start : self.parts[3].stop]
        never = wins == 0
        raw -= self.center
        raw *= self.factor
        for part, limit in zip(self.parts, self.limits, strict=True):
            np.clip(raw[:, part], -limit, limit, out=raw[:, part])
        wins[never] = 0  # a kernel that never wins says nothing
        return raw

    @property
    def state(self) -> dict[str, np.ndarray]:
        """All that `from_state` needs, by name."""
        arrays = {"size": np.array([self.length, self.channels, self.features, self.groups], np.int64)}
        for side, shares, wins in zip(("series", "changes"), self.shares, self.wins, strict=True):
            arrays |= {f"{side}/biases": shares.biases, f"{side}/share_channels": shares.chosen}
            arrays |= {f"{side}/kernels": wins.kernels, f"{side}/win_channels": wins.chosen}
        arrays |= {"center": self.center, "factor": self.factor, "limits": self.limits}
        return {f"rocket/{name}": array for name, array in arrays.items()}

    @classmethod
    def from_state(cls, arrays: dict[str, np.ndarray]) -> RocketKernels:
        """The kernels that had this state; ValueError where an array is of another shape or dtype."""
        length, channels, features, groups = read_state(arrays, "rocket/size", (4,), np.int64).tolist()
        biases = len(KERNELS), max(features // len(KERNELS), 1)
        if min(length, channels, groups) < 1 or arrays["rocket/series/biases"].shape != biases:
            raise ValueError(f"rocket/size: expected sizes of the other arrays, received {arrays['rocket/size'].tolist()}")
        kernels = cls(features, groups)
        kernels._plan(length, channels)
        for side, shares, wins in zip(("series", "changes"), kernels.shares, kernels.wins, strict=True):
            shares.biases = read_state(arrays, f"rocket/{side}/biases", biases, np.float32)
            shares.chosen = read_state(arrays, f"rocket/{side}/share_channels", shares.drawn, bool)
            wins.kernels = read_state(arrays, f"rocket/{side}/kernels", wins.shape, np.float32)
            wins.chosen = read_state(arrays, f"rocket/{side}/win_channels", (*wins.shape[:2], channels), bool)
        kernels.center = read_state(arrays, "rocket/center", (kernels.width,), np.float32)
        kernels.factor = read_state(arrays, "rocket/factor", (kernels.width,), np.float32)
        kernels.limits = read_state(arrays, "rocket/limits", (len(SHARES),), np.float32)
        return kernels


def _sides(series: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The series and its first differences, float32 (channels, steps, rows), each with lengths; of one step: a zero."""
    yield series, lengths
    changes = np.diff(series, axis=1, append=np.float32(0))
    changes *= np.arange(series.shape[1])[:, None] < lengths - 1
    yield changes[:, : max(series.shape[1] - 1, 1)], np.maximum(lengths - 1, 1)
