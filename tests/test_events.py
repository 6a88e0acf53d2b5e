"""Windows before an event: aligned, without a look ahead, and only where the future is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest

from tabdl.datasets import make_sales
from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.events import event_windows
from tabdl.splitting import RollingOrigin

ONE = pd.DataFrame({"t": range(8), "x": np.arange(8.0), "alarm": [0, 0, 0, 1, 0, 0, 0, 1]})


def test_windows_end_at_the_origin_and_the_event_follows():
    X, y = event_windows(ONE, "alarm", time="t", within=2, lookback=3)
    assert X.index.tolist() == y.index.tolist() == [2, 3, 4, 5]
    assert X.columns.tolist() == ["x", "alarm"]
    assert [cell.tolist() for cell in X["x"]] == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert y.tolist() == [True, False, False, True]
    assert y.dtype == bool


def test_a_spike_after_the_origin_changes_no_window():
    table = make_sales(stores=3, days=40, random_state=0)
    table["rush"] = table["sales"] > table["sales"].median()
    options = dict(time="date", id="store", within=4, lookback=10)
    before, _ = event_windows(table, "rush", **options)
    origin = before.index.get_level_values("date").sort_values()[len(before) // 2]
    spiked = table.copy()
    numbers = ["sales", "promo", "visitors", "size"]
    spiked[numbers] = spiked[numbers].astype(float).mask(spiked["date"] > origin, 1e9)
    spiked["rush"] |= spiked["date"] > origin
    after, _ = event_windows(spiked, "rush", **options)
    known = before.index.get_level_values("date") <= origin
    assert 0 < known.sum() < len(before)
    pd.testing.assert_frame_equal(before[known], after[known])
    assert not before[~known].map(np.ndarray.tolist).equals(after[~known].map(np.ndarray.tolist))


def test_origins_whose_future_is_not_known_are_left_out():
    gap = ONE.assign(alarm=[0, 0, 0, 1, np.nan, 0, 0, 1])
    assert event_windows(gap, "alarm", time="t", within=2, lookback=1)[0].index.tolist() == [0, 1, 4, 5]
    other = pd.DataFrame({"t": range(8), "x": 0.0, "alarm": 0})  # keeps step 4 on the grid
    missing = pd.concat([ONE.drop(index=4).assign(k="a"), other.assign(k="b")])
    X, _ = event_windows(missing, "alarm", time="t", id="k", within=2, lookback=2)
    assert X.loc["a"].index.tolist() == [1, 5]
    assert np.array_equal(X.loc["a", "x"].iloc[1], [np.nan, 5], equal_nan=True)


def test_absent_rows_of_a_single_series_are_not_known():
    X, y = event_windows(ONE.drop(index=[4]), "alarm", time="t", within=2, lookback=2)
    assert X.index.tolist() == [1, 5]
    assert y.tolist() == [True, True]
    assert np.array_equal(X["x"].iloc[1], [np.nan, 5], equal_nan=True)
    gap = ONE.assign(x=ONE["x"].mask(ONE["t"] == 4), alarm=ONE["alarm"].mask(ONE["t"] == 4))
    cells, truth = event_windows(gap, "alarm", time="t", within=2, lookback=2)
    pd.testing.assert_series_equal(truth.drop(index=4), y)
    pd.testing.assert_series_equal(cells["x"].map(str).drop(index=4), X["x"].map(str))


def test_series_at_other_times_of_a_step_stay_apart():
    parts = [ONE.assign(t=7 * ONE["t"] + late, k=key) for key, late in (("mon", 0), ("wed", 2))]
    options = dict(time="t", id="k", within=2, lookback=3)
    X, y = event_windows(pd.concat(parts), "alarm", **options)
    for part in parts:
        own, truth = event_windows(part, "alarm", **options)
        key = part["k"].iloc[0]
        pd.testing.assert_frame_equal(X.loc[[key]], own)
        pd.testing.assert_series_equal(y.loc[[key]], truth)


def test_series_stay_apart_and_their_order_does_not_matter():
    two = pd.concat([ONE.assign(k="a", x=ONE["x"] + 100), ONE.assign(k="b")])
    X, y = event_windows(two.sample(frac=1, random_state=0), "alarm", time="t", id=("k",), within=2, lookback=3)
    assert X.index.names == ["k", "t"]
    for key, plus in (("a", 100), ("b", 0)):
        part = X.loc[key].sort_index()
        assert [cell.tolist() for cell in part["x"]] == [[plus + i + j for j in range(3)] for i in range(4)]
        assert y.loc[key].sort_index().tolist() == [True, False, False, True]


def test_step_thins_the_origins_from_the_end():
    assert event_windows(ONE, "alarm", time="t", within=2, lookback=3, step=2)[0].index.tolist() == [3, 5]


def test_channels_are_the_numbers_or_those_that_are_named():
    table = ONE.assign(name="text", flag=True, n=pd.array([1] * 8, "Int64"))
    assert event_windows(table, "alarm", time="t", within=1, lookback=1)[0].columns.tolist() == ["x", "alarm", "flag", "n"]
    assert event_windows(table, "alarm", time="t", within=1, lookback=1, columns=["x"])[0].columns.tolist() == ["x"]
    assert event_windows(table, "alarm", time="t", within=1, lookback=1, columns="x")[0].columns.tolist() == ["x"]


def test_other_tables_give_the_same_windows():
    X, y = event_windows(polars.from_dict(ONE.to_dict("list")), "alarm", time="t", within=2, lookback=3)
    expected, truth = event_windows(ONE, "alarm", time="t", within=2, lookback=3)
    pd.testing.assert_frame_equal(X, expected)
    pd.testing.assert_series_equal(y, truth)


def test_times_may_be_in_the_index():
    X, _ = event_windows(ONE.set_index("t"), "alarm", time="t", within=2, lookback=3)
    pd.testing.assert_frame_equal(X, event_windows(ONE, "alarm", time="t", within=2, lookback=3)[0])


def test_rolling_origins_split_the_windows_by_time():
    X, y = event_windows(ONE, "alarm", time="t", within=1, lookback=1)
    train, test = next(RollingOrigin(2, origins=1, gap=1, time="t").split(X, y))
    assert X.index[train].max() == X.index[test].min() - 2


@pytest.mark.parametrize(
    "options, error, text",
    [
        (dict(within=0), ParameterError, r"event_windows\(within=0\)"),
        (dict(lookback=1.5), ParameterError, r"event_windows\(lookback=1.5\)"),
        (dict(lookback=7), ParameterError, "at least 9 steps with a known event ahead, received 8 rows"),
        (dict(event="x"), TargetError, "received 2 in row 2 of 'x'"),
        (dict(event="none"), SchemaError, "expected a column 'none'"),
        (dict(time="none"), SchemaError, "expected a column 'none'"),
        (dict(columns=["none"]), SchemaError, "expected a column 'none'"),
    ],
)
def test_bad_input_is_refused(options, error, text):
    with pytest.raises(error, match=text):
        event_windows(ONE, **{"event": "alarm", "time": "t", "within": 2, "lookback": 2, **options})
