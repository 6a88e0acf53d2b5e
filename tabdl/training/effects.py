"""What known covariates tell of the target: a ridge regression of a forecast's errors on the news in the covariates.

News is what the same linear kernel did not expect of a covariate from its own past: a promotion that comes every week is in the
series already, one that comes out of turn is news.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tabdl.times import DAY, Calendar
from tabdl.training.forecasts import Fitted, Forecasts, Windows, cut_judged, cut_windows, relative_error, scales

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of the mean square of the news
GAIN = 0.995  # of the error without effects: what effects must come below
MOST_CELLS = 2e7  # of the news
MOST_EFFECT, MOST_LOG_EFFECT = 20.0, 3.0  # in changes of a series over a season, and as a logarithm: beyond, effects are cut


@dataclass(frozen=True)
class Effects:
    """coefficients: (targets, features), of errors in changes over a season, or of logarithms; zeros where nothing is told."""

    coefficients: np.ndarray

    def __call__(self, forecast: np.ndarray, news: np.ndarray, target: np.ndarray, scale: np.ndarray, log: bool) -> np.ndarray:
        """forecast: (windows, horizon). news: (windows, horizon, features). target, scale: (windows,)."""
        if not self.coefficients.any():
            return forecast
        most = MOST_LOG_EFFECT if log else MOST_EFFECT
        effect = np.einsum("whf,wf->wh", news, self.coefficients[target]).clip(-most, most)
        return forecast * np.exp(effect) if log else forecast + scale[:, None] * effect


def calendar_features(axis: np.ndarray, calendar: Calendar) -> np.ndarray:
    """What the local calendar tells of each step, (steps, features) of 0 and 1: hour, day of the week, month."""
    frequency = calendar.frequency
    if frequency.kind == "number":
        return np.zeros((len(axis), 0))
    moments = calendar.type.to_wall(frequency.from_axis(axis))
    days = moments // DAY
    months = moments.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12
    length = frequency.step if frequency.kind == "fixed" else DAY if frequency.kind == "workday" else 30 * DAY
    parts = [(moments % DAY * 24 // DAY, 24)] if length < DAY // 2 else []
    parts += [((days + 3) % 7, 7)] if length <= DAY else []
    parts += [(months, 12)] if length >= DAY and not (frequency.kind == "month" and frequency.step % 12 == 0) else []
    found = [(codes[:, None] == np.arange(count)).astype(np.float64) for codes, count in parts]
    return np.concatenate([np.zeros((len(axis), 0)), *found], axis=1)


def news_of(model: Forecasts, features: np.ndarray) -> np.ndarray:
    """(windows, lookback + horizon, features) -> what was not expected, (windows, horizon, features)."""
    seen, after = features[:, : model.lookback], features[:, model.lookback :]
    level = seen[:, -1:]
    windows, _, width = after.shape
    recent = (
        (seen[:, -len(model.kernel) :] - level).transpose(0, 2, 1).reshape(windows * width, len(model.kernel))
    )  # one product for all
    expected = (recent @ model.kernel).reshape(windows, width, model.horizon).transpose(0, 2, 1)
    return after - level - expected


@dataclass(frozen=True)
class Features:
    """Of each panel series (steps, features), without gaps.

    past: mask of those that nobody knows ahead; after a window's last step they stay as they were. groups: masks of which one
    is chosen. targets: of a panel series; what forecasts are of is the targets of the first series, then of the second ...
    begins: of each of these, the step at which it begins; none: at the first.
    """

    values: Sequence[np.ndarray]
    past: np.ndarray
    groups: Sequence[np.ndarray]
    targets: int = 1
    begins: np.ndarray | None = None


def window_features(features: Features, windows: Windows, lookback: int, horizon: int) -> np.ndarray:
    """Of each window (windows, lookback + horizon, features)."""
    targets = features.targets
    begin = windows.begin if features.begins is None else windows.begin + features.begins[windows.series]
    found = np.zeros((len(windows.begin), lookback + horizon, len(features.past)))
    for i in np.unique(windows.series // targets):
        own = windows.series // targets == i
        padded = np.concatenate([np.repeat(features.values[i][:1], lookback, axis=0), features.values[i]])
        found[own] = sliding_window_view(padded, lookback + horizon, axis=0)[begin[own]].transpose(0, 2, 1)
    return hold_past(found, features.past, lookback)


def hold_past(values: np.ndarray, past: np.ndarray, lookback: int) -> np.ndarray:
    """Windows (windows, lookback + horizon, features) in which nothing unknown of the future is left; changed in place."""
    values[:, lookback:, past] = values[:, lookback - 1 : lookback, past]
    return values


def forecast_windows(model: Forecasts, windows: Windows, features: Features, effects: Effects, scale: np.ndarray) -> np.ndarray:
    """With the effects of what is known ahead, (windows, horizon); scale: (series,)."""
    forecast = model(windows.seen, windows.series)
    if not effects.coefficients.any():
        return forecast
    news = news_of(model, window_features(features, windows, model.lookback, model.horizon))
    return effects(forecast, news, windows.series % features.targets, scale[windows.series], model.log)


def fit_effects(fitted: Fitted, features: Features) -> tuple[Effects, Effects]:
    """Effects for the final and for the trial model."""
    width = len(features.past)
    nothing = Effects(np.zeros((features.targets, width)))
    if not fitted.held or not any(group.any() for group in features.groups):
        return nothing, nothing
    trial, series, held = fitted.trial, fitted.series, fitted.held
    most = max(int(MOST_CELLS / (width * (trial.lookback + trial.horizon))), 100)
    longest = max(part.steps for part in series)
    past, judged = cut_windows(trial, series, longest, held, most), cut_judged(trial, series, held, most)
    if not len(past.begin) or not len(judged.begin):
        return nothing, nothing
    group, penalty, effects = _search(trial, past, judged, features, scales(trial, series, held))
    if not group.any():
        return nothing, nothing
    whole = cut_windows(fitted.final, series, longest, 0, most)
    return _solve(_sum(fitted.final, whole, features, scales(fitted.final, series, 0)), group, penalty), effects


def _search(
    model: Forecasts, past: Windows, judged: Windows, features: Features, scale: np.ndarray
) -> tuple[np.ndarray, float, Effects]:
    """The group, penalty and effects that held-out windows speak for; an empty group where they speak for none."""
    sums = _sum(model, past, features, scale)
    news = news_of(model, window_features(features, judged, model.lookback, model.horizon))
    plain, targets = model(judged.seen, judged.series), judged.series % features.targets
    empty = np.zeros(len(features.past), bool)
    found = [(GAIN * relative_error(model, judged, plain, scale), (empty, 0.0, Effects(np.zeros((features.targets, 1)))))]
    for group in features.groups:
        for penalty in PENALTIES if group.any() else ():
            effects = _solve(sums, group, penalty)
            forecast = effects(plain, news, targets, scale[judged.series], model.log)
            found.append((relative_error(model, judged, forecast, scale), (group, penalty, effects)))
    return min(found, key=lambda pair: pair[0])[1]


def _sum(model: Forecasts, windows: Windows, features: Features, scale: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each target the mean products of news with news, and with the errors of the forecast."""
    news = news_of(model, window_features(features, windows, model.lookback, model.horizon))
    errors = errors_of(model, model(windows.seen, windows.series), windows)
    errors = errors if model.log else errors / scale[windows.series, None]
    errors = errors.clip(-MOST_EFFECT, MOST_EFFECT)
    found = []
    for target in range(features.targets):
        own = (windows.series % features.targets == target)[:, None] & ~np.isnan(errors)
        x, y = news[own], errors[own]
        found.append((x.T @ x / max(len(y), 1), x.T @ y / max(len(y), 1)))
    return found


def errors_of(model: Forecasts, forecast: np.ndarray, windows: Windows) -> np.ndarray:
    """(windows, horizon), of logarithms where the kernel acts on these; NaN in gaps."""
    if not model.log:
        return windows.after - forecast
    return np.log(np.maximum(windows.after, model.floor)) - np.log(np.maximum(forecast, model.floor))


def _solve(sums: list[tuple[np.ndarray, np.ndarray]], group: np.ndarray, penalty: float) -> Effects:
    coefficients = np.zeros((len(sums), len(group)))
    at = np.flatnonzero(group)
    for target, (products, goal) in enumerate(sums):
        own = products[np.ix_(at, at)]
        amount = penalty * max(float(np.trace(own)) / len(at), 1e-12)
        coefficients[target, at] = np.linalg.solve(own + amount * np.eye(len(at)), goal[at])
    return Effects(coefficients)
