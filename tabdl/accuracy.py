"""How good a forecast is: MASE, sMAPE, OWA, CRPS and coverage. Arrays hold series in their leading axes and time in the last.

A step without truth (NaN) is left out of every score. A series without any such step, or without a scale, scores NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np


def seasonal_scale(past: np.ndarray, season: int = 1) -> np.ndarray:
    """Mean absolute error of the seasonal naive forecast over the past (..., steps) itself: the unit of MASE, in that of y.

    NaN where the past has no two values a season apart, 0 where it only repeats itself.

    >>> seasonal_scale(np.array([1.0, 5.0, 2.0, 7.0]), season=2)
    array(1.5)
    """
    past = np.asarray(past, np.float64)
    return mean_known(np.abs(past[..., season:] - past[..., :-season]))


def mase(truth: np.ndarray, forecast: np.ndarray, past: np.ndarray, season: int = 1) -> np.ndarray:
    """Mean absolute scaled error, one a series: 1 is as good as the seasonal naive forecast was on the past.

    Hyndman and Koehler, Another look at measures of forecast accuracy, International Journal of Forecasting 22 (2006). A series
    whose past only repeats itself has no scale and scores NaN.

    >>> float(mase(np.array([4.0, 6.0]), np.array([5.0, 9.0]), past=np.array([1.0, 3.0, 2.0, 5.0])))
    1.0
    """
    scale = seasonal_scale(past, season)
    return mean_known(np.abs(truth - np.asarray(forecast))) / np.where(scale > 0, scale, np.nan)


def smape(truth: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Symmetric mean absolute percentage error, one a series, from 0 to 200; a step where both are 0 counts as no error.

    >>> smape(np.array([100.0, 50.0]), np.array([100.0, 150.0]))
    array(50.)
    """
    truth, forecast = np.asarray(truth, np.float64), np.asarray(forecast, np.float64)
    size = np.abs(truth) + np.abs(forecast)
    return mean_known(200 * np.abs(truth - forecast) / np.where(size == 0, 1.0, size))


def owa(smape: float, mase: float, naive2_smape: float, naive2_mase: float) -> float:
    """Overall weighted average of the M4 competition: 1 is as good as `naive2`; all four are means over the series.

    Makridakis, Spiliotis and Assimakopoulos, The M4 Competition, International Journal of Forecasting 36 (2020).

    >>> owa(smape=9.0, mase=1.0, naive2_smape=18.0, naive2_mase=4.0)
    0.375
    """
    return (smape / naive2_smape + mase / naive2_mase) / 2


def crps(truth: np.ndarray, levels: Sequence[float], quantiles: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score from quantiles, one a series, in the unit of y; that of a single number is its MAE.

    Twice the pinball loss, averaged over `levels` (ascending, between 0 and 1), each weighted by the share of probability that is
    closest to it. `quantiles` has the levels in one more axis at the end.

    Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 102 (2007).

    >>> crps(np.array([3.0]), [0.25, 0.75], np.array([[1.0, 2.0]]))
    array(1.25)
    """
    at = np.asarray(levels, np.float64)  # (levels,)
    if at.size == 0 or not ((at > 0) & (at < 1)).all() or not (np.diff(at) > 0).all():
        raise ValueError(f"expected ascending levels between 0 and 1, received {list(levels)}")
    error = np.asarray(truth, np.float64)[..., None] - quantiles  # (..., steps, levels)
    pinball = np.maximum(at * error, (at - 1) * error)
    share = np.diff(np.r_[0.0, (at[1:] + at[:-1]) / 2, 1.0])
    return mean_known(2 * (pinball * share).sum(axis=-1))


def coverage(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Share of steps whose truth lies between low and high, both included; one a series.

    >>> coverage(np.array([1.0, 2.0, 3.0, 4.0, np.nan]), np.zeros(5), np.full(5, 2.0))
    array(0.5)
    """
    inside = (np.asarray(low) <= truth) & (truth <= np.asarray(high))
    return mean_known(np.where(np.isnan(truth) | np.isnan(low) | np.isnan(high), np.nan, inside))


def fill_forward(past: np.ndarray) -> np.ndarray:
    """Gaps take the last value before them, along the last axis; those at the start stay."""
    steps = np.where(np.isnan(past), -1, np.arange(past.shape[-1]))
    last = np.maximum.accumulate(steps, axis=-1)
    return np.where(last < 0, np.nan, np.take_along_axis(past, np.maximum(last, 0), axis=-1))


def seasonal_naive(past: np.ndarray, horizon: int, season: int = 1) -> np.ndarray:
    """The last season of past (..., steps), repeated over `horizon` steps; season 1 is the naive forecast.

    A gap takes the value of the same phase a season before, and the last known value where that phase was never known.

    >>> seasonal_naive(np.array([1.0, 2.0, 3.0, np.nan]), 3, season=2)
    array([3., 2., 3.])
    """
    past = np.asarray(past, np.float64)
    pad = np.full((*past.shape[:-1], -past.shape[-1] % season), np.nan)
    phases = np.concatenate([pad, past], axis=-1).reshape(*past.shape[:-1], -1, season)  # (..., seasons, phase)
    last = fill_forward(phases.swapaxes(-1, -2))[..., -1]  # (..., phase)
    last = np.where(np.isnan(last), fill_forward(past)[..., -1:], last)
    return np.take(last, np.arange(horizon) % season, axis=-1)


def naive2(past: np.ndarray, horizon: int, season: int = 1) -> np.ndarray:
    """Naive forecast of the seasonally adjusted past (steps,), put back into season: the yardstick of the M4 competition.

    The past is adjusted by classical multiplicative decomposition where it is positive, at least three seasons long and its
    autocorrelation at the season passes a 90% test. Gaps take the last value before them; a past without any value gives NaN.

    >>> naive2(np.array([2.0, 4.0] * 6), 3, season=2)
    array([2., 4., 2.])
    """
    past = fill_forward(np.asarray(past, np.float64))
    past = past[~np.isnan(past)]
    if not past.size:
        return np.full(horizon, np.nan)
    index = seasonal_indices(past, season) if season > 1 and is_seasonal(past, season) else np.ones(season)
    phase = np.arange(len(past) - 1, len(past) + horizon) % season
    return past[-1] / index[phase[0]] * index[phase[1:]]


def is_seasonal(past: np.ndarray, season: int) -> bool:
    """The M4 competition's test: autocorrelation at the season beyond its 90% limit; False below three seasons or values <= 0."""
    n = len(past)
    if n < 3 * season or past.min() <= 0 or np.ptp(past) == 0:
        return False
    around = past - past.mean()
    correlation = np.array([around[lag:] @ around[:-lag] for lag in range(1, season + 1)]) / (around @ around)
    limit = 1.645 * np.sqrt((1 + 2 * (correlation[:-1] ** 2).sum()) / n)
    return bool(abs(correlation[-1]) > limit)


def seasonal_indices(past: np.ndarray, season: int) -> np.ndarray:
    """(season,) factors with mean 1 by phase of past[0]: mean ratio to the centred moving average."""
    window = np.ones(season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5]
    half = len(window) // 2
    ratio = np.full(len(past), np.nan)
    ratio[half : len(past) - half] = past[half : len(past) - half] / np.convolve(past, window / season, mode="valid")
    index = np.array([np.nanmean(ratio[phase::season]) for phase in range(season)])
    return index / index.mean()


def mean_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a series without a known step is NaN, as documented
        return np.asarray(np.nanmean(values, axis=-1))
