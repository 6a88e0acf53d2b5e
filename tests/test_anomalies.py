"""Spikes and closures: what is one, what is none, and what a forecaster makes of them."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from waves import HORIZON, STEPS, fit, table

from tabdl.anomalies import find_closures, find_spikes

WAVE = np.sin(np.arange(120) * 2 * np.pi / 7)


@pytest.mark.parametrize("size", [12.0, -12.0, 1e6])
@pytest.mark.parametrize("steps", [[0], [50], [50, 51], [50, 53], [118]])
def test_values_alone_far_beyond_the_others_are_spikes(steps: list[int], size: float) -> None:
    values = WAVE.copy()
    if len(steps) == 2 and steps[1] == 53:
        values[51] = np.nan  # a gap beside it
        steps = steps[:1]
    values[steps] = size
    for factor in (1e-9, 1.0, 1e9):
        expected = steps if len(steps) == 1 or size == 1e6 else []  # two of 120 have to be further
        assert np.flatnonzero(find_spikes(factor * values)).tolist() == expected
    values = np.tile(WAVE, 2)
    values[[50, 51]] = size  # a hundredth of the others may be as far
    assert np.flatnonzero(find_spikes(values)).tolist() == [50, 51]


@pytest.mark.parametrize("begin", [0, 60, 100])
def test_a_sensor_that_was_stuck_shows_nothing(begin: int) -> None:
    values = WAVE.copy()
    values[begin : begin + 5] = 9_999.0
    assert np.flatnonzero(find_spikes(values)).tolist() == list(range(begin, begin + 5))


@pytest.mark.parametrize(
    "values",
    [
        np.where(np.arange(120) < 119, WAVE, 1e6),  # the last one may be a new level
        np.where(np.arange(1200) // 3 == 200, 10.0, np.resize(WAVE, 1200)),  # an event of three steps
        np.where(np.arange(1200) >= 1195, 1e6, np.resize(WAVE, 1200)),
        np.where(np.arange(1200) % 40 == 7, 1e3 + np.arange(1200), np.resize([0.0, 1.0], 1200)),  # rare, but usual
        np.where(np.arange(120) % 40 == 5, 15.0, WAVE),  # three of 120 are usual
        np.where(np.arange(120) % 40 == 5, 50.0, WAVE),
        np.where(np.arange(120) % 50 == 5, 50.0, 0.0),  # where all others are equal, nothing is far
        np.exp(0.1 * np.arange(120)),
        np.where(np.arange(120) == 50, 5.0, WAVE),
        np.array([0.0, 1.0, 0.0, 1e6, 0.0, 1.0]),  # too few to tell
        np.full(50, np.nan),
        np.zeros(0),
    ],
)
def test_new_levels_events_and_rare_orders_are_no_spikes(values: np.ndarray) -> None:
    assert not find_spikes(values).any()


ONE = np.resize([3.0, 5.0, 4.0, 6.0, 2.0, 7.0, 1.0], 60)


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.where(np.arange(60) < 20, 0.0, ONE), range(20)),  # before it opened
        (np.where(np.arange(60) // 10 == 3, 0.0, ONE), range(30, 40)),
        (np.where(np.isin(np.arange(60) // 10, (0, 3)), 0.0, ONE), [*range(10), *range(30, 40)]),
        (np.where(np.arange(60) // 10 == 3, np.where(np.arange(60) % 2, np.nan, 0.0), ONE), range(30, 40, 2)),
        (np.where((np.arange(60) < 20) | (np.arange(60) % 7 == 6), 0.0, ONE), range(21)),  # beside closed Sundays
    ],
)
def test_a_long_run_of_zeros_is_a_closure(values: np.ndarray, expected: Any) -> None:
    assert np.flatnonzero(find_closures(values)).tolist() == [*expected]
    assert np.flatnonzero(find_closures(-values)).tolist() == [*expected]


@pytest.mark.parametrize(
    "values",
    [
        np.where(np.arange(60) >= 30, 0.0, ONE),  # may last
        np.where(np.arange(60) // 4 == 3, 0.0, ONE),  # short
        np.where(np.arange(60) % 20 < 8, 0.0, ONE),  # comes again
        np.where(np.arange(60) % 12 == 0, ONE, 0.0),  # rare orders
        np.where(np.isin(np.arange(60), [*range(10), 20, 21, 22]), 0.0, ONE),
        np.where(np.arange(60) < 56, 0.0, ONE),  # too few others to tell
        np.full(60, np.nan),
        np.zeros(60),
        np.zeros(0),
    ],
)
def test_zeros_that_may_come_again_are_no_closure(values: np.ndarray) -> None:
    assert not find_closures(values).any()


def test_rare_demand_is_seldom_taken_for_closures() -> None:
    rng = np.random.default_rng(0)
    for share in (0.05, 0.1, 0.3, 0.6, 0.9):
        found = [find_closures((rng.uniform(size=100) < share) * 1.0).any() for _ in range(300)]
        assert np.mean(found) < 0.05


@pytest.mark.parametrize("size", [50.0, 1e6])
def test_a_spike_is_a_gap(size: float) -> None:
    """A wave of 2 to 14 in which a sensor once says something else."""
    rows = table()
    spiked, gappy = rows.copy(), rows.copy()
    spiked.loc[STEPS - 8, "y"], gappy.loc[STEPS - 8, "y"] = size, np.nan
    expected = fit(gappy).predict()
    with pytest.warns(UserWarning, match=re.escape(f"{size:g} at 2024-04-02 00:00:00 of series id=1; if such")):
        model = fit(spiked)
    pd.testing.assert_frame_equal(model.predict(), expected)
    pd.testing.assert_frame_equal(fit(rows).predict(spiked), fit(rows).predict(gappy))
    assert spiked.loc[STEPS - 8, "y"] == size


def test_a_spike_that_a_known_column_tells_of_is_none() -> None:
    rows = table().assign(event=None)
    rows["y"] = rows["y"].where(rows.index % STEPS != 60, 90.0)
    told = rows.assign(event=rows["event"].mask(rows.index % STEPS == 60, "fair"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(told, known="event")
    ahead = pd.DataFrame({"id": 1, "t": pd.date_range("2024-04-10", periods=HORIZON), "event": ["", "", "fair", "", ""]})
    ahead["event"] = ahead["event"].replace("", None)
    found = model.predict(told[told["id"] == 1], ahead)["mean"]
    assert found[2] > 5 * found[1]
    with pytest.warns(UserWarning, match="takes 2 of 200 values of the target for gaps"):
        fit(rows.assign(event=np.where(rows.index % 7 == 0, "fair", "no")), known="event")


@pytest.mark.parametrize("begin", [0, 40])
def test_a_closure_is_a_gap(begin: int) -> None:
    rows = table()
    closed = (rows["id"] == 1) & (rows.groupby("id").cumcount() - begin).between(0, 29)
    zeros, gappy = rows.assign(y=rows["y"].mask(closed, 0.0)), rows.assign(y=rows["y"].mask(closed))
    expected = fit(gappy).predict()
    if not begin:
        pd.testing.assert_frame_equal(expected, fit(rows[~closed]).predict()[[*expected]])
    with pytest.warns(UserWarning, match="takes 30 of 200 values of the target for gaps, as so many zeros on end .*: from 2024-"):
        model = fit(zeros)
    pd.testing.assert_frame_equal(model.predict(), expected)
    pd.testing.assert_frame_equal(model.predict(zeros), expected)
    assert (zeros.loc[closed, "y"] == 0).all()


def test_a_closure_that_a_known_column_tells_of_is_none() -> None:
    rows = table()
    day = rows.groupby("id").cumcount()
    shut = ((rows["id"] == 1) & day.between(40, 69)) | (day % 7 == 6)
    rows = rows.assign(y=rows["y"].mask(shut, 0.0), open=~shut, price=np.random.default_rng(1).normal(size=len(rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(rows, known=["open", "price"])
    with pytest.warns(UserWarning, match="takes 30 of 200"):
        fit(rows, known="price")


def test_gaps_of_a_history_are_told(recwarn: Any) -> None:
    rows = table()
    model = fit(rows)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="^history: takes 1 of 200 values") as told:
        model.predict(rows.assign(y=rows["y"].where(rows.index != 60, 1e6)))
    assert told[0].filename == __file__


def test_what_came_is_judged_as_it_is() -> None:
    rows = table()
    past, came = rows[rows["t"] < "2024-04-05"], rows[rows["t"] >= "2024-03-01"]
    model = fit(past)
    spiked = came.assign(y=came["y"].where(came["t"] != "2024-04-05", 1e6))
    assert model.score(spiked) < 1_000 * model.score(came)
