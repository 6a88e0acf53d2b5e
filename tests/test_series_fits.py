"""What a fit learns of series: how many steps there are, what a channel is, which columns name the series."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tabdl

RNG = np.random.default_rng(0)
ROWS = 24
SHORT = [RNG.normal(size=(6, 2)) for _ in range(ROWS)]
Y = np.arange(ROWS) / ROWS


def regressor(**params: Any) -> Any:
    return tabdl.TCNRegressor(**{"width": 2, "blocks": 1, "epochs": 1, "validation_fraction": 0.25} | params)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_longest_series_is_kept_whole_wherever_it_falls(seed: int) -> None:
    series = [*SHORT]
    series[7] = RNG.normal(size=(20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor(random_state=seed).fit(series, Y)
        model.predict(series)
    assert model.encoder_.sequence.steps == 20


def test_validation_series_may_be_the_longest() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor(random_state=0).fit(SHORT, Y, X_val=[RNG.normal(size=(9, 2)) for _ in range(8)], y_val=Y[:8])
    assert model.encoder_.sequence.steps == 9
    alone = regressor(random_state=0, validation_fraction=0).fit(SHORT, Y)
    np.testing.assert_array_equal(model.encoder_.sequence.center, alone.encoder_.sequence.center)
