"""Intervals around forecasts, from how far off they were on held-out steps: calibrated once, stored, no row kept.

Split conformal prediction, a step of the horizon with its neighbours, in the scale of each series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = np.linspace(0, 1, 401)  # of the errors, at which their quantiles are kept
NEIGHBOURS = 0.04  # share of the horizon on either side whose errors count for a step as well
TRUST = 2.0  # horizons of errors after which a series' own scale counts as much as that of all
DIGITS = 4


@dataclass(frozen=True)
class Bands:
    """quantiles: (horizon, shares), of errors divided by `spread`. spread: (series,), of series that are not known the mean."""

    quantiles: np.ndarray
    spread: np.ndarray

    def at(self, share: float, series: np.ndarray) -> np.ndarray:
        """What to add to forecasts so that this share of the errors lies below, (windows, horizon); -1: unknown series."""
        found = np.array([np.interp(share, SHARES, row) for row in self.quantiles])
        found = np.minimum(found, 0) if share < 0.5 else np.maximum(found, 0)  # the mean lies inside
        spread = np.append(self.spread, np.sqrt((self.spread**2).mean()))
        return spread[series][:, None] * found


def learn_bands(errors: np.ndarray, series: np.ndarray, count: int) -> Bands:
    """errors: (windows, horizon), NaN in gaps. series: number of each window. count: of series."""
    horizon, known = errors.shape[1], ~np.isnan(errors)
    squares = np.where(known, errors, 0.0) ** 2
    overall = max(float(squares.sum() / max(known.sum(), 1)), 1e-300)
    own, weight = np.bincount(series, squares.sum(axis=1), count), np.bincount(series, known.sum(axis=1), count)
    spread = np.sqrt((own + TRUST * horizon * overall) / (weight + TRUST * horizon))
    scaled = errors / spread[series][:, None]
    reach = int(np.ceil(NEIGHBOURS * horizon)) if horizon > 1 else 0
    quantiles = np.zeros((horizon, len(SHARES)))
    for step in range(horizon):
        near = scaled[:, max(0, step - reach) : step + reach + 1]
        near = near[~np.isnan(near)]
        if len(near):
            quantiles[step] = np.quantile(near, _outward(SHARES, len(near)))
    return Bands(np.round(quantiles, DIGITS), spread)


def _outward(shares: np.ndarray, count: int) -> np.ndarray:
    """Shares moved away from one half by what a sample of `count` must allow for."""
    return (0.5 + (shares - 0.5) * (count + 1) / count).clip(0, 1)
