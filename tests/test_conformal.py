"""Intervals from errors: their share holds, they follow the series, the step and what happened of late."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.estimators.conformal import Bands, learn_bands

RNG = np.random.default_rng(0)


def even(count: int) -> np.ndarray:
    """Two measures that tell nothing."""
    return np.ones((count, 2))


def unit(bands: Bands, count: int) -> np.ndarray:
    return bands.unit(even(count), even(count))


def test_the_share_holds_on_new_errors_also_for_skewed_ones() -> None:
    def draw() -> np.ndarray:
        return (RNG.gamma(3, size=(2000, 6)) - 3) * np.linspace(1, 3, 6)

    series = np.zeros(2000, int)
    bands, new = learn_bands(draw(), series, even(1), even(2000)), draw()
    for share in (0.025, 0.1, 0.9, 0.975):
        below = new <= bands.at(share, series, unit(bands, 2000))
        assert below.mean(axis=0) == pytest.approx(share, abs=0.03)


def test_each_series_has_its_own_spread_and_unknown_ones_that_of_all() -> None:
    series = np.repeat([0, 1], 300)
    bands = learn_bands(RNG.normal(size=(600, 4)) * np.where(series, 10, 1)[:, None], series, even(2), even(600))
    calm, wild, unknown = bands.at(0.9, np.array([0, 1, -1]), unit(bands, 3))[:, 0]
    assert wild > 5 * calm
    assert calm < unknown < wild


@pytest.mark.parametrize("measure", [0, 1])
def test_what_is_recent_counts_where_it_tells(measure: int) -> None:
    recent, series = even(2000), np.zeros(2000, int)
    recent[:, measure] = np.exp(RNG.normal(size=2000))
    errors = RNG.normal(size=(2000, 3))
    assert learn_bands(errors * recent[:, [measure]], series, even(1), recent).recent == (measure, 1.0)
    assert learn_bands(errors, series, even(1), recent).recent == (0, 0.0)


def test_other_steps_than_those_learned_from_tell_what_counts() -> None:
    """Inside each of four blocks the measure tells nothing, from one to the next it tells all."""
    blocks = np.repeat(np.arange(4), 100)
    recent = np.stack([np.exp(RNG.normal(size=400)), np.array([1.0, 3.0, 0.3, 9.0])[blocks]], axis=1)
    errors, series = RNG.normal(size=(400, 3)) * recent[:, [1]], np.zeros(400, int)
    assert learn_bands(errors, series, even(1), recent, blocks=blocks).recent == (1, 1.0)


def test_the_mean_lies_inside_and_bounds_ascend() -> None:
    series = np.zeros(50, int)
    bands = learn_bands(5 + RNG.normal(size=(50, 3)), series, even(1), even(50))
    found = np.stack([bands.at(share, series, unit(bands, 50)) for share in (0.025, 0.1, 0.9, 0.975)])
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[1] <= 0).all()
    assert (found[2] >= 0).all()


def test_gaps_and_few_errors() -> None:
    errors = np.array([[1.0, np.nan, np.nan], [-1.0, 2.0, np.nan]])
    bands = learn_bands(errors, np.array([0, 0]), even(3), even(2))
    assert np.isfinite(bands.at(0.9, np.array([0, 2, -1]), unit(bands, 3))).all()


def test_few_errors_widen_tails_and_count_for_all_steps() -> None:
    """One window of a series, as is left of a short one: its own errors cannot tell how far off one in forty is."""
    held, zero = [], np.zeros(1, int)
    for _ in range(200):
        errors, new = RNG.normal(size=(2, 1, 12))
        bands = learn_bands(errors, zero, even(1), even(1))
        low, lower, upper, high = (bands.at(share, zero, unit(bands, 1)) for share in (0.025, 0.1, 0.9, 0.975))
        held.append([((low <= new) & (new <= high)).mean(), ((lower <= new) & (new <= upper)).mean()])
        assert ((high - low) > 1.4 * (upper - lower)).all()
    assert np.mean(held, axis=0) == pytest.approx([0.95, 0.8], abs=0.05)


def test_windows_that_overlap_are_not_many() -> None:
    """Of the same errors, those of overlapping windows tell less; errors that are all alike as well."""
    errors, series = RNG.normal(size=(20, 12)), np.zeros(20, int)
    apart, over = (learn_bands(errors, series, even(1), even(20), 12 * np.arange(20) // by) for by in (1, 12))
    alike = learn_bands(np.repeat(errors[:, :1], 12, axis=1), series, even(1), even(20))
    tails = [bands.at(0.975, series[:1], unit(bands, 1)).mean() / errors.std() for bands in (apart, over, alike)]
    assert tails[0] < tails[1]
    assert tails[0] < tails[2]


def test_nothing_widens_bands_of_many_errors() -> None:
    series, normal = np.zeros(8000, int), 1.95996
    bands = learn_bands(RNG.normal(size=(8000, 6)), series, even(1), even(8000))
    assert bands.at(0.975, series[:1], unit(bands, 1)).mean() == pytest.approx(normal, rel=0.02)


@pytest.mark.parametrize("windows", [0, 3])
def test_without_errors_bands_are_as_wide_as_series_vary(windows: int) -> None:
    own = np.array([[1.0, 2.0], [0.0, 5.0]])
    bands = learn_bands(np.full((windows, 4), np.nan), np.zeros(windows, int), own, even(windows))
    found = bands.at(0.9, np.array([0, 1, -1]), bands.unit(own[[0, 1, 0]], own[[0, 1, 0]]))
    assert (found[0] > 2).all()
    assert (found[1] > 5).all()
    assert (found[2] > 2).all()
