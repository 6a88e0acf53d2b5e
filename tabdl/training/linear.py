"""Linear forecasts in closed form: one kernel from what was seen to what follows, for all series.

Zeng et al., Are Transformers Effective for Time Series Forecasting?, AAAI 2023, arXiv 2205.13504 (NLinear).
NOTE[DIFF] ridge regression instead of gradients, shrunk towards the mean of past seasons instead of towards zero, the more the
older a step is. The kernel is the mean of two fits: in one each window counts by its own seasonal changes, in the other by those
of its series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tabdl.encoding.windows import Series, window_blocks

PENALTIES = tuple(10.0**p for p in (-9, -7, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 2))  # of the mean eigenvalue
STRONG = 1.0  # the weakest penalty where windows are fewer than the steps of a season
PRIORS = (1, 7, 0)  # seasons that the prior averages; 0: all of the lookback
STEPS_JUDGED = 24  # steps of the horizon by which candidates are compared
LEAST_KNOWN = 0.5  # of the usual share of known steps: what a window, seen and to come, must have
FLOOR = 1e-2  # of the changes of a series: smallest scale of a window
ROUNDING = 1e-13  # of the values of a series: changes that are none
LEAST_LIKELY = 0.1  # of the best candidate's likelihood: what a candidate needs to be part of the mean


@dataclass(frozen=True)
class Sums:
    """Weighted sums over windows, for both weights: all that a ridge regression needs.

    seen: (2, lookback, lookback); both: (2, lookback, horizon); next: (2, horizon); weight: (2,).
    """

    seen: np.ndarray
    both: np.ndarray
    next: np.ndarray
    weight: np.ndarray
    windows: int = 0

    @classmethod
    def zeros(cls, lookback: int, horizon: int) -> Sums:
        return cls(np.zeros((2, lookback, lookback)), np.zeros((2, lookback, horizon)), np.zeros((2, horizon)), np.zeros(2))

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.seen + other.seen,
            self.both + other.both,
            self.next + other.next,
            self.weight + other.weight,
            self.windows + other.windows,
        )

    def shorten(self, lookback: int) -> Sums:
        return replace(self, seen=self.seen[:, -lookback:, -lookback:], both=self.both[:, -lookback:])

    def pick(self, steps: np.ndarray) -> Sums:
        """Some steps of the horizon."""
        return replace(self, both=self.both[:, :, steps], next=self.next[:, steps])


def sum_windows(
    series: Sequence[Series], spans: Iterable[tuple[int, int]], lookback: int, horizon: int, season: int, stride: int = 1
) -> Sums:
    """Sums over the windows of each series whose horizon lies in its span of steps (start, stop)."""
    total, least = Sums.zeros(lookback, horizon), least_known(series)
    windows = 0
    for part, (start, stop) in zip(series, spans, strict=True):
        scale = change(part.values[part.lookback : part.lookback + max(stop, 0)], season)
        if not scale > 0:
            continue  # repeats itself: nothing to learn
        for values, known in window_blocks(part, lookback, horizon, start, stop, stride):
            weight = (known[:, :lookback].mean(axis=1), known[:, lookback:].mean(axis=1))
            kept = np.minimum(*weight) >= least if not known.all() else slice(None)
            moved, share = values[kept] - values[kept, lookback - 1 : lookback], (weight[0] * weight[1])[kept]
            seen, after = moved[:, :lookback], moved[:, lookback:]
            own = np.maximum(_changes(seen, season), FLOOR * scale)
            told = np.sqrt(share) * seen.any(axis=1)  # of what follows a standstill, such as an opening, no kernel knows
            for k, root in enumerate(told / s for s in (own, scale)):
                a, b = seen * root[:, None], after * root[:, None]
                total.seen[k] += a.T @ a
                total.both[k] += a.T @ b
                total.next[k] += (b * b).sum(axis=0)
                total.weight[k] += share.sum()
            windows += len(moved)
    return replace(total, windows=windows)


def least_known(series: Sequence[Series]) -> float:
    """Share of known steps below which a window is left out: a shop that opens on five days has no full week."""
    steps = sum(part.steps for part in series)
    return LEAST_KNOWN * sum(int(part.known.sum()) for part in series) / max(steps, 1)


def change(values: np.ndarray, season: int) -> float:
    """Root mean square of what changes over a season; over a step where the series is not longer than a season."""
    found = float(_changes(values[None], season)[0])
    return found if found > ROUNDING * np.abs(values).max(initial=0) else 0.0


def _changes(values: np.ndarray, season: int) -> np.ndarray:
    if values.shape[1] < 2:
        return np.zeros(len(values))
    lag = season if season < values.shape[1] else 1
    return np.sqrt(((values[:, lag:] - values[:, :-lag]) ** 2).mean(axis=1))


def repeat_seasons(seen: np.ndarray, horizon: int, season: int, count: int) -> np.ndarray:
    """The mean of the last `count` seasons (0: all that are seen), repeated; 1: seasonal naive; (windows, horizon)."""
    lookback = seen.shape[1]
    count = max(min(count or lookback, lookback // season), 1)
    last = seen[:, lookback - count * season :].reshape(len(seen), count, season).mean(axis=1)
    return last[:, np.arange(horizon) % season]


def average_seasons(lookback: int, horizon: int, season: int, count: int) -> np.ndarray:
    """`repeat_seasons` as a kernel (lookback, horizon)."""
    return repeat_seasons(np.eye(lookback), horizon, season, count)


class Solver:
    """Kernels of all penalties for one lookback, from the sums of the windows."""

    def __init__(self, sums: Sums, lookback: int, season: int) -> None:
        self.sums = sums.shorten(lookback)
        age = np.arange(lookback)[::-1] / (season if season > 1 else sums.both.shape[2])  # in seasons
        self.share = 1 / (1 + age)  # of an old step's kernel that a penalty leaves, compared with the last step's
        self.bases = []
        for k in (0, 1):
            values, vectors = np.linalg.eigh(self.sums.seen[k] * np.outer(self.share, self.share))
            self.bases.append((np.maximum(values, 0), vectors * self.share[:, None], vectors))

    def solve(self, penalties: Iterable[float], prior: np.ndarray, steps: np.ndarray) -> list[np.ndarray]:
        """Kernels (lookback, steps), one for each penalty; `prior` and the result act on windows less their last value."""
        kernels = [np.copy(prior[:, steps]) for _ in penalties]
        for k, (values, back, vectors) in enumerate(self.bases):
            rest = self.sums.both[k][:, steps] - self.sums.seen[k] @ prior[:, steps]  # (lookback, steps)
            turned = vectors.T @ (rest * self.share[:, None])
            for kernel, penalty in zip(kernels, penalties, strict=True):
                kernel += 0.5 * back @ (turned / (values + penalty * values.mean() + 1e-300)[:, None])
        return kernels


def judge(kernel: np.ndarray, sums: Sums) -> float:
    """Squared error over the windows of `sums`, geometric mean of both weights; kernel (lookback, steps)."""
    errors = [
        ((kernel * (sums.seen[k] @ kernel)).sum() - 2 * (kernel * sums.both[k]).sum() + sums.next[k].sum()) / sums.weight[k]
        for k in (0, 1)
    ]
    return math.sqrt(max(errors[0], 0.0) * max(errors[1], 0.0))


@dataclass(frozen=True)
class Choice:
    """A candidate, and its weight in the mean kernel."""

    lookback: int
    prior: int
    penalty: float
    weight: float = 1.0


def search(trial: Sums, held: Sums, lookbacks: Sequence[int], season: int, errors: float) -> list[Choice]:
    """The candidates that held-out windows speak for, best first; from sums of the windows before, and of those.

    A candidate's weight is its likelihood: the fewer `errors` that know nothing of each other, the more candidates share.
    """
    horizon = trial.both.shape[2]
    steps = np.unique(np.linspace(0, horizon - 1, min(horizon, STEPS_JUDGED)).round().astype(int))
    found, penalties = [], PENALTIES if trial.windows >= season else [p for p in PENALTIES if p >= STRONG]
    for lookback in lookbacks:
        solver, test = Solver(trial, lookback, season), held.shorten(lookback).pick(steps)
        for prior in PRIORS:
            kernels = solver.solve(penalties, average_seasons(lookback, horizon, season, prior), steps)
            found += [(judge(k, test), Choice(lookback, prior, p)) for k, p in zip(kernels, penalties, strict=True)]
    found.sort(key=lambda pair: pair[0])
    least = max(found[0][0], 1e-300)
    likely = [(least / max(error, least)) ** (errors / 2) for error, _ in found]
    share = [weight if weight >= LEAST_LIKELY else 0.0 for weight in likely]
    return [replace(c, weight=s / sum(share)) for s, (_, c) in zip(share, found, strict=True) if s > 0]


def solve(sums: Sums, choices: Sequence[Choice], season: int) -> np.ndarray:
    """The mean kernel (lookback, horizon); its columns sum to one, so that a shift of the series shifts its forecast alike."""
    longest, horizon = max(choice.lookback for choice in choices), sums.both.shape[2]
    mean = np.zeros((longest, horizon))
    for lookback in {choice.lookback for choice in choices}:
        solver = Solver(sums, lookback, season)
        for c in (choice for choice in choices if choice.lookback == lookback):
            start = average_seasons(lookback, horizon, season, c.prior)
            mean[longest - lookback :] += c.weight * solver.solve([c.penalty], start, np.arange(horizon))[0]
    mean[-1] += 1 - mean.sum(axis=0)
    return mean
