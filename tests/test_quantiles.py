"""Weighted quantiles by the inverted CDF."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.errors import ParameterError
from tabdl.quantiles import quantile_levels, weighted_quantiles

LEVELS = np.linspace(0, 1, 33)


def test_levels_of_central_intervals():
    assert quantile_levels([0.8, 0.95]) == [0.025, 0.1, 0.9, 0.975]
    assert quantile_levels([]) == []
    with pytest.raises(ParameterError, match=r"levels=\(95,\): expected shares between 0 and 1"):
        quantile_levels((95,))


def test_agrees_with_numpy_without_weights():
    values = np.random.default_rng(0).normal(size=101)
    expected = np.quantile(values, LEVELS, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values, LEVELS), expected)


@pytest.mark.parametrize("seed", range(10))
def test_integer_weights_equal_repeated_rows_exactly(seed):
    rng = np.random.default_rng(seed)
    values, weight = rng.integers(0, 20, 60) / 7, rng.integers(1, 6, 60)
    repeated = weighted_quantiles(np.repeat(values, weight), LEVELS)
    np.testing.assert_array_equal(weighted_quantiles(values, LEVELS, weight), repeated)
    np.testing.assert_array_equal(weighted_quantiles(values, LEVELS, weight / 3), repeated)


def test_row_order_changes_nothing():
    rng = np.random.default_rng(1)
    values, weight, order = rng.normal(size=80), rng.integers(1, 9, 80).astype(float), rng.permutation(80)
    np.testing.assert_array_equal(
        weighted_quantiles(values[order], LEVELS, weight[order]), weighted_quantiles(values, LEVELS, weight)
    )


def test_ends_are_the_extremes_and_one_value_is_every_quantile():
    assert weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0])).tolist() == [1.0, 3.0]
    assert weighted_quantiles(np.array([5.0]), LEVELS).tolist() == [5.0] * len(LEVELS)


def test_a_heavy_row_takes_its_share():
    values, weight = np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 1.0])
    assert weighted_quantiles(values, np.array([0.05, 0.11, 0.5, 0.9, 0.91]), weight).tolist() == [1.0, 2.0, 2.0, 2.0, 3.0]
