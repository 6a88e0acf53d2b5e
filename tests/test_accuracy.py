"""Scores of forecasts against numbers that were worked out by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from tabdl import accuracy
from tabdl.accuracy import coverage, crps, is_seasonal, mase, naive2, owa, seasonal_indices, seasonal_naive, smape

NAN = np.nan


def test_mase_is_scaled_by_the_seasonal_naive_error_of_the_past():
    past = np.array([10.0, 20, 12, 24, 13, 30])  # a season apart: 2, 4, 1, 6; a step apart: 10, 8, 12, 11, 17
    truth, forecast = np.array([15.0, 30]), np.array([14.0, 34])
    assert mase(truth, forecast, past, season=2) == pytest.approx(2.5 / 3.25)
    assert mase(truth, forecast, past) == pytest.approx(2.5 / 11.6)


def test_mase_leaves_gaps_out_and_has_no_scale_for_a_flat_past():
    past = np.array([1.0, NAN, 4, 6, 6])  # 4 to 6, 6 to 6
    assert mase(np.array([3.0, NAN]), np.array([5.0, 100]), past) == pytest.approx(2)
    assert np.isnan(mase(np.ones(2), np.zeros(2), np.ones(5)))
    assert np.isnan(mase(np.ones(2), np.zeros(2), np.ones(2), season=2))
    assert np.isnan(mase(np.full(2, NAN), np.zeros(2), np.arange(4.0)))


def test_scores_are_one_a_series():
    truth, forecast = np.array([[1.0, 2], [3, 5]]), np.array([[2.0, 2], [3, 1]])
    past = np.array([[0.0, 1, 2], [0, 2, 4]])
    assert mase(truth, forecast, past).tolist() == [0.5, 1.0]
    assert smape(truth, forecast).tolist() == pytest.approx([100 / 3, 400 / 6])
    assert coverage(truth, forecast - 1, forecast + 1).tolist() == [1.0, 0.5]


def test_smape_counts_two_zeros_as_no_error_and_a_wrong_sign_as_200():
    assert smape(np.array([0.0, 3]), np.array([0.0, -3])) == 100
    assert smape(np.array([0.0]), np.array([5.0])) == 200


def test_owa_is_the_mean_of_two_ratios():
    assert owa(9.328, 0.893, 18.383, 2.395) == pytest.approx(0.4401, abs=1e-4)  # published for the winner of M4 Hourly: 0.440
    assert owa(18.383, 2.395, 18.383, 2.395) == 1


def test_crps_weighs_each_level_by_its_share():
    quantiles = np.array([[0.0, 1, 2]])  # levels 0.1, 0.5, 0.9 with shares 0.3, 0.4, 0.3
    assert crps(np.array([1.5]), [0.1, 0.5, 0.9], quantiles) == pytest.approx(2 * (0.3 * 0.15 + 0.4 * 0.25 + 0.3 * 0.05))


def test_crps_of_a_point_is_the_absolute_error():
    assert crps(np.array([1.0, 5, NAN]), [0.5], np.array([[2.0], [2], [2]])) == 2


def test_crps_of_many_quantiles_is_that_of_the_distribution():
    levels = (np.arange(999) + 0.5) / 999
    truth = np.array([0.3])  # uniform on [0, 1]: y^3 / 3 + (1 - y)^3 / 3
    assert crps(truth, levels, levels[None]) == pytest.approx((0.3**3 + 0.7**3) / 3, abs=1e-4)


@pytest.mark.parametrize("levels", [[], [0.0, 0.5], [0.5, 1.0], [0.9, 0.1]])
def test_crps_refuses_levels_that_are_none(levels):
    with pytest.raises(ValueError, match="ascending levels"):
        crps(np.zeros(1), levels, np.zeros((1, len(levels))))


def test_seasonal_naive_repeats_the_last_season_and_steps_over_gaps():
    past = np.array([[1.0, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, NAN, 6, NAN]])
    assert seasonal_naive(past, 4, season=3).tolist() == [[5, 6, 7, 5], [2, 6, 4, 2]]
    assert seasonal_naive(past, 2).tolist() == [[7, 7], [6, 6]]
    assert seasonal_naive(np.array([NAN, 8.0]), 3, season=3).tolist() == [8, 8, 8]
    assert np.isnan(seasonal_naive(np.array([NAN, NAN]), 1)).all()


def test_naive2_puts_the_last_level_into_season():
    past = np.array([10.0, 20, 30] * 4)  # moving average 20 everywhere: factors 0.5, 1, 1.5
    assert seasonal_indices(past, 3).tolist() == pytest.approx([0.5, 1, 1.5])
    assert naive2(np.tile(past, 2)[1:-1], 4, season=3).tolist() == pytest.approx([30, 10, 20, 30])


def test_indices_of_an_even_season_use_the_centred_average():
    past = np.array([1.0, 3, 2, 6, 4])  # centred averages of 2: (1 + 6 + 2) / 4, (3 + 4 + 6) / 4, (2 + 12 + 4) / 4
    ratio = np.array([3 / 2.25, 2 / 3.25, 6 / 4.5])
    even, odd = ratio[1], (ratio[0] + ratio[2]) / 2
    assert seasonal_indices(past, 2).tolist() == pytest.approx(np.array([even, odd]) / ((even + odd) / 2))


@pytest.mark.parametrize(
    "past",
    [np.array([1.0, 2] * 2 + [1]), np.array([-1.0, 2] * 6), np.ones(12), np.random.default_rng(0).uniform(1, 2, 60)],
    ids=["short", "negative", "flat", "noise"],
)
def test_naive2_is_naive_without_a_season(past):
    assert not is_seasonal(past, 2)
    assert naive2(past, 2, season=2).tolist() == [past[-1]] * 2


def test_naive2_steps_over_gaps():
    assert naive2(np.array([NAN, 3.0, NAN]), 2).tolist() == [3, 3]
    assert np.isnan(naive2(np.array([NAN]), 1)).all()


def test_the_examples_run():
    assert doctest.testmod(accuracy, extraglobs={"np": np}).failed == 0
