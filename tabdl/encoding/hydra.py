"""Hydra: groups of random kernels compete at every step; how often, and how strongly, each of a group wins.

Dempster, Schmidt, Webb, "Hydra: Competing Convolutional Kernels for Fast and Accurate Time Series Classification", 2023
(arXiv 2203.13652). NOTE[DIFF]: where the kernels of a group draw, as on a flat stretch, all of them win.
"""

from __future__ import annotations

import numpy as np

from tabdl.encoding.minirocket import TAPS, StepCounter, draw_channels, mixed

RIVALS = 8  # kernels of a group


class Hydra:
    """`groups` of eight kernels at each dilation 1, 2, 4... that fits into `length` steps; shapes as in `MiniRocket`."""

    def __init__(self, length: int, channels: int, groups: int) -> None:
        self.dilations = 2 ** np.arange(int(np.log2(max((length - 1) / (TAPS - 1), 1))) + 1)
        self.channels = channels
        self.shape = len(self.dilations), groups, RIVALS, TAPS - 1
        self.width = 2 * int(np.prod(self.shape[:3]))

    def draw(self, rng: np.random.Generator) -> None:
        """Draws kernels that sum to 0, and the channels of each group."""
        kernels = rng.normal(size=(*self.shape[:3], TAPS))
        kernels -= kernels.mean(axis=-1, keepdims=True)
        kernels /= np.abs(kernels).sum(axis=-1, keepdims=True)
        # of sum 0: w x = -(running sum of w) (next x - x): nine taps are eight, and a flat stretch answers exactly 0
        self.kernels = -np.cumsum(kernels, axis=-1)[..., :-1].astype(np.float32)
        drawn = draw_channels(self.channels, RIVALS, self.shape[0] * self.shape[1], rng)
        self.chosen = drawn.reshape(*self.shape[:2], self.channels)

    def transform(self, series: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Roots of the sums of the highest answers and of the counts of the lowest, float32 (rows, width)."""
        _, steps, rows = series.shape
        outside = np.arange(steps)[:, None] >= lengths
        wins = np.empty((*self.shape[:2], 2, RIVALS, rows), np.float32)
        answers = np.empty(
            (RIVALS, steps, rows)
        )  # float64: of two kernels that nearly draw the same one wins, whatever rows are beside
        counter = StepCounter((RIVALS,), steps, rows)
        for level, dilation in enumerate(self.dilations.tolist()):
            changes, before = np.empty((TAPS - 1, steps, rows)), None
            for group, kernels in enumerate(self.kernels[level]):
                if before is None or (self.chosen[level, group] != before).any():
                    before = self.chosen[level, group]
                    whole = mixed(series, before, dilation * (TAPS // 2))
                    for tap in range(TAPS - 1):
                        np.subtract(whole[(tap + 1) * dilation :][:steps], whole[tap * dilation :][:steps], out=changes[tap])
                    changes[:, outside] = 0
                np.matmul(kernels.astype(np.float64), changes.reshape(TAPS - 1, -1), out=answers.reshape(RIVALS, -1))
                lowest = answers.min(axis=0)
                lowest += outside  # all answers are 0 there: none is the lowest
                np.equal(answers, lowest, out=counter.true)
                wins[level, group, 1] = counter.total()
                highest = answers.max(axis=0)
                answers *= answers == highest
                wins[level, group, 0] = np.add.reduce(answers, axis=1)
        return np.sqrt(np.maximum(wins, 0, out=wins), out=wins).reshape(self.width, rows).T
