"""How good a fitted forecaster is on the steps that came after its history."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabdl import accuracy
from tabdl.errors import SchemaError
from tabdl.estimators.histories import read_future, read_history
from tabdl.panel import Panel


def changes(panel: Panel, targets: int) -> np.ndarray:
    """Mean absolute change from step to step, (series, targets): a unit that no parameter of a model moves."""
    return np.array([accuracy.seasonal_scale(part[:, :targets].T) for part in panel.values])


def score_forecasts(forecaster: Any, table: Any, history: Any) -> float:
    """Minus the mean absolute error of the next steps, in units of `changes` before them."""
    roles, past, horizon = forecaster.roles_, forecaster._read(history), forecaster.horizon_
    targets, unit = len(roles.targets), forecaster.changes_ if history is None else None
    unit = changes(past.panel, targets) if unit is None else unit
    came = read_history(table, roles, past.covariates, past.panel.calendar, "score", anomalies=True).panel
    number = {key: i for i, key in enumerate(came.keys)}
    kept = [i for i, key in enumerate(past.panel.keys) if key in number]
    scores = np.zeros(0)
    if kept:
        past, unit = past.take(kept), unit[kept]
        known = read_future(table if roles.known else None, roles, past, horizon)
        mean = forecaster._forecast(past, known, forecaster._windows(past.panel)).reshape(len(kept), targets, horizon)
        truth = np.stack([_after(past.panel, i, came, number[key], targets, horizon) for i, key in enumerate(past.panel.keys)])
        scores = accuracy.mean_known(np.abs(truth - mean)) / np.where(unit > 0, unit, np.nan)
    if not np.isfinite(scores).any():
        raise SchemaError(
            f"score: expected the {horizon} steps after {_end(past.panel)}, with known targets, received none of a series that "
            "changes; give rows that follow the history, as cv=tabdl.RollingOrigin(...) does"
        )
    return -float(np.nanmean(scores))


def _after(past: Panel, i: int, came: Panel, j: int, targets: int, horizon: int) -> np.ndarray:
    """What came of series i, (targets, horizon); NaN where nothing is known."""
    found = np.full((targets, horizon), np.nan)
    steps = (came.starts[j] - past.axis_after(i, 1)[0]) // past.calendar.frequency.step + np.arange(len(came.values[j]))
    inside = (steps >= 0) & (steps < horizon)
    found[:, steps[inside]] = came.values[j][inside, :targets].T
    return found


def _end(panel: Panel) -> str:
    """The last step of the first series, for messages."""
    return f"{panel.calendar.show(int(panel.axis_after(0, 1)[0]) - panel.calendar.frequency.step)} of {panel.name(0)}"
