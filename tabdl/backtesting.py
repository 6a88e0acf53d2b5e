"""How good a forecaster would have been: rolling origins, beside forecasts that cost nothing."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl import accuracy
from tabdl.encoding.covariates import Covariates
from tabdl.errors import ParameterError, SchemaError
from tabdl.frames import read_frame
from tabdl.pictures import plot_backtest
from tabdl.quantiles import quantile_levels
from tabdl.splitting import RollingOrigin
from tabdl.timeline import Timeline, as_names, as_pandas, check_columns, numbers_in, with_index
from tabdl.times import Calendar, TimeType

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "RidgeForecaster"
OWN = ("method", "origin", "target", "truth")  # columns of forecasts that no column of times or ids may be named like
ROLES = ("horizon", "time", "id", "target", "known", "past", "static")  # parameters that all forecasters share


@dataclass
class Backtest:
    """What `backtest` returns.

    scores: one row a method (the model first): mase, smape, owa, crps, coverage_0.8, ..., seconds of fit and predict.
    by_origin: the same for each method and origin; an origin is the first step that is forecast.
    forecasts: one row a method, origin, series and step: truth, mean and quantiles beside id, time (and target).
    """

    scores: pd.DataFrame
    by_origin: pd.DataFrame
    forecasts: pd.DataFrame
    keys: list[str]
    time: str
    type: TimeType = field(repr=False)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Forecast fans over the truth and MASE by origin, as a matplotlib Figure; saved when `path` is given."""
        return plot_backtest(self.forecasts, self.by_origin, self.keys, self.time, like=self.type, path=path)

    def _repr_html_(self) -> str:
        origins = self.by_origin.index.get_level_values("origin").unique()
        table = self.scores.to_html(float_format="{:.3f}".format, na_rep="", border=0)
        return f"<p>Backtest over {len(origins)} origins from {origins[0]} to {origins[-1]}; lower is better</p>{table}"


def backtest(
    model: Any,
    table: Any,
    *,
    origins: int = 4,
    step: int | None = None,
    levels: Sequence[float] = (0.8, 0.95),
    refit: bool = True,
) -> Backtest:
    """Forecast again and again from the past of a long table, and compare with what came.

    At each origin a clone of the model sees the rows before it and forecasts its horizon; of the rows from the origin on it gets
    id, time and the known columns. Beside it stand the naive forecast, the seasonal naive one (the model's `season_`) and
    `RidgeForecaster`. Series without a known target before an origin are left out there, and so are steps that a method does not
    forecast: all are scored on the same steps. Where the table lacks a known value ahead, or the row with it, the last one of
    its series goes on. Steps are those of the calendar that a forecaster finds, so that a missing row is a gap.

    Scores, means over series and then over origins: MASE and CRPS in units of the in-sample error of the seasonal naive forecast
    before the origin (series that only repeat themselves have none and are left out), sMAPE in percent, OWA against the M4
    competition's Naive2 (`accuracy.naive2`), coverage as the share of truths inside an interval. CRPS takes the mean for the
    median. The naive forecasts have normal intervals, their variance that of the past errors times the number of seasons ahead.

    Parameters
    ----------
    model : forecaster
        Anything with the interface of `RidgeForecaster`; a clone is fitted, the model stays as it is.
    table : long table (pandas, polars, pyarrow, dict of columns)
        One row a series and time, sorted or not.
    origins, step : int
        Number of origins and the steps between them (the horizon when None), as in `RollingOrigin`.
    levels : sequence of float
        Intervals to judge, between 0 and 1.
    refit : bool, default=True
        Fit at every origin; if False, fit once at the first one and pass the rows since then as history.

    Raises `ParameterError` for levels out of range or too few steps, `SchemaError` for columns that the model needs and the
    table lacks.

    >>> import tabdl
    >>> table = tabdl.datasets.make_sales(stores=3, days=150, random_state=0)
    >>> model = tabdl.RidgeForecaster(horizon=14, time="date", id="store", target="sales")  # doctest: +SKIP
    >>> result = tabdl.backtest(model, table, origins=3)  # doctest: +SKIP
    >>> result.scores[["mase", "owa", "coverage_0.8"]]  # doctest: +SKIP
    """
    import pandas as pd

    levels = _check_levels(levels)
    grid = Grid.read(model, table)
    starts = RollingOrigin(grid.horizon, origins, step).positions(grid.line.shape[1])
    rivals, season = _rivals(model, grid), None
    scores, tables = [], []
    for origin in starts:
        values, seconds = {}, {}
        for name, rival in rivals.items():
            start = clock.perf_counter()
            if refit or origin == starts[0]:
                rivals[name] = rival = _fitted(rival, grid, origin)
            values[name] = _predicted(rival, grid, origin, levels, refit)
            seconds[name] = clock.perf_counter() - start
        if season is None:
            season = int(getattr(rivals[next(iter(rivals))], "season_", None) or 1)
        for name, period in (("naive", 1), ("seasonal naive", season)):
            start = clock.perf_counter()
            values[name] = naive_forecast(grid.values[..., :origin], grid.horizon, period, levels)
            seconds[name] = clock.perf_counter() - start
        scores += _judge(values, grid, origin, season, levels, seconds)
        tables += [_tidy(name, found, grid, origin, levels) for name, found in values.items()]
    by_origin = pd.DataFrame(scores).set_index(["method", "origin"])
    forecasts = pd.concat(tables, ignore_index=True)
    return Backtest(_summary(by_origin), _without_yardstick(by_origin), forecasts, grid.keys, grid.time, grid.line.calendar.type)


def naive_forecast(past: np.ndarray, horizon: int, season: int, levels: Sequence[float]) -> np.ndarray:
    """(..., steps) -> (..., horizon, 1 + quantiles): the seasonal naive forecast with normal intervals.

    The variance of the past errors grows with the number of seasons ahead. Hyndman and Athanasopoulos, Forecasting: Principles
    and Practice, 3rd edition, section 5.5.
    """
    mean = accuracy.seasonal_naive(past, horizon, season)
    error = past[..., season:] - past[..., :-season]
    known = np.maximum((~np.isnan(error)).sum(axis=-1), 1)
    deviation = np.sqrt(np.nansum(error**2, axis=-1) / known)[..., None] * np.sqrt(1 + np.arange(horizon) // season)
    z = np.array([0.0, *map(NormalDist().inv_cdf, quantile_levels(levels))])
    return mean[..., None] + deviation[..., None] * z


def quantile_names(levels: Sequence[float]) -> list[str]:
    """Columns of the quantiles in a forecast: [0.8] -> ["q0.1", "q0.9"]."""
    return [f"q{end:g}" for end in quantile_levels(levels)]


@dataclass(frozen=True)
class Grid:
    """The table as series x targets x steps, and the roles of its columns.

    rows, calendar: the table with times that are read alike in each part of it, and theirs.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    calendar: Calendar
    line: Timeline
    values: np.ndarray
    horizon: int
    time: str
    ids: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...]

    @classmethod
    def read(cls, model: Any, table: Any) -> Grid:
        lacks = [name for name in ("horizon", "time", "target", "predict") if not hasattr(model, name)]
        if lacks:
            raise TypeError(f"expected a forecaster, received {type(model).__name__} without {lacks[0]}; pass a XForecaster()")
        table = with_index(as_pandas(table), model.time)
        ids, targets, known = (as_names(getattr(model, role, None)) for role in ("id", "target", "known"))
        check_columns(table, [*targets, *known])
        taken = [name for name in (model.time, *ids) if name in OWN]
        if taken:
            raise SchemaError(
                f"column {taken[0]!r}: expected another name for a column of times or ids, a backtest has a column of that name; "
                "rename it"
            )
        line = Timeline.read(table, model.time, ids)
        values = np.stack([line.grid(numbers_in(table, name)) for name in targets], axis=1)
        rows, calendar = table, line.calendar
        if calendar.type.kind == "text":
            calendar = replace(calendar, type=replace(calendar.type, kind="datetime", form=None))
            rows = table.assign(**{model.time: calendar.write(line.axis)})
        return cls(table, rows, calendar, line, values, model.horizon, model.time, ids, targets, known)

    @property
    def keys(self) -> list[str]:
        return [*self.ids, "target"] if len(self.targets) > 1 else list(self.ids)

    def moment(self, step: int) -> Any:
        """The time of a step as forecasters write it."""
        return self.line.write(np.array([step]))[0]

    def begun(self, origin: int) -> np.ndarray:
        """(series,) bool: those with a value of each target before the origin."""
        return np.array([not part.all(axis=1).any() for part in np.isnan(self.values[..., :origin])], dtype=bool)

    def before(self, origin: int) -> np.ndarray:
        """Numbers of the rows to learn from."""
        return np.flatnonzero((self.line.step < origin) & self.begun(origin)[self.line.series])

    def ahead(self, origin: int) -> np.ndarray:
        """Numbers of the rows to forecast."""
        step = self.line.step
        return np.flatnonzero((step >= origin) & (step < origin + self.horizon) & self.begun(origin)[self.line.series])

    def future(self, origin: int) -> pd.DataFrame:
        """Id, time and known columns of the `horizon` steps after the last row before the origin of each series."""
        import pandas as pd

        line, axis = self.line, self.line.axis
        order = np.lexsort((axis, line.series))
        filled, past = self.rows.reset_index(drop=True)[list(self.known)], self.before(origin)
        told = set(Covariates.learn(read_frame(filled.iloc[past]), self.known).valued_gaps)  # None may be a day without an event
        gone = filled.drop(columns=list(told)).iloc[order]
        filled = filled.assign(**gone.groupby(line.series[order]).ffill())
        begun = np.flatnonzero(self.begun(origin))
        last = np.full(line.shape[0], axis.min())
        np.maximum.at(last, line.series[past], axis[past])
        ahead = last[begun, None] + self.calendar.frequency.step * np.arange(1, self.horizon + 1)
        steps = pd.DataFrame({"series": np.repeat(begun, self.horizon), "axis": ahead.ravel()}).sort_values("axis")
        rows = pd.DataFrame({"series": line.series, "axis": axis, "row": np.arange(len(axis))}).sort_values("axis")
        found = pd.merge_asof(steps, rows, on="axis", by="series")["row"]
        future = self.rows[list(self.ids)].iloc[found].reset_index(drop=True)
        future[self.time] = self.calendar.write(steps["axis"].to_numpy())
        return pd.concat([future, filled.iloc[found].reset_index(drop=True)], axis=1)


def _check_levels(levels: Sequence[float]) -> list[float]:
    found = sorted(float(level) for level in levels)
    if not found or not all(0 < level < 1 for level in found):
        raise ParameterError(f"backtest(levels={levels!r}): expected levels between 0 and 1, such as (0.8, 0.95)")
    return found


def _rivals(model: Any, grid: Grid) -> dict[str, Any]:
    from tabdl.models import catalogue, load_class

    rivals = {type(model).__name__: model}
    if BASELINE in catalogue() and BASELINE not in rivals:
        rivals[BASELINE] = load_class(BASELINE)(**{role: getattr(model, role) for role in ROLES if hasattr(model, role)})
    return rivals


def _fitted(model: Any, grid: Grid, origin: int) -> Any:
    from sklearn.base import clone

    fresh: Any = clone(model)
    return fresh.fit(grid.rows.iloc[grid.before(origin)])


def _predicted(model: Any, grid: Grid, origin: int, levels: Sequence[float], refit: bool) -> np.ndarray:
    """(series, targets, horizon, 1 + quantiles); NaN where the model has no forecast."""
    future = grid.future(origin) if grid.known else None
    history = None if refit else grid.rows.iloc[grid.before(origin)]
    frame = as_pandas(model.predict(history=history, future=future, levels=tuple(levels)))
    columns = ["mean", *quantile_names(levels)]
    check_columns(frame, [*grid.keys, grid.time, "mean"])
    series, step = grid.line.locate(frame, grid.time, grid.ids)
    several = "target" in grid.keys
    target = [grid.targets.index(name) for name in frame["target"]] if several else [0] * len(frame)
    inside = (series >= 0) & (step >= origin) & (step < origin + grid.horizon)
    values = np.full((*grid.values.shape[:2], grid.horizon, len(columns)), np.nan)
    cells = frame.reindex(columns=columns).to_numpy(np.float64)
    values[series[inside], np.array(target)[inside], step[inside] - origin] = cells[inside]
    if not (series[~np.isnan(cells[:, 0])] >= 0).any():  # before the origin, after a hole, they may well be
        name, first = type(model).__name__, grid.moment(origin)
        raise SchemaError(f"expected forecasts of {name} from {first} on, received none; check its time, id and horizon")
    return values


def _judge(
    forecasts: dict[str, np.ndarray], grid: Grid, origin: int, season: int, levels: Sequence[float], seconds: dict[str, float]
) -> list[dict[str, Any]]:
    """One row of scores a method."""
    past = grid.values[..., :origin]
    truth = grid.values[..., origin : origin + grid.horizon]
    everywhere = np.logical_and.reduce([~np.isnan(values[..., 0]) for values in forecasts.values()])
    truth = np.where(everywhere, truth, np.nan)
    yardstick = np.apply_along_axis(accuracy.naive2, -1, past, grid.horizon, season)
    scale = accuracy.seasonal_scale(past, season)
    scale = np.where(scale > 0, scale, np.nan)
    names, ends = quantile_names(levels), quantile_levels(levels)
    at = sorted([*ends, 0.5])
    order = [0 if end == 0.5 else 1 + ends.index(end) for end in at]
    rows = []
    for method, values in forecasts.items():
        mean = values[..., 0]
        row = {"method": method, "origin": grid.moment(origin)}
        row["mase"] = _mean(accuracy.mase(truth, mean, past, season))
        row["smape"] = _mean(accuracy.smape(truth, mean))
        row["naive2_mase"] = _mean(accuracy.mase(truth, yardstick, past, season))
        row["naive2_smape"] = _mean(accuracy.smape(truth, yardstick))
        row["crps"] = _mean(accuracy.crps(truth, at, values[..., order]) / scale)
        for level, low, high in zip(levels, reversed(names[: len(levels)]), names[len(levels) :], strict=True):
            low, high = (values[..., 1 + names.index(name)] for name in (low, high))
            row[f"coverage_{level:g}"] = float(accuracy.coverage(truth.ravel(), low.ravel(), high.ravel()))
        rows.append(row | {"seconds": seconds[method]})
    return rows


def _tidy(method: str, values: np.ndarray, grid: Grid, origin: int, levels: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    rows = grid.ahead(origin)
    series, step = grid.line.series[rows], grid.line.step[rows]
    parts = []
    for number, target in enumerate(grid.targets):
        part = grid.table[[*grid.ids, grid.time]].iloc[rows].reset_index(drop=True)
        if "target" in grid.keys:
            part["target"] = target
        part.insert(0, "method", method)
        part.insert(1, "origin", grid.moment(origin))
        part["truth"] = grid.values[series, number, step]
        part[["mean", *quantile_names(levels)]] = values[series, number, step - origin]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _summary(by_origin: pd.DataFrame) -> pd.DataFrame:
    groups: Any = by_origin.groupby("method", sort=False)
    return _without_yardstick(groups.mean().assign(seconds=groups["seconds"].sum()))


def _without_yardstick(scores: Any) -> pd.DataFrame:
    """Scores with OWA in place of those of Naive2."""
    owa = accuracy.owa(scores["smape"], scores["mase"], scores["naive2_smape"], scores["naive2_mase"])
    kept = scores.drop(columns=["naive2_mase", "naive2_smape"])
    kept.insert(2, "owa", owa)
    return kept


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
