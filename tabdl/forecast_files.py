"""What the commands do with a forecaster and the files of its long tables: describe it, draw it, forecast, backtest."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.backtesting import Backtest, backtest
from tabdl.errors import ParameterError, SchemaError
from tabdl.estimators.forecasting import PanelForecaster
from tabdl.tablefiles import read_table

if TYPE_CHECKING:
    import pandas as pd


def is_forecaster(model: Any) -> bool:
    return isinstance(model, PanelForecaster)


def describe(model: Any) -> str:
    """Class, series, horizon, season, lookback, and the error on held-out steps beside the seasonal naive forecast."""
    parts = [type(model).__name__, f"{len(model.ids_)} series", f"horizon {model.horizon_}"]
    parts += [f"season {model.season_}" if model.season_ > 1 else "no season", f"lookback {model.lookback_}"]
    error = "too few steps to hold any out"
    if np.isfinite(model.score_):
        error = f"{model.score_:.3f} of that of the seasonal naive forecast"
    return f"{', '.join(parts)}\nerror on held-out steps: {error}"


def draw(model: Any, table: Any, path: Path) -> str:
    """Write a picture of the forecasts that follow the table of `fit`, or say why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fit has told what it found in this table
            model.plot_forecast(path, table, table if model.known else None)
    except SchemaError as error:
        if not model.known:
            raise
        return f"none; {error}"
    return str(path)


def forecast(model: Any, history: Path, future: Path | None = None) -> pd.DataFrame:
    """What follows the table in the file `history`; the known columns are those of `future`, or of later rows of `history`."""
    if future is not None and not model.known:
        raise ParameterError(
            f"--future: expected a model with known columns, received a {type(model).__name__} without; leave it out"
        )
    past = read_table(history)
    return model.predict(past, read_table(future) if future else past if model.known else None)


def judge(model: Any, path: Path, origins: int) -> Backtest:
    """Backtest on the rows of a file: a copy of the model is fitted before the first origin, for the saved one has seen them."""
    return backtest(model, read_table(path), origins=origins, refit=False)
