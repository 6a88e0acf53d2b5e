"""What every forecaster does: read a long table, learn from windows, forecast with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from tabdl.encoding.windows import Series
from tabdl.errors import ParameterError, SchemaError
from tabdl.estimators.roles import Covariates, Roles, read_panel
from tabdl.panel import Panel
from tabdl.params import Parameters, param
from tabdl.seasons import find_seasons
from tabdl.times import Calendar
from tabdl.training import effects
from tabdl.training.forecasts import Forecasts, fit_forecasts
from tabdl.training.linear import change

COVERAGES = 200  # steps of the coverage for which there are radii
GAP_SEASONS = 4  # kept before the steps that a forecast sees: gaps are filled from them
SMOOTHED = 0.1  # of the horizon: steps on either side that share their errors


class PanelForecaster(Parameters, BaseEstimator):
    """Base of forecasters: `fit` on a long table, one row a series and step, `predict` the steps that follow."""

    horizon: int | str = param("auto", "steps to forecast; 'auto': a season", low=1, options=("auto",))
    time: str = param("time", "column of the times: dates, times, periods, texts of these, or whole numbers")
    id: str | tuple[str, ...] | None = param(None, "column or columns that tell the series apart; None: there is one series")
    target: str | tuple[str, ...] = param("y", "column to forecast, or several; numbers, gaps allowed")
    known: str | tuple[str, ...] | None = param(None, "columns whose future is known, such as promotions; any kind")
    past: str | tuple[str, ...] | None = param(None, "columns that are known up to now only; for networks")
    static: str | tuple[str, ...] | None = param(None, "columns that tell what a series is; for networks")
    lookback: int | str = param("auto", "steps that a forecast sees; 'auto': chosen on steps held out", low=1, options=("auto",))
    season: int | str = param("auto", "steps in a season, 1 for none; 'auto': found", low=1, options=("auto",))

    calendar_: Calendar
    model_: Forecasts
    known_: Covariates | None
    names_: list[tuple[str, tuple]]
    history_: Panel | None

    def fit(self, table: Any, y: None = None) -> Any:
        """Learn from a long table.

        Parameters
        ----------
        table : table of pandas, polars, pyarrow or a dict of columns
            One row a series and step, in any order. Missing steps and NaN are gaps; rows after the last one with a target, whose
            covariates are known already, are left alone.
        y : None
            The target is a column of the table.

        Returns
        -------
        The fitted forecaster itself.

        Raises
        ------
        ParameterError, SchemaError
            When parameters or columns cannot be used; the message says what to change.
        """
        before = dict(self.__dict__)
        try:
            self.check_params()
            self._fit(table)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _fit(self, table: Any) -> None:
        roles = Roles.of(self)
        frame = roles.read(table, [*roles.targets, *roles.known, *roles.past, *roles.static])
        self.known_ = Covariates.fit(frame, roles.known)
        panel, _ = read_panel(roles, table, self.known_)
        self.calendar_ = panel.calendar
        values = [part for target in roles.targets for part in panel.column(target)]  # the series of one target after the other
        self._choose_sizes(values, panel)
        _refuse_short(panel, self.horizon_)
        lookback = None if isinstance(self.lookback, str) else self.lookback
        fitted = fit_forecasts(values, self.horizon_, self.seasons_, lookback)
        self.model_, self.lookback_, self.score_ = fitted.final, fitted.final.lookback, float(fitted.final.score)
        self.names_ = [(target, key) for target in roles.targets for key in panel.keys]
        self.scales_ = np.array([_scale(part, self.season_) for part in values])
        levels = np.array([np.nanmean(np.abs(part)) for part in values])
        self.spread_ = float(np.median(self.scales_ / np.maximum(levels, 1e-300)))
        self._learn_rest(fitted.trial, fitted.series, fitted.held, panel, len(roles.targets))
        self.history_ = _last_steps(panel, self.lookback_ + GAP_SEASONS * self.season_)

    def _choose_sizes(self, values: list[np.ndarray], panel: Panel) -> None:
        found = find_seasons(values, panel.calendar.frequency) if isinstance(self.season, str) else (int(self.season),)
        self.seasons_, self.season_ = found, found[0]
        self.horizon_ = found[0] if isinstance(self.horizon, str) else int(self.horizon)

    def _learn_rest(self, trial: Forecasts, series: list[Series], held: int, panel: Panel, targets: int) -> None:
        """Effects of known covariates, and how far off forecasts are: from steps that `trial` has not seen."""
        inside = effects.place_windows(series, self.horizon_, held, inside=True)
        self.effects_ = np.zeros(0 if self.known_ is None else self.known_.width)
        covariates = self._covariates(panel, series, targets) if self.known_ is not None else None
        if covariates is not None and len(inside):
            before = effects.place_windows(series, self.horizon_, held, inside=False)
            if len(before):
                parts = [self._explained(trial, series, covariates, part) for part in (before, inside)]
                penalty, own = effects.choose_effects(trial, *parts)
                x, error = (np.concatenate(both) for both in zip(*parts, strict=True))
                self.effects_ = effects.fit_effects(x, error, penalty)
                error = parts[1][1] - parts[1][0] @ own
                self.radii_ = learn_radii(error)
                return
        error = self._scaled_errors(trial, series, inside) if len(inside) else np.zeros((0, self.horizon_))
        self.radii_ = learn_radii(error)

    def _covariates(self, panel: Panel, series: list[Series], targets: int) -> list[list[Series]]:
        """By covariate, one a series of `series`, padded alike."""
        found = []
        for i in range(len(panel.columns) - targets):
            own = [Series.of(part, series[0].lookback, self.season_) for part in panel.column(f"known {i}")]
            found.append(own * targets)
        return found

    def _scaled_errors(self, model: Forecasts, series: list[Series], windows: effects.Windows) -> np.ndarray:
        seen, known = windows.seen(series, model.lookback), windows.known(series, model.lookback)
        scale = effects.scale_of(seen, known, self.season_, self.scales_[windows.whose][:, None])
        return (windows.ahead(series, self.horizon_) - model(seen, windows.whose)) / scale

    def _explained(
        self, model: Forecasts, series: list[Series], covariates: list[list[Series]], windows: effects.Windows
    ) -> tuple[np.ndarray, np.ndarray]:
        """News (windows, horizon, covariates) and scaled errors (windows, horizon)."""
        past = np.stack([windows.seen(one, model.lookback) for one in covariates], axis=-1)
        ahead = np.stack([windows._gather([p.values for p in one], 0, self.horizon_) for one in covariates], axis=-1)
        return effects.news(model.kernel, past, ahead), self._scaled_errors(model, series, windows)

    # ---- forecasts -------------------------------------------------------------------------------------------------

    def predict(self, history: Any = None, future: Any = None, *, levels: Sequence[float] = (0.8, 0.95)) -> Any:
        """Forecast the next `horizon_` steps of every series.

        Parameters
        ----------
        history : long table, optional
            What is known up to now, with the columns of `fit`: other series and shorter ones are fine. None: the table of `fit`,
            which a model loaded from a file has not.
        future : long table, optional
            Rows of the steps ahead with ids, times and the `known` columns; needed where there are such columns.
        levels : sequence of float
            Shares of the truths that central intervals shall hold, between 0 and 1.

        Returns
        -------
        pandas.DataFrame, one row a series and step: ids and time as in the table, "target" if there are several, "mean", and the
        bounds of the intervals as quantiles, such as "q0.1" and "q0.9" for 0.8.

        Raises
        ------
        SchemaError
            When times do not fit those of `fit`, or known covariates of a step ahead are missing.
        """
        self._check_fitted()
        bounds = check_levels(levels)
        roles, panel = Roles.of(self), self._panel(history)
        mean, scale = self._forecast(panel, future, roles)
        return self._tidy(panel, roles, mean, scale, bounds)

    def _panel(self, history: Any) -> Panel:
        if history is not None:
            return read_panel(Roles.of(self), history, self.known_, self.calendar_, "the history")[0]
        if self.history_ is None:
            raise ParameterError(
                "history=None stands for the table of fit, which a file does not hold; give the rows up to now as history="
            )
        return self.history_

    def _forecast(self, panel: Panel, future: Any, roles: Roles) -> tuple[np.ndarray, np.ndarray]:
        """(targets * series, horizon) forecasts, and scales (targets * series, 1)."""
        numbers = {name: i for i, name in enumerate(self.names_)}
        whose = np.array([numbers.get((target, key), -1) for target in roles.targets for key in panel.keys])
        series = [Series.of(part, self.lookback_, self.season_) for target in roles.targets for part in panel.column(target)]
        seen, known = (np.stack(parts) for parts in zip(*(part.window(self.lookback_) for part in series), strict=True))
        usual = np.where(whose >= 0, self.scales_[whose], [self._scale_of_new(part) for part in series])[:, None]
        scale = effects.scale_of(seen, known, self.season_, usual)
        mean = self.model_(seen, whose)
        if self.known_ is not None:
            x = np.tile(self._news(panel, future, roles), (len(roles.targets), 1, 1))
            mean = mean + scale * (x @ self.effects_)
        return mean, scale

    def _scale_of_new(self, series: Series) -> float:
        """Of a series that fit has not seen: its own changes, or where it is short what is usual at its level."""
        values = series.values[series.lookback :]
        if np.count_nonzero(series.known) > 2 * self.season_:
            return _scale(values, self.season_)
        return max(self.spread_ * float(np.abs(values).mean()), 1e-300)

    def _news(self, panel: Panel, future: Any, roles: Roles) -> np.ndarray:
        """(series, horizon, covariates) of a panel."""
        ahead = self._ahead(panel, future, roles)
        past = [
            [Series.of(part, self.lookback_, self.season_).window(self.lookback_)[0] for part in panel.column(f"known {i}")]
            for i in range(ahead.shape[2])
        ]
        return effects.news(self.model_.kernel, np.stack([np.stack(one) for one in past], axis=-1), ahead)

    def _ahead(self, panel: Panel, future: Any, roles: Roles) -> np.ndarray:
        """Known covariates of the steps to forecast, (series, horizon, width)."""
        if future is None or self.known_ is None:
            raise SchemaError(
                f"known={list(roles.known)} expects future=, a table of the steps ahead with these columns; give it"
            )
        told = _read_future(roles, future, self.known_, panel.calendar)
        place = {key: i for i, key in enumerate(told.keys)}
        size, found = panel.calendar.frequency.step, []
        for i, key in enumerate(panel.keys):
            axis = panel.axis_after(i, self.horizon_)
            own = place.get(key)
            at = (axis - told.starts[own]) // size if own is not None else np.full(len(axis), -1)
            grid = told.values[own] if own is not None else np.zeros((0, 1))
            lost = (at < 0) | (at >= len(grid))
            lost[~lost] = np.isnan(grid[at[~lost], 0])
            if lost.any():
                when = panel.calendar.show(int(axis[int(np.argmax(lost))]))
                raise SchemaError(
                    f"future= expects a row of {panel.name(i)} at {when} with {list(roles.known)}, received none; add it, with "
                    "gaps where unknown"
                )
            found.append(grid[at][:, 1:])
        return np.stack(found)

    def _tidy(self, panel: Panel, roles: Roles, mean: np.ndarray, scale: np.ndarray, bounds: list[float]) -> Any:
        import pandas as pd

        parts, horizon = [], self.horizon_
        axis = np.concatenate([panel.axis_after(i, horizon) for i in range(len(panel))])
        for t, target in enumerate(roles.targets):
            rows = slice(t * len(panel), (t + 1) * len(panel))
            columns: dict[str, Any] = {name: np.repeat(cells, horizon) for name, cells in panel.ids.items()}
            columns[roles.time] = panel.calendar.write(axis)
            if len(roles.targets) > 1:
                columns["target"] = target
            columns["mean"] = mean[rows].ravel()
            for bound in bounds:
                radius = np.sign(bound - 0.5) * scale[rows] * self._radius(abs(2 * bound - 1))
                columns[f"q{bound:g}"] = (mean[rows] + radius).ravel()
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _radius(self, level: float) -> np.ndarray:
        """(horizon,) in scales of a window, of an interval that shall hold the share `level`."""
        place = level * COVERAGES
        low = int(np.floor(place))
        part = place - low
        return self.radii_[:, low] * (1 - part) + self.radii_[:, min(low + 1, COVERAGES)] * part

    def _sample_codes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Made-up windows, (rows, lookback)."""
        steps = np.arange(self.lookback_) * 2 * np.pi / max(self.season_, 2)
        return 10 + 3 * np.sin(steps + rng.uniform(0, 6, (rows, 1))) + rng.uniform(0, 1, (rows, self.lookback_))

    def _predict_codes(self, codes: np.ndarray) -> np.ndarray:
        return self.model_(codes, np.full(len(codes), -1))

    def plot_forecast(
        self, history: Any = None, future: Any = None, *, levels: Sequence[float] = (0.8, 0.95), path: Any = None
    ) -> Any:
        """Forecasts of up to four series after what is known, with intervals, as a matplotlib Figure; parameters of `predict`.

        path: where the picture is saved, if given.
        """
        from tabdl.pictures import plot_forecast

        forecast = self.predict(history, future, levels=levels)
        roles, panel = Roles.of(self), self._panel(history)
        drawn = []
        for t, target in enumerate(roles.targets):
            for i in range(len(panel)):
                start = (t * len(panel) + i) * self.horizon_
                name = ", ".join([target, *(str(cell) for cell in panel.keys[i])])
                own = forecast.iloc[start : start + self.horizon_]
                drawn.append((name, panel.times(i), panel.column(target)[i], own[roles.time].array, own))
        return plot_forecast(drawn, path)

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet; call `fit` with a long table first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


def learn_radii(error: np.ndarray) -> np.ndarray:
    """Conformal radii (horizon, COVERAGES + 1) from scaled errors (windows, horizon), those of near steps together."""
    horizon, sizes = error.shape[1], np.abs(error)
    reach = round(SMOOTHED * horizon)
    radii = np.full((horizon, COVERAGES + 1), np.nan)
    for step in range(horizon):
        near = sizes[:, max(step - reach, 0) : step + reach + 1]
        near = np.sort(near[np.isfinite(near)])
        if len(near):
            rank = np.ceil((len(near) + 1) * np.arange(COVERAGES + 1) / COVERAGES).astype(int)
            radii[step] = np.append(0.0, near)[np.minimum(rank, len(near))]
    return radii


def check_levels(levels: Sequence[float]) -> list[float]:
    """Ends of central intervals, ascending: (0.8,) -> [0.1, 0.9]."""
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong:
        raise ParameterError(f"levels={tuple(levels)!r}: expected shares between 0 and 1, such as (0.8, 0.95)")
    ends = {round(end, 10) for level in levels for end in ((1 - level) / 2, (1 + level) / 2)}
    return sorted(ends)


def _scale(values: np.ndarray, season: int) -> float:
    """Root mean square of what changes over a season in a series, above zero."""
    known = values[np.isfinite(values)]
    return max(change(known, season), 1e-9 * float(np.abs(known).max(initial=0)), 1e-300)


def _refuse_short(panel: Panel, horizon: int) -> None:
    longest = int(panel.steps.max())
    if longest < horizon + 2:
        raise SchemaError(
            f"expected a series of {horizon + 2} steps or more for horizon={horizon}, the longest has {longest}; add rows, or "
            "forecast fewer steps"
        )


def _last_steps(panel: Panel, most: int) -> Panel:
    """What a forecast sees, and what its gaps are filled from."""
    starts = panel.starts + panel.calendar.frequency.step * np.maximum(panel.steps - most, 0)
    return replace(panel, starts=starts, values=[part[-most:].copy() for part in panel.values])


def _read_future(roles: Roles, future: Any, known: Covariates, calendar: Calendar) -> Panel:
    """Panel of the steps ahead: a column of ones, then the covariates."""
    from tabdl.panel import make_panel
    from tabdl.times import read_times

    frame = roles.read(future, roles.known, "future")
    numbers = np.column_stack([np.ones(frame.rows), known.encode(frame)])
    times, type = read_times(future, roles.time)
    return make_panel(times, type, roles.ids_of(frame), numbers, ["there", *map(str, range(known.width))], calendar)
