"""Ridge: one linear kernel from the steps that are seen to the steps ahead, in closed form. The baseline, hard to beat.

Zeng et al., Are Transformers Effective for Time Series Forecasting?, AAAI 2023, arXiv 2205.13504 (NLinear).
NOTE[DIFF]: ridge regression towards the mean of past seasons instead of gradients, and a share of seasonal naives a series.
"""

from __future__ import annotations

from tabdl.estimators.forecasting import PanelForecaster


class RidgeForecaster(PanelForecaster):
    """A linear forecast in closed form, with conformal intervals.

    `lookback_`, `season_`, `horizon_` are what was chosen, `score_` the error on steps held out in units of the seasonal naive
    forecast's, `model_` the kernel and the shares of seasonal naives.

    Examples
    --------
    >>> from tabdl import RidgeForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> model = RidgeForecaster(horizon=7, time="date", id="store", target="sales").fit(table)
    >>> list(model.predict(levels=(0.8,)).columns)
    ['store', 'date', 'mean', 'q0.1', 'q0.9']
    """
