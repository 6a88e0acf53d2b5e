"""A fitted forecaster <-> plain JSON and arrays. No row of the training table is among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tabdl.encoding.columns import read_state
from tabdl.encoding.table import TableEncoder
from tabdl.estimators.forecasting import COVERAGES, PanelForecaster
from tabdl.estimators.roles import Covariates
from tabdl.targets import tag_labels, untag_labels
from tabdl.times import Calendar
from tabdl.training.forecasts import Forecasts


def pack_panel(estimator: PanelForecaster) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(JSON, arrays) of a fitted forecaster."""
    model, known = estimator.model_, estimator.known_
    arrays = {"kernel": model.kernel, "mixture": model.mixture, "radii": estimator.radii_}
    arrays |= {"scales": estimator.scales_, "effects": estimator.effects_}
    state = {
        "calendar": estimator.calendar_.to_json(),
        "seasons": list(estimator.seasons_),
        "lookback": estimator.lookback_,
        "score": estimator.score_,
        "spread": estimator.spread_,
        "log": bool(model.log),
        "floor": float(model.floor),
        "targets": list(dict.fromkeys(target for target, _ in estimator.names_)),
        "keys": [tag_labels(column) for column in _columns([key for _, key in estimator.names_])],
        "series": len(estimator.names_),
        "known": None,
        "contains_rows": False,
    }
    if known is not None:
        state["known"], encoder = known.encoder.state()
        arrays |= {f"known/{name}": array for name, array in encoder.items()}
    return state, arrays


def unpack_panel(estimator: PanelForecaster, state: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """The opposite of `pack_panel`, for an estimator with its parameters; raises on anything that does not fit together."""
    series, horizon = int(state["series"]), arrays["kernel"].shape[-1]
    kernel = read_state(arrays, "kernel", (len(arrays["kernel"]), horizon))
    seasons, lookback = tuple(int(n) for n in state["seasons"]), int(state["lookback"])
    if not 1 <= len(kernel) <= lookback or not seasons or min(seasons) < 1:
        raise ValueError(f"expected a kernel of at most {lookback} steps and seasons, received {kernel.shape} and {seasons}")
    model = Forecasts(kernel, seasons, lookback, np.zeros(0), bool(state["log"]), float(state["floor"]), float(state["score"]))
    mixture = read_state(arrays, "mixture", (series, len(model.naives)))
    estimator.model_ = Forecasts(kernel, seasons, lookback, mixture, model.log, model.floor, model.score)
    estimator.calendar_ = Calendar.from_json(state["calendar"])
    estimator.seasons_, estimator.season_, estimator.horizon_ = seasons, seasons[0], horizon
    estimator.lookback_, estimator.score_ = lookback, float(state["score"])
    estimator.scales_, estimator.spread_ = read_state(arrays, "scales", (series,)), float(state["spread"])
    estimator.radii_ = read_state(arrays, "radii", (horizon, COVERAGES + 1))
    estimator.known_ = None
    if state["known"] is not None:
        own = {name.removeprefix("known/"): array for name, array in arrays.items() if name.startswith("known/")}
        estimator.known_ = Covariates(TableEncoder.from_state(state["known"], own))
    width = 0 if estimator.known_ is None else estimator.known_.width
    estimator.effects_ = read_state(arrays, "effects", (width,))
    columns = [untag_labels(column).tolist() for column in state["keys"]]
    targets = [str(target) for target in state["targets"]]
    keys = list(zip(*columns, strict=True)) if columns else [()] * series
    if len(keys) != series or series % max(len(targets), 1):
        raise ValueError(f"expected {series} series of {len(targets)} targets, received {len(keys)}")
    each = series // len(targets)
    estimator.names_ = [(targets[i // each], key) for i, key in enumerate(keys)]
    estimator.history_ = None


def _columns(keys: list[tuple]) -> list[np.ndarray]:
    """Cells of each id column."""
    return [np.array(column) for column in zip(*keys, strict=True)]
