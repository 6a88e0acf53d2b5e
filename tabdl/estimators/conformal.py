"""Intervals around forecasts, from how far off models were on steps that they had not learned from: stored, no row kept.

Split conformal prediction, a step of the horizon with its neighbours. Errors are measured in what is usual in the series, in what
is so in its last steps, or between: in what gives the sharpest intervals in blocks of steps that they were not learned from.
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


def learn_bands(
    errors: np.ndarray, series: np.ndarray, usual: np.ndarray, recent: np.ndarray, count: int, blocks: np.ndarray | None = None
) -> Bands:
    """errors: (windows, horizon), NaN in gaps. series: (windows,). usual, recent: (windows, measures). count: of series.

    blocks: (windows,), number of the block of steps of each; None: there is one.
    """
    thin = errors[:, :: 1 + errors.shape[1] // JUDGED_STEPS]
    blocks = np.zeros(len(errors), int) if blocks is None else blocks
    losses = [_judge(thin, series, _unit(usual, recent, tried), count, tried, blocks) for tried in RECENT]
    best = RECENT[int(np.argmin(losses))]
    return _learn(errors / _unit(usual, recent, best)[:, None], series, count, best)


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
        bands = _learn(errors[others] / unit[others, None], series[others], count, tried)
        for share in JUDGED:
            loss += _pinball(errors[judged] - bands.at(share, series[judged], unit[judged]), share)
    return loss


def _learn(errors: np.ndarray, series: np.ndarray, count: int, recent: tuple[int, float]) -> Bands:
    horizon, known = errors.shape[1], ~np.isnan(errors)
    squares = np.where(known, errors, 0.0) ** 2
    overall = max(float(squares.sum() / max(known.sum(), 1)), 1e-300)
    own, weight = np.bincount(series, squares.sum(axis=1), count), np.bincount(series, known.sum(axis=1), count)
    spread = np.sqrt((own + TRUST * horizon * overall) / (weight + TRUST * horizon))
    scaled = errors / spread[series][:, None]
    size = np.sqrt((np.where(known, scaled, 0.0) ** 2).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    size = np.where(size > 0, size, 1.0)  # (horizon,): neighbours count in the size of the step's own errors
    reach = int(np.ceil(NEIGHBOURS * horizon)) if horizon > 1 else 0
    quantiles = np.zeros((horizon, len(SHARES)))
    for step in range(horizon):
        around = slice(max(0, step - reach), step + reach + 1)
        near = scaled[:, around] / size[around] * size[step]
        near = near[~np.isnan(near)]
        near = near[:: 1 + len(near) // ENOUGH]
        if len(near):
            quantiles[step] = np.quantile(near, _outward(SHARES, len(near)))
    return Bands(np.round(quantiles, DIGITS), spread, recent)


def _outward(shares: np.ndarray, count: int) -> np.ndarray:
    """Shares moved away from one half by what a sample of `count` must allow for."""
    return (0.5 + (shares - 0.5) * (count + 1) / count).clip(0, 1)


def _pinball(rest: np.ndarray, share: float) -> float:
    return float(np.nansum(np.maximum(share * rest, (share - 1) * rest)))
