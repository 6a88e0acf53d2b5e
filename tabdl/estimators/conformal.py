"""Intervals around forecasts, from how far off models were on steps that they had not learned from: stored, no row kept.

Split conformal prediction, a step of the horizon with its neighbours. Errors are measured in what is usual in the series, in what
is so in its last steps, or between: in what gives the sharpest intervals in blocks of steps that they were not learned from.
Where few errors know nothing of each other, all steps count together, and Student's t distribution has its part in the tails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = np.linspace(0, 1, 401)  # of the errors, at which their quantiles are kept
NEIGHBOURS = 0.04  # share of the horizon on either side whose errors count for a step as well
TRUST = 2.0  # horizons of errors after which a series' own spread counts as much as that of all
RECENT = ((0, 0.0), (0, 0.5), (0, 1.0), (1, 0.5), (1, 1.0))  # measures of what is recent and exponents that are tried
SPAN = 20.0  # how far what is recent may be from what is usual, as a factor
JUDGED_STEPS = 24  # of the horizon, that choose among them
JUDGED = (0.025, 0.1, 0.9, 0.975)  # shares by which sharpness is told
DIGITS = 4
ENOUGH = 5_000  # errors, for the quantiles of a step
POOLED = 40.0  # errors that know nothing of each other, for which neighbours of a step are taken in
ENOUGH_TOLD = 200.0  # of these, for quantiles of them alone; fewer count together with Student's t distribution
FEWEST_TOLD = 2.0  # degrees of freedom of that
MOST_ALIKE = 0.95  # correlation of the errors of neighbouring steps
CHOICES = 2.0  # that errors made of a model, which are too small by that
SMOOTH = 10.0  # errors of a step after which its own size counts as much as a line over all steps
STEEPEST = 0.9  # rise of that line over half the horizon, of its mean


@dataclass(frozen=True)
class Bands:
    """What `at` and `unit` need.

    quantiles: (horizon, shares), of errors over unit and spread. spread: (series,). recent: a measure and its exponent.
    """

    quantiles: np.ndarray
    spread: np.ndarray
    recent: tuple[int, float]

    def unit(self, usual: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Of the errors of each window, from measures of its series and of its last steps; both (windows, measures)."""
        usual, (measure, exponent) = np.where(usual > 0, usual, 1.0), self.recent
        return usual[:, 0] * np.clip(recent[:, measure] / usual[:, measure], 1 / SPAN, SPAN) ** exponent

    def at(self, share: float, series: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """What to add to forecasts so that this share of the errors lies below, (windows, horizon); series -1: unknown."""
        found = np.array([np.interp(share, SHARES, row) for row in self.quantiles])
        found = np.minimum(found, 0) if share < 0.5 else np.maximum(found, 0)  # the mean lies inside
        spread = np.append(self.spread, np.sqrt((self.spread**2).mean()))
        return (spread[series] * unit)[:, None] * found


@dataclass(frozen=True)
class Told:
    """How many errors there are that know nothing of each other.

    single: of one step of the horizon. whole: of all. more: how many a step on either side adds to those of one.
    """

    single: float
    whole: float
    more: float

    @classmethod
    def count(cls, errors: np.ndarray, series: np.ndarray, begin: np.ndarray) -> Told:
        """Windows overlap, and errors of a window are alike, as those of an autoregression of the first order are."""
        known, horizon = ~np.isnan(errors), errors.shape[1]
        filled, pairs = np.where(known, errors, 0.0), known[:, 1:] & known[:, :-1]
        squares = ((filled[:, 1:] ** 2 + filled[:, :-1] ** 2) / 2)[pairs].sum()
        alike = float(np.clip((filled[:, 1:] * filled[:, :-1]).sum() / max(squares, 1e-300), 0, MOST_ALIKE))
        share = known.mean() * (1 - alike**2) / (1 + alike**2)
        windows = np.bincount(series)
        first, last = np.full(len(windows), np.inf), np.full(len(windows), -np.inf)
        np.minimum.at(first, series, begin)
        np.maximum.at(last, series, begin)
        there = windows > 0
        windows, span = windows[there], (last - first)[there] + 1
        whole = np.minimum(span + horizon - 1, windows * horizon).sum()
        return cls(share * np.minimum(span, windows).sum(), share * whole, share * 2 * len(windows))

    def reach(self, horizon: int) -> int:
        """Steps on either side of one whose errors count for it as well."""
        least = NEIGHBOURS * horizon if horizon > 1 else 0
        return int(np.ceil(np.clip((POOLED - self.single) / self.more, least, horizon)))

    def near(self, horizon: int) -> float:
        """Of a step and its neighbours."""
        return min(self.single + self.more * self.reach(horizon), self.whole)


def learn_bands(
    errors: np.ndarray,
    series: np.ndarray,
    own: np.ndarray,
    recent: np.ndarray,
    begin: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
) -> Bands:
    """errors: (windows, horizon), NaN in gaps. series: (windows,). own: (series, measures). recent: (windows, measures).

    begin: (windows,), first step of each; None: none overlap. blocks: (windows,), number of the block of steps of each; None:
    there is one.
    """
    if np.isnan(errors).all():
        return _guess(own, errors.shape[1])
    usual = own[series]
    first = errors.shape[1] * np.arange(len(errors)) if begin is None else begin
    blocks = np.zeros(len(errors), int) if blocks is None else blocks
    told, best = Told.count(errors / _unit(usual, recent, RECENT[0])[:, None], series, first), RECENT[0]
    if told.near(errors.shape[1]) >= ENOUGH_TOLD:
        thin = errors[:, :: 1 + errors.shape[1] // JUDGED_STEPS]
        losses = [_judge(thin, series, _unit(usual, recent, tried), len(own), tried, blocks) for tried in RECENT]
        best = RECENT[int(np.argmin(losses))]
    return _learn(errors / _unit(usual, recent, best)[:, None], series, len(own), best, told)


def _guess(own: np.ndarray, horizon: int) -> Bands:
    """Where no error is known: forecasts are as far off as a step is from that of a season ago, or from any other."""
    spread = np.maximum(own[:, 0], np.sqrt(2) * own[:, 1]) / np.where(own[:, 0] > 0, own[:, 0], 1.0)
    return Bands(np.tile(_student(FEWEST_TOLD), (horizon, 1)), spread, RECENT[0])


def _student(told: float) -> np.ndarray:
    """Quantiles of errors of size one, as far as so many can tell; (shares,)."""
    from scipy.stats import t

    ends = 1 / (4 * len(SHARES))
    return t.ppf(SHARES.clip(ends, 1 - ends), max(told, FEWEST_TOLD))


def _unit(usual: np.ndarray, recent: np.ndarray, tried: tuple[int, float]) -> np.ndarray:
    return Bands(np.zeros((0, 0)), np.zeros(0), tried).unit(usual, recent)


def _judge(
    errors: np.ndarray, series: np.ndarray, unit: np.ndarray, count: int, tried: tuple[int, float], blocks: np.ndarray
) -> float:
    """Pinball loss of each block by bands of the other blocks; of one block by its own."""
    loss, found = 0.0, np.unique(blocks)
    for block in found:
        judged = blocks == block
        others = ~judged if len(found) > 1 else judged
        bands = _learn(errors[others] / unit[others, None], series[others], count, tried, Told(np.inf, np.inf, 1.0))
        for share in JUDGED:
            loss += _pinball(errors[judged] - bands.at(share, series[judged], unit[judged]), share)
    return loss


def _learn(errors: np.ndarray, series: np.ndarray, count: int, recent: tuple[int, float], told: Told) -> Bands:
    horizon, known = errors.shape[1], ~np.isnan(errors)
    squares = np.where(known, errors, 0.0) ** 2
    overall = max(float(squares.sum() / max(known.sum(), 1)), 1e-300)
    own, weight = np.bincount(series, squares.sum(axis=1), count), np.bincount(series, known.sum(axis=1), count)
    spread = np.sqrt((own + TRUST * horizon * overall) / (weight + TRUST * horizon))
    scaled = errors / spread[series][:, None]
    size, reach, near = _sizes(scaled, told.single), told.reach(horizon), told.near(horizon)
    trust, wider = min(near / ENOUGH_TOLD, 1.0), np.sqrt(1 + CHOICES / told.whole)
    quantiles = np.zeros((horizon, len(SHARES)))
    for step in range(horizon):
        around = slice(max(0, step - reach), step + reach + 1)
        part = scaled[:, around] / size[around] * size[step]
        part = part[~np.isnan(part)]
        part = part[:: 1 + len(part) // ENOUGH]
        if len(part):
            quantiles[step] = trust * np.quantile(part, _outward(SHARES, min(near, len(part))))
        if trust < 1:
            quantiles[step] += (1 - trust) * size[step] * _student(near)
    return Bands(np.round(wider * quantiles, DIGITS), spread, recent)


def _sizes(errors: np.ndarray, told: float) -> np.ndarray:
    """Root mean squares of each step (horizon,): drawn towards a line that does not fall, the more the fewer are told of one."""
    known = ~np.isnan(errors)
    squares = (np.where(known, errors, 0.0) ** 2).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    if np.isfinite(told):
        at = np.linspace(-1, 1, len(squares)) if len(squares) > 1 else np.zeros(1)
        mean = np.average(squares, weights=known.sum(axis=0))
        slope = np.clip((at * squares).sum() / max((at**2).sum(), 1), 0, STEEPEST * mean)
        squares = np.where(known.any(axis=0), squares, mean)
        squares = (told * squares + SMOOTH * (mean + slope * at)) / (told + SMOOTH)
    return np.where(squares > 0, np.sqrt(squares), 1.0)


def _outward(shares: np.ndarray, count: float) -> np.ndarray:
    """Shares moved away from one half by what a sample of `count` must allow for."""
    return (0.5 + (shares - 0.5) * (count + 1) / count).clip(0, 1)


def _pinball(rest: np.ndarray, share: float) -> float:
    return float(np.nansum(np.maximum(share * rest, (share - 1) * rest)))
