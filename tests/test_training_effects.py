"""Effects of covariates: learned from news, only where held-out steps speak for them, without a look at the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabdl.times import DAY, Calendar, Frequency, TimeType
from tabdl.training.effects import Features, calendar_features, fit_effects, hold_past, news_of, window_features
from tabdl.training.forecasts import cut_windows, fit_forecasts

HOUR = DAY // 24


def series(steps: int = 200, effect: float = 5.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A week's pattern with events that come out of turn."""
    rng = np.random.default_rng(seed)
    event = (rng.uniform(size=steps) < 0.2).astype(float)
    return np.resize([0.0, 1, 2, 3, 2, 1, 0], steps) - 20 + effect * event + 0.3 * rng.normal(size=steps), event


def features(*events: np.ndarray, past: bool = False) -> Features:
    return Features([event[:, None] for event in events], np.array([past]), [np.array([True])])


def test_recovers_what_an_event_adds() -> None:
    values, event = series()
    fitted = fit_forecasts([values], 5, (7,))
    final, trial = fit_effects(fitted, features(event))
    for model, effects in ((fitted.final, final), (fitted.trial, trial)):
        scale = np.sqrt(np.mean((values[7:] - values[:-7]) ** 2))
        assert not model.log
        assert abs(effects.coefficients[0, 0] * scale - 5) < 1.5


@pytest.mark.parametrize("begin", [175, 195])
def test_a_series_that_stood_still_before_leaves_effects_alone(begin: int) -> None:
    parts, events = zip(*(series(seed=seed) for seed in range(4)), strict=True)
    late = np.where(np.arange(200) < begin, -20.0, parts[3])
    alone, _ = fit_effects(fit_forecasts(parts[:3], 5, (7,)), features(*events[:3]))
    beside, _ = fit_effects(fit_forecasts([*parts[:3], late], 5, (7,)), features(*events))
    np.testing.assert_allclose(beside.coefficients, alone.coefficients, rtol=0.3)


def test_events_without_an_effect_get_none() -> None:
    values, event = series(effect=0.0)
    final, _ = fit_effects(fit_forecasts([values], 5, (7,)), features(event))
    assert abs(final.coefficients).max() < 0.2


def test_each_target_has_its_own_effects() -> None:
    values, event = series()
    fitted = fit_forecasts([values, series(effect=0.0)[0]], 5, (7,))
    final, _ = fit_effects(fitted, Features([event[:, None]], np.array([False]), [np.array([True])], targets=2))
    assert final.coefficients[0, 0] > 10 * abs(final.coefficients[1, 0])


def test_a_target_that_begins_later_meets_the_features_of_its_own_steps() -> None:
    values, event = series()
    fitted = fit_forecasts([values, values[40:]], 5, (7,))
    told = Features([event[:, None]], np.array([False]), [np.array([True])], targets=2, begins=np.array([0, 40]))
    final, _ = fit_effects(fitted, told)
    first, second = final.coefficients[:, 0]
    assert first > 0
    assert abs(second / first - 1) < 0.2


def test_windows_know_nothing_of_the_future_of_past_features() -> None:
    values, event = series()
    model = fit_forecasts([values], 5, (7,)).final
    windows = cut_windows(model, fit_forecasts([values], 5, (7,)).series, 100, 0, 50)
    ahead = window_features(features(event), windows, model.lookback, 5)
    held = window_features(features(event, past=True), windows, model.lookback, 5)
    np.testing.assert_array_equal(ahead[:, : model.lookback], held[:, : model.lookback])
    assert (held[:, model.lookback :] == held[:, model.lookback - 1 : model.lookback]).all()
    for window, begin in zip(ahead, windows.begin, strict=True):
        np.testing.assert_array_equal(window[model.lookback :, 0], event[begin : begin + 5])
    assert hold_past(np.zeros((1, 3, 0)), np.zeros(0, bool), 2).shape == (1, 3, 0)


def test_a_covariate_that_repeats_itself_is_no_news() -> None:
    model = fit_forecasts([np.resize([0.0, 1, 2, 3, 2, 1, 0], 200) - 20], 5, (7,)).final
    weekly = np.resize([1.0, 0, 0, 0, 0, 0, 0], model.lookback + 5)[None, :, None]
    np.testing.assert_allclose(news_of(model, weekly), 0, atol=1e-9)


def features_of(axis: np.ndarray, frequency: Frequency) -> np.ndarray:
    return calendar_features(axis, Calendar(TimeType("datetime"), frequency))


def test_calendar_features() -> None:
    start = np.datetime64("2024-02-28T22:00", "us").astype(np.int64)
    hours = features_of(start + HOUR * np.arange(4), Frequency("fixed", HOUR))
    assert hours.shape == (4, 24 + 7)
    assert hours[:, :24].argmax(axis=1).tolist() == [22, 23, 0, 1]
    assert hours[:, 24:].argmax(axis=1).tolist() == [2, 2, 3, 3]
    assert features_of(start + DAY * np.arange(3), Frequency("fixed", DAY)).shape == (3, 7 + 12)
    assert features_of(start + 7 * DAY * np.arange(3), Frequency("fixed", 7 * DAY)).shape == (3, 12)
    assert features_of(np.arange(3), Frequency("month", 1)).argmax(axis=1).tolist() == [0, 1, 2]
    for empty in (Frequency("number", 1), Frequency("month", 12)):
        assert features_of(np.arange(3), empty).shape == (3, 0)


def test_calendar_features_are_those_of_the_clock_on_the_wall() -> None:
    times = pd.date_range("2024-04-06 22:00", periods=30, freq="h", tz="Pacific/Auckland")  # an hour comes twice
    axis = times.tz_convert("UTC").tz_localize(None).as_unit("us").asi8
    found = calendar_features(axis, Calendar(TimeType("datetime", "Pacific/Auckland"), Frequency("fixed", HOUR)))
    assert found[:, :24].argmax(axis=1).tolist() == times.hour.tolist()
    assert found[:, 24:].argmax(axis=1).tolist() == times.day_of_week.tolist()
