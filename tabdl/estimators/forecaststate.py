"""A fitted forecaster <-> plain JSON and arrays; no step of the training table, unless it shall keep the last ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabdl.encoding.covariates import Covariates
from tabdl.estimators.conformal import Bands
from tabdl.estimators.measures import Measures
from tabdl.panel import Panel
from tabdl.times import Calendar
from tabdl.training.effects import Effects
from tabdl.training.forecasts import Forecasts


def forecast_state(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a forecaster has learned: plain JSON, and arrays by name."""
    model, recent = estimator.forecasts_, estimator.recent_ if estimator.keep_history else None
    state = {
        "calendar": estimator.calendar_.to_json(),
        "covariates": estimator.covariates_.to_json(),
        "ids": [list(key) for key in estimator.ids_],
        "seasons": list(model.seasons),
        "lookback": model.lookback,
        "log": model.log,
        "floor": model.floor,
        "recent": list(estimator.bands_.recent),
        "level": estimator.measures_.level,
        "score": None if np.isnan(model.score) else model.score,
    }
    arrays = {
        "kernel": model.kernel,
        "mixture": model.mixture,
        "effects": estimator.effects_.coefficients,
        "scales": estimator.scales_,
        "measures/own": estimator.measures_.own,
        "measures/typical": estimator.measures_.typical,
    }
    arrays |= {"bands/quantiles": estimator.bands_.quantiles, "bands/spread": estimator.bands_.spread}
    if recent is not None:
        state["recent_ids"] = [_plain_cells(cells) for cells in recent.ids.values()]
        arrays |= {
            "recent/starts": recent.starts,
            "recent/steps": recent.steps,
            "recent/values": np.concatenate(recent.values),
        }
        arrays |= {} if estimator.changes_ is None else {"recent/changes": estimator.changes_}
    return state, arrays


def restore_forecast(estimator: Any, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """The opposite of `forecast_state`; the roles of the columns are there already."""
    estimator.calendar_, estimator.covariates_ = Calendar.from_json(state["calendar"]), Covariates.from_json(state["covariates"])
    estimator.ids_, estimator.n_features_in_ = [tuple(key) for key in state["ids"]], len(estimator.roles_.names)
    seasons, score = tuple(map(int, state["seasons"])), state["score"]
    estimator.forecasts_ = Forecasts(
        arrays["kernel"],
        seasons,
        int(state["lookback"]),
        arrays["mixture"],
        bool(state["log"]),
        float(state["floor"]),
        np.nan if score is None else float(score),
    )
    estimator.effects_, estimator.scales_ = Effects(arrays["effects"]), arrays["scales"]
    estimator.measures_ = Measures(arrays["measures/own"], arrays["measures/typical"], float(state["level"]))
    measure, exponent = state["recent"]
    estimator.bands_ = Bands(arrays["bands/quantiles"], arrays["bands/spread"], (int(measure), float(exponent)))
    estimator.recent_, estimator.changes_ = None, arrays.get("recent/changes")
    if "recent/values" in arrays:
        values = np.split(arrays["recent/values"], np.cumsum(arrays["recent/steps"])[:-1])
        ids = dict(zip(estimator.roles_.ids, map(_revive_cells, state["recent_ids"]), strict=True))
        columns = (*estimator.roles_.targets, *estimator.covariates_.owners)
        estimator.recent_ = Panel(estimator.calendar_, ids, arrays["recent/starts"], values, columns)


def _plain_cells(cells: np.ndarray) -> dict[str, Any]:
    """Ids as the user has them; those that are neither text, numbers nor times as text."""
    kind = cells.dtype.kind
    values = cells.astype(str if kind == "M" else object).tolist()
    return {
        "dtype": str(cells.dtype) if kind in "biufM" else "object",
        "values": [cell if isinstance(cell, (str, int, float)) else str(cell) for cell in values],
    }


def _revive_cells(state: dict[str, Any]) -> np.ndarray:
    if not state["dtype"].startswith(("bool", "int", "uint", "float", "datetime64", "object")):
        raise ValueError(f"unknown dtype {state['dtype']!r}")
    return np.array(state["values"], dtype=state["dtype"])
