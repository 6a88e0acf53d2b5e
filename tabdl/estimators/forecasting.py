"""What every forecaster does: read a long table, forecast each series, with intervals and the effects of what is known ahead."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from tabdl.encoding.covariates import Covariates
from tabdl.encoding.windows import Series
from tabdl.errors import ParameterError, SchemaError
from tabdl.estimators.conformal import Bands, learn_bands
from tabdl.estimators.forecastscore import changes, score_forecasts
from tabdl.estimators.forecaststate import forecast_state, restore_forecast
from tabdl.estimators.histories import History, Roles, read_future, read_history
from tabdl.estimators.measures import Measures
from tabdl.frames import Frame
from tabdl.panel import Panel
from tabdl.params import Parameters, param
from tabdl.quantiles import quantile_levels
from tabdl.seasons import find_seasons
from tabdl.times import Calendar
from tabdl.training.effects import (
    Effects,
    Features,
    calendar_features,
    errors_of,
    fit_effects,
    forecast_windows,
    hold_past,
    news_of,
)
from tabdl.training.forecasts import (
    Fitted,
    Forecasts,
    Windows,
    change,
    cut_windows,
    fit_forecasts,
    scales,
)

GAP_SEASONS = 4  # kept before the steps that a forecast sees: gaps are filled from them
ERROR_WINDOWS = 20_000  # from which intervals are learned


class PanelForecaster(Parameters, BaseEstimator):
    """Base of forecasters: `fit` on a long table, `predict` what follows, in one tidy table."""

    horizon: int = param(1, "steps to forecast", low=1)
    time: str | None = param(None, "column of times: dates, dates as text, or whole numbers")
    id: str | tuple[str, ...] | None = param(None, "column, or columns, that tell series apart; None: one series")
    target: str | tuple[str, ...] = param("target", "column to forecast, or several")
    known: str | tuple[str, ...] | None = param(None, "columns that are known ahead, such as promotions")
    past: str | tuple[str, ...] | None = param(None, "columns that are known up to the last step only")
    static: str | tuple[str, ...] | None = param(None, "columns with one value a series; `Ridge` leaves them to networks")
    lookback: int | str = param(
        "auto", "steps that a forecast sees; 'auto': what held-out steps speak for", low=1, options=("auto",)
    )
    season: int | tuple[int, ...] | str = param(
        "auto",
        "steps after which a series repeats itself, or several such numbers, the main one first; 'auto': cycles of the calendar "
        "that the series have",
        low=1,
        options=("auto",),
    )
    calendar: bool = param(True, "whether hour, day of the week and month may move forecasts, where that helps on held-out steps")
    keep_history: bool = param(
        False, "whether a saved file holds the last steps of the training table, so that it can forecast them"
    )

    roles_: Roles
    calendar_: Calendar
    covariates_: Covariates
    ids_: list[tuple[str | None, ...]]
    forecasts_: Forecasts
    effects_: Effects
    bands_: Bands
    scales_: np.ndarray
    measures_: Measures
    recent_: Panel | None
    changes_: np.ndarray | None  # (series, targets)

    # ---- fit -------------------------------------------------------------------------------------------------------

    def fit(self, table: Any, y: None = None) -> Any:
        """Learn from a long table: a row for each step of each series, in any order.

        Parameters
        ----------
        table : long table of pandas, polars or pyarrow, list of dicts, dict of columns
            Missing steps and cells are gaps.
        y : ignored; the target is a column of the table

        Returns
        -------
        The fitted forecaster itself.

        Raises
        ------
        ParameterError, SchemaError, TargetError
            When parameters or table cannot be used; the message says what to change.
        """
        from threadpoolctl import threadpool_limits

        self.check_params()
        # products are small: more threads wait for each other, and change bits
        with self._all_or_nothing(), threadpool_limits(limits=1, user_api="blas"):
            self._fit(table)
        return self

    def _fit(self, table: Any) -> None:
        roles = self._roles()
        history = read_history(table, roles, None, None, "fit")
        channels = history.panel.channels(len(roles.targets))
        self._check_lengths(channels)
        seasons = self._seasons(channels, history.panel.calendar)
        fitted = fit_forecasts(channels, self.horizon, seasons, None if isinstance(self.lookback, str) else int(self.lookback))
        self._tell_unused(seasons, fitted.final.seasons)
        self.roles_, self.calendar_, self.covariates_ = roles, history.panel.calendar, history.covariates
        self.ids_, self.n_features_in_ = history.panel.keys, len(roles.names)
        self._learn(fitted, self._features(history), history.static)
        self.recent_ = history.last_steps(self.forecasts_.lookback + GAP_SEASONS * self.season_, self.horizon)
        self.changes_ = changes(history.panel, len(roles.targets))

    def _roles(self) -> Roles:
        return Roles.of(self.time, self.id, self.target, self.known, self.past, self.static)

    def _check_lengths(self, channels: Sequence[np.ndarray]) -> None:
        longest = max(map(len, channels))
        if longest < 2 * self.horizon:
            raise SchemaError(
                f"expected a series of at least {2 * self.horizon} steps, twice the horizon, received {longest} in the longest; "
                "add steps, or lower horizon"
            )
        if not isinstance(self.lookback, str) and longest < self.lookback + self.horizon:
            raise SchemaError(
                f"lookback={self.lookback}: expected a series of at least {self.lookback + self.horizon} steps, the lookback and "
                f"the horizon, received {longest} in the longest; add steps, or lower lookback"
            )

    def _seasons(self, channels: Sequence[np.ndarray], calendar: Calendar) -> tuple[int, ...]:
        if isinstance(self.season, str):
            return find_seasons(channels, calendar.frequency)
        seasons = (int(self.season),) if isinstance(self.season, (int, np.integer)) else tuple(map(int, self.season))
        if not seasons:
            raise ParameterError(
                f"{type(self).__name__}(season={self.season!r}): expected one season or more, received none; give 1 where "
                "nothing repeats itself, or 'auto'"
            )
        return seasons

    def _tell_unused(self, seasons: tuple[int, ...], used: tuple[int, ...]) -> None:
        unused = sorted(set(seasons) - {1, *used})
        if unused and not isinstance(self.season, str):
            warnings.warn(
                f"season={self.season!r}: {', '.join(map(str, unused))} steps do not fit twice into the series and are not used; "
                "give longer series, or a shorter season",
                stacklevel=4,
            )

    def _learn(self, fitted: Fitted, features: Features, static: Frame | None) -> Effects:
        """From what was fitted to the series alone: effects of covariates, and intervals from steps not learned from.

        Returns the effects for the trial model.
        """
        self.forecasts_ = fitted.final
        self.effects_, tried = fit_effects(fitted, features)
        self.scales_ = scales(fitted.final, fitted.series, 0)
        self.measures_ = Measures.learn(fitted.final, fitted.series)
        scale, found = scales(fitted.trial, fitted.series, fitted.held), []
        for model, back, after in fitted.blocks:
            windows = cut_windows(model, fitted.series, back, after, ERROR_WINDOWS // len(fitted.blocks))
            forecast = forecast_windows(model, windows, features, tried, scale)
            block = np.full(len(forecast), len(found))
            recent = self.measures_.recent(fitted.final, windows)
            found.append((errors_of(model, forecast, windows), windows.series, recent, windows.begin, block))
        errors, series, recent, begin, blocks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        self.bands_ = learn_bands(errors, series, self.measures_.own, recent, begin, blocks)
        return tried

    def _features(self, history: History) -> Features:
        """Known and past features, and those of the calendar."""
        panel, step = history.panel, history.panel.calendar.frequency.step
        axes = [start + step * np.arange(len(part)) for start, part in zip(panel.starts, panel.values, strict=True)]
        calendar = [calendar_features(axis, panel.calendar) for axis in axes]
        values = [np.concatenate(pair, axis=1) for pair in zip(history.features, calendar, strict=True)]
        own, dates = history.features[0].shape[1], calendar[0].shape[1]
        covariates = np.arange(own + dates) < own
        groups = [covariates, covariates | True, ~covariates] if self.calendar else [covariates]
        targets = len(panel.columns) - own
        begins = np.repeat(panel.steps, targets) - [len(channel) for channel in panel.channels(targets)]
        return Features(values, self._is_past(own + dates), groups, targets, begins)

    def _is_past(self, width: int) -> np.ndarray:
        owners = self.covariates_.owners
        return np.array([owner in self.roles_.past for owner in owners] + [False] * (width - len(owners)), dtype=bool)

    # ---- predict ---------------------------------------------------------------------------------------------------

    def predict(self, history: Any = None, future: Any = None, *, levels: Sequence[float] = (0.8, 0.95)) -> Any:
        """What follows the last step of each series.

        Parameters
        ----------
        history : long table with the columns of `fit`, optional
            The steps before the forecast; None: those of the training table. Series that were not in the training table, and
            shorter ones than the lookback, are forecast too.
        future : long table with id, time and the `known` columns of the next `horizon` steps
            Not needed without `known`, or where the history has these rows, the target missing; other rows and columns are
            ignored.
        levels : shares of the steps that central intervals shall hold, each between 0 and 1

        Returns
        -------
        A pandas DataFrame with a row for each series and step: id columns, time, "target" where there are several targets,
        "mean", and the bounds of the intervals in ascending order, "q0.1" and "q0.9" for the level 0.8.

        Raises
        ------
        SchemaError, TargetError
            When the tables do not fit what was learned, or a known covariate is missing for a step.
        """
        self._check_fitted()
        shares = quantile_levels(levels)
        past = self._read(history)
        known = read_future(future, self.roles_, past, self.horizon_)
        windows = self._windows(past.panel)
        mean = self._forecast(past, known, windows)
        model, measures = self.forecasts_, self.measures_
        unit = self.bands_.unit(measures.usual(model, windows), measures.recent(model, windows))
        errors = [self.bands_.at(share, windows.series, unit) for share in shares]
        bounds = [mean * np.exp(error) if model.log else mean + error for error in errors]
        return self._tidy(past.panel, mean, bounds, shares)

    def score(self, X: Any, y: None = None, history: Any = None) -> float:
        """Minus the mean absolute scaled error (MASE) of the steps after the history: higher is better, for searches.

        Parameters
        ----------
        X : long table with the columns of `fit`
            The rows that came next, as the test parts of `RollingOrigin` have them; known columns are taken from it. The first
            `horizon` steps with a known target count; series without history are left out.
        y : ignored; the target is a column of X
        history : long table, optional
            The steps before; None: those of the training table.

        Returns
        -------
        Mean over series and targets; the unit of each is its mean absolute change from step to step in the history.

        Raises
        ------
        SchemaError, TargetError
            When X has no step that follows the history, or does not fit what was learned.
        """
        self._check_fitted()
        return score_forecasts(self, X, history)

    def _read(self, history: Any) -> History:
        if history is not None:
            return read_history(history, self.roles_, self.covariates_, self.calendar_, "history")
        if self.recent_ is None:
            raise SchemaError(
                "history=None: expected the last steps of the training table, received a loaded model, which keeps no rows; give "
                "them as history=, or save a model with keep_history=True"
            )
        return History.of(self.recent_, len(self.roles_.targets), self.covariates_)

    def _windows(self, panel: Panel) -> Windows:
        """The last window of each target of each series."""
        model, targets = self.forecasts_, len(self.roles_.targets)
        number = {key: i for i, key in enumerate(self.ids_)}
        series = [number.get(key, -1) for key in panel.keys]
        whose = [-1 if i < 0 else i * targets + target for i in series for target in range(targets)]
        channels, season = panel.channels(targets), min(model.seasons[0], model.lookback)
        last = [Series.of(channel, model.lookback, season).window(model.lookback) for channel in channels]
        seen, known = map(np.stack, zip(*last, strict=True))
        begin = np.array([len(channel) for channel in channels])
        return Windows(seen, known, np.zeros((len(seen), self.horizon_)), np.array(whose), begin)

    def _forecast(self, past: History, known: np.ndarray, windows: Windows) -> np.ndarray:
        """Means (windows, horizon)."""
        model, targets = self.forecasts_, len(self.roles_.targets)
        forecast = model(windows.seen, windows.series)
        if self.effects_.coefficients.any():
            own = np.array([change(seen, model.seasons[0]) for seen in windows.seen])
            scale = np.where(windows.series < 0, own, self.scales_[windows.series])
            features = np.stack([self._ahead(past, known, i) for i in range(len(past.panel))])
            news = np.repeat(news_of(model, features), targets, axis=0)
            forecast = self.effects_(forecast, news, np.arange(len(forecast)) % targets, scale, model.log)
        return forecast

    def _ahead(self, past: History, known: np.ndarray, series: int) -> np.ndarray:
        """Features of one series' last window and of the steps that follow, (lookback + horizon, features)."""
        panel, lookback, step = past.panel, self.forecasts_.lookback, self.calendar_.frequency.step
        seen = past.features[series][-lookback:]
        seen = np.concatenate([np.repeat(seen[:1], lookback - len(seen), axis=0), seen])
        ahead = np.concatenate([known[series], np.zeros((self.horizon_, seen.shape[1] - known.shape[2]))], axis=1)
        axis = panel.axis_after(series, 1) + step * np.arange(-lookback, self.horizon_)
        values = np.concatenate([np.concatenate([seen, ahead]), calendar_features(axis, self.calendar_)], axis=1)
        short = lookback - len(past.features[series])
        if short > 0:  # as in training: before its first step a series stays as it was there
            values[:short] = values[short]
        return hold_past(values[None], self._is_past(values.shape[1]), lookback)[0]

    def _tidy(self, panel: Panel, mean: np.ndarray, bounds: list[np.ndarray], shares: Sequence[float]) -> Any:
        import pandas as pd

        targets, horizon = self.roles_.targets, self.horizon_
        rows = np.repeat(np.arange(len(panel)), len(targets) * horizon)
        axis = np.concatenate([np.tile(panel.axis_after(i, horizon), len(targets)) for i in range(len(panel))])
        columns: dict[str, Any] = {name: pd.Series(cells[rows]).infer_objects() for name, cells in panel.ids.items()}
        columns[self.roles_.time] = self.calendar_.write(axis)
        if len(targets) > 1:
            columns["target"] = np.tile(np.repeat(np.array(targets, dtype=object), horizon), len(panel))
        columns["mean"] = mean.ravel()
        columns |= {f"q{share:g}": bound.ravel() for share, bound in zip(shares, bounds, strict=True)}
        return pd.DataFrame(columns)

    # ---- saving ------------------------------------------------------------------------------------------------------

    @property
    def contains_rows(self) -> bool:
        """Whether a saved file would hold rows of the training table."""
        return self.keep_history

    def _own_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a saved model holds beside parameters: plain JSON, and arrays by name."""
        return forecast_state(self)

    def _restore_own(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """The opposite of `_own_state`."""
        self.roles_ = self._roles()
        restore_forecast(self, state, arrays)

    def _sample_codes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Synthetic windows for `_predict_codes`, (rows, lookback)."""
        return np.abs(rng.normal(10, 1, (rows, self.forecasts_.lookback))) + np.arange(rows)[:, None]

    def _predict_codes(self, codes: np.ndarray) -> np.ndarray:
        series = np.arange(len(codes)) % len(self.forecasts_.mixture)
        return self.forecasts_(codes, series) + self.bands_.at(0.9, series, self.measures_.own[series, 0])

    # ---- what a fitted forecaster shows ------------------------------------------------------------------------------

    @property
    def horizon_(self) -> int:
        return self.forecasts_.horizon

    @property
    def lookback_(self) -> int:
        """Steps that a forecast sees."""
        return self.forecasts_.lookback

    @property
    def season_(self) -> int:
        """The main season in steps, 1 without one."""
        return self.forecasts_.seasons[0]

    @property
    def score_(self) -> float:
        """Error on the held-out steps over that of the seasonal naive forecast; NaN where none were held out."""
        return self.forecasts_.score

    def plot_forecast(
        self, path: Any = None, history: Any = None, future: Any = None, *, levels: Sequence[float] = (0.8, 0.95)
    ) -> Any:
        """The last six horizons, forecasts and intervals of the first series as a matplotlib Figure; saved when `path` is given.

        The other parameters are those of `predict`.
        """
        from tabdl.pictures import plot_forecast

        forecast = self.predict(history, future, levels=levels)
        panel, targets, horizon = self._read(history).panel, self.roles_.targets, self.horizon_
        parts = [forecast.iloc[start : start + horizon] for start in range(0, len(forecast), horizon)]
        titles = [f"{target}, {panel.name(i)}" if self.roles_.ids else target for i in range(len(panel)) for target in targets]
        times, ahead = ([panel.places(i, steps) for i in range(len(panel)) for _ in targets] for steps in (0, horizon))
        values = [column for part in panel.values for column in part[:, : len(targets)].T]
        shown = max(6 * horizon, 2 * self.season_)  # steps
        past = [(title, when, v[-shown:]) for title, when, v in zip(titles, times, values, strict=True)]
        past = [(title, when[-len(v) :], v) for title, when, v in past]
        return plot_forecast(past, list(zip(ahead, parts, strict=True)), self.roles_.time, path)

    def _check_fitted(self) -> None:
        if not hasattr(self, "forecasts_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet; call `fit` with a long table first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "forecasts_")
