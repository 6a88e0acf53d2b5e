"""MiniRocket: 84 fixed kernels of nine taps at many dilations; the share of steps where each answers more than its bias.

Dempster, Schmidt, Webb, "MiniRocket: A Very Fast (Almost) Deterministic Transform for Time Series Classification", KDD 2021
(arXiv 2012.08791). NOTE[DIFF]: a series shorter than a kernel answers at all its steps, and steps after its end never count.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

TAPS = 9
KERNELS = tuple(combinations(range(TAPS), 3))  # taps of weight 2; the other six are -1
MOST_DILATIONS = 32
GROUPS = 21  # sets of channels a slot, each for four kernels
MOST_BIASES = 4  # a slot of several channels: then other channels are drawn
DRAWN = 8  # training rows whose answers give the biases of a slot
MOST_ANSWERS = 4_096  # of a row, evenly spaced, that are sorted for its quantiles
GOLDEN = (5**0.5 + 1) / 2


def plan(length: int, features: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Dilations that fit into `length` steps and biases of each kernel at them, int (slots,) each; a dilation may repeat."""
    each = max(features // len(KERNELS), 1)
    most = min(each, MOST_DILATIONS)
    spread = np.logspace(0, np.log2(max((length - 1) / (TAPS - 1), 1)), most, base=2)
    dilations, shares = np.unique(np.floor(spread + 1e-9).astype(np.int64), return_counts=True)
    counts = shares * each // most
    counts[: each - counts.sum()] += 1
    if channels > 1:
        pieces = -(-counts // MOST_BIASES)
        dilations, counts = (
            np.repeat(dilations, pieces),
            np.concatenate([_split(*pair) for pair in zip(counts, pieces, strict=True)]),
        )
    return dilations[counts > 0], counts[counts > 0]


def _split(total: int, pieces: int) -> np.ndarray:
    return np.array([len(part) for part in np.array_split(np.zeros(total), pieces)], dtype=np.int64)


def draw_channels(channels: int, most: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """bool (count, channels): sets of 1 to `most` channels, sizes uniform in their logarithm."""
    sizes = np.floor(2 ** rng.uniform(0, np.log2(min(channels, most) + 1), count)).astype(np.int64)
    order = np.argsort(rng.uniform(size=(count, channels)), axis=1)
    return np.argsort(order, axis=1) < sizes[:, None]


def mixed(series: np.ndarray, chosen: np.ndarray, border: int) -> np.ndarray:
    """Sum of the chosen channels between borders of zeros. series: (channels, steps, rows) -> (steps + 2 border, rows)."""
    total = np.zeros((series.shape[1] + 2 * border, series.shape[2]), np.float32)
    for channel in np.flatnonzero(chosen):
        total[border : total.shape[0] - border] += series[channel]
    return total


class StepCounter:
    """Counts true steps a row: sums of bytes, in blocks of at most 255 steps so that none overflows."""

    def __init__(self, lead: tuple[int, ...], steps: int, rows: int) -> None:
        blocks = -(-steps // 255)
        block = -(-steps // blocks)
        padded = np.zeros((*lead, blocks * block, rows), bool)
        self.true = padded[..., :steps, :]  # to be filled
        self._bytes = padded.view(np.uint8).reshape(*lead, blocks, block, rows)

    def total(self) -> np.ndarray:
        """(lead..., rows) whole numbers."""
        sums = np.add.reduce(self._bytes, axis=-2, dtype=np.uint8)
        return sums[..., 0, :] if sums.shape[-2] == 1 else np.add.reduce(sums, axis=-2, dtype=np.int64)


class MiniRocket:
    """Kernels fitted to the length of the series and to the answers of training rows.

    All series are float32 (channels, steps, rows), zeros after the end of a row; lengths: int (rows,), at least 1.
    """

    def __init__(self, length: int, channels: int, features: int) -> None:
        self.dilations, self.counts = plan(length, features, channels)
        self.channels = channels
        self.drawn = len(self.dilations), 1 if channels == 1 else GROUPS, channels
        self.width = int(self.counts.sum()) * len(KERNELS)

    def fit(self, series: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> None:
        """Draws the channels of each kernel, and biases at quantiles of the answers of drawn training rows."""
        self.chosen = draw_channels(self.channels, TAPS, self.drawn[0] * self.drawn[1], rng).reshape(self.drawn)
        self.biases = np.zeros((len(KERNELS), self.counts.sum()), np.float32)
        levels = np.arange(1, self.biases.size + 1) * GOLDEN % 1
        levels = rng.permutation(levels.reshape(self.biases.shape[::-1])).T  # spread evenly over the kernels of a slot
        ends = np.cumsum(self.counts)
        for slot, end in enumerate(ends):
            rows = rng.integers(len(lengths), size=DRAWN)
            part = series[:, : lengths[rows].max(), rows]
            columns = slice(end - self.counts[slot], end)
            for kernel, answers, _ in self._answers(part, lengths[rows], slot):
                counted = answers[:, kernel % DRAWN]
                counted = counted[counted > -np.inf]
                ordered = np.sort(counted[:: -(-len(counted) // MOST_ANSWERS)])
                place = (levels[kernel, columns] * len(ordered)).astype(np.intp)
                # between two answers: rounding must not move a training step across its own bias
                self.biases[kernel, columns] = ordered[place] / 2 + ordered[np.maximum(place - 1, 0)] / 2

    def transform(self, series: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Share of the steps of a row with an answer above the bias, float32 (rows, width)."""
        _, steps, rows = series.shape
        shares = np.empty((len(KERNELS), self.biases.shape[1], rows), np.float32)
        counter, end = StepCounter((), steps, rows), 0
        for slot, count in enumerate(self.counts):
            end += count
            for kernel, answers, positions in self._answers(series, lengths, slot):
                for column in range(end - count, end):
                    np.greater(answers, self.biases[kernel, column], out=counter.true)
                    shares[kernel, column] = counter.total()
                shares[kernel, end - count : end] /= positions
        return shares.reshape(self.width, rows).T

    def _answers(self, series: np.ndarray, lengths: np.ndarray, slot: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Kernel, its answers (steps, rows), -inf where a row does not count, and how many steps of each row count."""
        dilation, steps = int(self.dilations[slot]), series.shape[1]
        border = dilation * (TAPS // 2)
        time = np.arange(steps)[:, None]
        start = np.where(lengths > 2 * border, border, 0)
        outside = time >= lengths, (time < start) | (time >= lengths - start)
        positions = [count.astype(np.float32) for count in (lengths, lengths - 2 * start)]
        each = len(KERNELS) // len(self.chosen[slot])
        answers = np.empty(series.shape[1:], np.float32)
        bases: tuple[np.ndarray, ...] = ()
        for kernel, (first, second, third) in enumerate(KERNELS):
            if kernel % each == 0:
                whole = mixed(series, self.chosen[slot, kernel // each], border)
                taps = [whole[tap * dilation :][:steps] for tap in range(TAPS)]
                low = -sum(taps[1:], taps[0])
                whole *= 3
                bases = tuple(np.where(mask, np.float32(-np.inf), low) for mask in outside)
            inner = (kernel + slot) % 2  # half of the kernels never reach over the ends
            np.add(bases[inner], taps[first], out=answers)
            answers += taps[second]
            answers += taps[third]
            yield kernel, answers, positions[inner]
