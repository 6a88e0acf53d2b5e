"""Intervals around forecasts, from how far off models were on steps that they had not learned from: stored, no row kept.

Split conformal prediction, a step of the horizon with its neighbours. Errors are measured in the usual changes of the series, in
its recent ones, or between: in what gives the sharpest intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = np.linspace(0, 1, 401)  # of the errors, at which their quantiles are kept
NEIGHBOURS = 0.04  # share of the horizon on either side whose errors count for a step as well
TRUST = 2.0  # horizons of errors after which a series' own spread counts as much as that of all
RECENT = (0.0, 0.5, 1.0)  # exponents of the recent changes that are tried
SPAN = 20.0  # how far recent changes may be from the usual ones, as a factor
JUDGED = (0.025, 0.1, 0.9, 0.975)  # shares by which sharpness is told
DIGITS = 4
ENOUGH = 5_000  # errors, for the quantiles of a step


@dataclass(frozen=True)
class Bands:
    """quantiles: (horizon, shares), of errors over `unit` and `spread`. spread: (series,). recent: exponent, see `unit`."""

    quantiles: np.ndarray
    spread: np.ndarray
    recent: float

    def unit(self, usual: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Of the errors of each window, from the usual changes of its series and its recent ones; all (windows,)."""
        usual = np.where(usual > 0, usual, 1.0)
        return usual * np.clip(recent / usual, 1 / SPAN, SPAN) ** self.recent

    def at(self, share: float, series: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """What to add to forecasts so that this share of the errors lies below, (windows, horizon); series -1: unknown."""
        found = np.array([np.interp(share, SHARES, row) for row in self.quantiles])
        found = np.minimum(found, 0) if share < 0.5 else np.maximum(found, 0)  # the mean lies inside
        spread = np.append(self.spread, np.sqrt((self.spread**2).mean()))
        return (spread[series] * unit)[:, None] * found


def learn_bands(errors: np.ndarray, series: np.ndarray, usual: np.ndarray, recent: np.ndarray, count: int) -> Bands:
    """errors: (windows, horizon), NaN in gaps. series, usual, recent: (windows,). count: of series."""
    tried = []
    for exponent in RECENT:
        bands = Bands(np.zeros((errors.shape[1], 1)), np.ones(count), exponent)
        unit = bands.unit(usual, recent)
        bands = _learn(errors / unit[:, None], series, count, exponent)
        tried.append((sum(_pinball(errors - bands.at(share, series, unit), share) for share in JUDGED), bands))
    return min(tried, key=lambda pair: pair[0])[1]


def _learn(errors: np.ndarray, series: np.ndarray, count: int, exponent: float) -> Bands:
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
    return Bands(np.round(quantiles, DIGITS), spread, exponent)


def _outward(shares: np.ndarray, count: int) -> np.ndarray:
    """Shares moved away from one half by what a sample of `count` must allow for."""
    return (0.5 + (shares - 0.5) * (count + 1) / count).clip(0, 1)


def _pinball(rest: np.ndarray, share: float) -> float:
    return float(np.nansum(np.maximum(share * rest, (share - 1) * rest)))
