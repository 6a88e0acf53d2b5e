"""Forecasts of many series: what is chosen, what is mixed in, and that nothing looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tabdl.encoding.windows import Series
from tabdl.training import forecasts
from tabdl.training.forecasts import Forecasts, coprime, cut_windows, fit_forecasts, held_steps, lookbacks_of
from tabdl.training.linear import Choice, sum_windows


def seasonal(steps: int, seed: int = 0, noise: float = 0.2) -> np.ndarray:
    t = np.arange(steps)
    return 10 + 3 * np.sin(2 * np.pi * t / 12) + 0.02 * t + noise * np.random.default_rng(seed).normal(size=steps)


def forecast(model, values: np.ndarray, number: int = 0) -> np.ndarray:
    seen, _ = Series.of(values, model.lookback, model.seasons[0]).window(model.lookback)
    return model(seen[None], np.array([number]))[0]


def test_beats_the_seasonal_naive() -> None:
    values = [seasonal(150, seed) for seed in range(4)]
    model = fit_forecasts([part[:138] for part in values], 12, (12,)).final
    ours = np.mean([np.abs(forecast(model, part[:138], i) - part[138:]).mean() for i, part in enumerate(values)])
    naive = np.mean([np.abs(part[126:138] - part[138:]).mean() for part in values])
    assert ours < 0.8 * naive
    assert model.score < 1


def test_growth_that_multiplies_is_learned_on_logarithms() -> None:
    values = np.exp(0.02 * np.arange(140) + 0.3 * np.sin(np.arange(140) * np.pi / 6))
    model = fit_forecasts([values[:128]], 12, (12,)).final
    assert model.log
    np.testing.assert_allclose(forecast(model, values[:128]), values[128:], rtol=0.03)
    assert not fit_forecasts([values - 5], 12, (12,)).final.log


@pytest.mark.parametrize("steps", [24, 30, 36, 40, 90])
@pytest.mark.parametrize("horizon", [6, 12])
def test_no_window_sees_what_is_to_come(steps: int, horizon: int) -> None:
    values = seasonal(steps)
    model = fit_forecasts([values], horizon, (12,)).final
    plain, found = cut_windows(model, [Series.of(values, model.lookback, 12)], steps, 0, 10**6), set()
    assert len(plain.begin) > 0
    for step in range(steps):
        spiked = values.copy()
        spiked[step] += 1000
        series = [Series.of(spiked, model.lookback, 12)]
        cut = cut_windows(model, series, steps, 0, 10**6)
        ahead = (cut.begin <= step) & (step < cut.begin + horizon)
        np.testing.assert_array_equal(cut.seen[ahead], plain.seen[ahead])
        np.testing.assert_array_equal(cut.after[cut.begin + horizon <= step], plain.after[cut.begin + horizon <= step])
        assert (cut.after[ahead] > 900).any(axis=1).all()
        found |= {*cut.begin[ahead].tolist()}
    assert found == {*plain.begin.tolist()}


@pytest.mark.parametrize("steps", [24, 36, 90])
def test_sums_hold_nothing_of_later_steps(steps: int) -> None:
    values, horizon, lookback = seasonal(steps), 6, 12
    for step in range(lookback + horizon, steps):
        spiked = values.copy()
        spiked[step] += 1000
        plain, other = (sum_windows([Series.of(v, lookback, 12)], [(1, step)], lookback, horizon, 12) for v in (values, spiked))
        for field in ("seen", "both", "next", "weight", "windows"):
            np.testing.assert_array_equal(getattr(other, field), getattr(plain, field))
        assert plain.windows == step - lookback - horizon + 1


def test_the_trial_model_does_not_see_the_held_out_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "search", lambda *_: [Choice(24, 1, 0.1)])  # what held-out steps choose
    monkeypatch.setattr(forecasts, "MIXTURES", (0.1,))
    values = seasonal(160) - 20
    spiked = values.copy()
    spiked[130:] += 1000 * np.random.default_rng(1).normal(size=30)
    plain, other = (fit_forecasts([part], 6, (12,), lookback=24, held=30) for part in (values, spiked))
    np.testing.assert_array_equal(other.trial.kernel, plain.trial.kernel)
    np.testing.assert_array_equal(other.trial.mixture, plain.trial.mixture)
    assert plain.trial.mixture.any()
    assert np.any(other.final.kernel != plain.final.kernel)
    assert np.any(other.final.mixture != plain.final.mixture)
    low = fit_forecasts([np.where(np.arange(160) < 130, values + 20, 0.5)], 6, (12,), lookback=24, held=30)
    assert (low.trial.floor, low.final.floor) == ((values + 20)[:130].min(), 0.5)


def test_each_series_takes_its_own_share() -> None:
    rng = np.random.default_rng(0)
    week = rng.normal(size=28)
    steady = [np.tile(week, 8) * 5 + 0.01 * rng.normal(size=224) for _ in range(2)]  # repeats after 28 steps only
    wandering = [rng.normal(size=224).cumsum() for _ in range(6)]
    model = fit_forecasts([*steady, *wandering], 7, (7, 28)).final
    assert model.naives == [(7, 1), (28, 1), (7, 7)]
    assert model.mixture.shape == (8, 3)
    assert model.mixture[:2, 1].min() > model.mixture[2:, 1].max()
    unknown = forecast(model, steady[0], -1)
    assert np.isfinite(unknown).all()
    assert np.any(unknown != forecast(model, steady[0], 0))


def test_gaps_and_short_series_are_forecast() -> None:
    values = [seasonal(130, seed) for seed in range(3)]
    values[0][40:47] = np.nan
    values[1] = values[1][:9]
    fitted = fit_forecasts(values, 6, (12,))
    for i, part in enumerate(values):
        assert np.isfinite(forecast(fitted.final, part, i)).all()
    cut = cut_windows(fitted.final, fitted.series, 130, 0, 10_000)
    assert np.isnan(cut.after[cut.series == 0]).any()
    for seen, after, step in zip(*(part[cut.series == 2] for part in (cut.seen, cut.after, cut.begin)), strict=True):
        np.testing.assert_array_equal(after, values[2][step : step + 6])
        assert seen[-1] == values[2][step - 1]


@pytest.mark.parametrize("steps", [2, 3, 5, 11])
def test_a_few_steps_are_enough(steps: int) -> None:
    values = np.arange(1.0, steps + 1)
    fitted = fit_forecasts([values], 4 if steps > 3 else 1, (12,))
    assert np.isfinite(forecast(fitted.final, values)).all()


@pytest.mark.parametrize("judged", [1, 4000])
def test_held_out_steps_that_are_gaps_judge_nothing(judged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "JUDGED_WINDOWS", judged)
    values = seasonal(120)
    values[-6 if judged == 1 else -30 :] = np.nan
    fitted = fit_forecasts([values], 6, (12,), held=30)
    assert fitted.held == 0
    assert np.isnan(fitted.final.score)
    assert np.isfinite(forecast(fitted.final, values)).all()


def test_constant_series() -> None:
    fitted = fit_forecasts([np.full(60, 3.0), np.zeros(60)], 4, (12,))
    np.testing.assert_allclose(forecast(fitted.final, np.full(60, 3.0)), 3.0)


def test_sizes() -> None:
    assert held_steps(np.array([1000]), 24) == 250
    assert held_steps(np.full(500, 1000), 48) == 48
    assert held_steps(np.array([20]), 10) == 0
    assert lookbacks_of(684, (24, 168))[-1] == 504
    assert all(size % 12 == 0 for size in lookbacks_of(100, (12,)))
    assert lookbacks_of(5, (12,)) == [3]
    assert coprime(4, 24) == 5
    assert coprime(3, 1) == 3


def test_series_on_logarithms_may_sink_below_all_that_was_learned() -> None:
    noise = 0.05 * np.random.default_rng(0).normal(size=140)
    values = np.exp(0.03 * np.arange(140) + np.sin(np.arange(140) * np.pi / 6) + noise)
    model = fit_forecasts([values], 12, (12,)).final
    assert model.log
    np.testing.assert_allclose(forecast(model, values / 50, -1) * 50, forecast(model, values, -1), rtol=1e-9)


def test_a_value_without_a_logarithm_is_a_gap() -> None:
    values = np.exp(0.01 * np.arange(140) + 0.3 * np.sin(np.arange(140) * np.pi / 6))
    model = fit_forecasts([values], 12, (12,)).final
    out_of_stock = values.copy()
    out_of_stock[-1] = 0
    np.testing.assert_allclose(forecast(model, out_of_stock), forecast(model, values), rtol=0.25)  # a year's growth
    assert np.isfinite(forecast(model, np.zeros(140))).all()


def test_series_that_are_seldom_known_are_learned_from() -> None:
    rng = np.random.default_rng(0)
    values = np.tile([0, 10, 20, 30, -10, -40, -50.0], 30) + rng.normal(size=210)
    values[rng.random(210) < 0.65] = np.nan
    fitted = fit_forecasts([values], 7, (7,))
    assert fitted.final.score < 1
    np.testing.assert_allclose(forecast(fitted.final, values), [0, 10, 20, 30, -10, -40, -50], atol=4)


def test_a_season_beyond_the_kernel_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "MOST_LOOKBACK", 20)
    rng = np.random.default_rng(0)
    day = 10 * rng.normal(size=30)
    values = np.tile(day, 9) + 0.1 * rng.normal(size=270)
    model = fit_forecasts([values[:240]], 30, (30,)).final
    assert (model.seasons, model.lookback, len(model.kernel) <= 20) == ((30,), 30, True)
    np.testing.assert_allclose(forecast(model, values[:240]), values[240:], atol=2)
    assert fit_forecasts([values[:50]], 3, (30,)).final.seasons == (1,)


def test_shares_below_zero_leave_forecasts_of_positive_series_positive() -> None:
    """A last value of a hundred times the others, of which a series takes away a fifth."""
    seen = np.full((1, 8), 50.0)
    seen[0, -1] = 5_000.0
    kernel = np.zeros((2, 3))
    kernel[0] = 1.0  # what was before the last one
    one = Forecasts(kernel, (1,), 8, np.array([[-0.2, 0.0]]), True, 50.0)
    np.testing.assert_allclose(one.apply_kernel(seen), 50.0)
    np.testing.assert_allclose(one(seen, np.zeros(1, int)), 20.0)
    usual = replace(one, mixture=np.array([[-0.002, 0.0]]))
    np.testing.assert_allclose(usual(seen, np.zeros(1, int)), 50.0 - 0.002 * 4_950)
    closed = np.where(np.arange(8) == 7, 0.0, seen)
    shared = replace(one, mixture=np.array([[0.9, 0.0]]))
    assert (shared(closed, np.zeros(1, int)) < 6).all()


@pytest.mark.parametrize("lookback", [1, 3, 7, 13, 14])
@pytest.mark.parametrize("beside", [0, 1])
def test_seasons_that_are_all_the_same(lookback: int, beside: int) -> None:
    wave = 10 + np.sin(np.arange(90) * 2 * np.pi / 7)
    noisy = wave + np.random.default_rng(0).normal(size=90)
    model = fit_forecasts([wave[:83], noisy[:83]][: 1 + beside], 7, (7,), lookback=lookback).final
    padded = Series.of(wave[:83], model.lookback, 7)
    found = model(padded.window(model.lookback)[0][None], np.array([0]))
    assert np.isfinite(found).all()
    assert lookback < 7 or beside or np.allclose(found, wave[83:])
