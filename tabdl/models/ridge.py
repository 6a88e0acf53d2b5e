"""Ridge: one linear kernel for all series in closed form, and each series' own share of seasonal naives.

Zeng et al., Are Transformers Effective for Time Series Forecasting?, AAAI 2023, arXiv 2205.13504 (NLinear).
"""

from __future__ import annotations

from tabdl.estimators.forecasting import PanelForecaster


class RidgeForecaster(PanelForecaster):
    """Linear forecasts in closed form: seconds for hundreds of series, and the baseline of every network.

    Examples
    --------
    >>> import numpy as np, pandas as pd, tabdl
    >>> days = pd.date_range("2024-01-01", periods=120)
    >>> table = pd.DataFrame({"date": days, "sales": 20 + 5 * (days.weekday > 4) + np.arange(120) % 3})
    >>> model = tabdl.RidgeForecaster(horizon=7, time="date", target="sales").fit(table)
    >>> forecast = model.predict()
    >>> list(forecast.columns)
    ['date', 'mean', 'q0.025', 'q0.1', 'q0.9', 'q0.975']
    >>> forecast["mean"].round().tolist()
    [20.0, 21.0, 22.0, 20.0, 21.0, 27.0, 25.0]
    """
