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
    >>> days = pd.date_range("2024-01-01", periods=119)
    >>> table = pd.DataFrame({"date": days, "sales": np.resize([20, 21, 22, 21, 20, 30, 28], 119)})
    >>> model = tabdl.RidgeForecaster(horizon=7, time="date", target="sales").fit(table)
    >>> forecast = model.predict()
    >>> list(forecast.columns)
    ['date', 'mean', 'q0.025', 'q0.1', 'q0.9', 'q0.975']
    >>> forecast["mean"].round().tolist()
    [20.0, 21.0, 22.0, 21.0, 20.0, 30.0, 28.0]
    """
