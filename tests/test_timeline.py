"""Rows of a long table on a grid of series and steps."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import polars
import pytest

from tabdl import timeline
from tabdl.errors import SchemaError
from tabdl.timeline import Timeline, as_pandas, numbers_in, read_times

TABLE = pd.DataFrame(
    {
        "shop": ["b", "b", "a", "a"],
        "day": pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-03"]),
        "y": [3.0, 1.0, 20.0, 30.0],
    }
)


def test_grid_sorts_time_and_leaves_missing_rows_empty():
    line = Timeline.read(TABLE, "day", "shop")
    assert line.names == [("b",), ("a",)]
    assert np.array_equal(line.grid(TABLE["y"].to_numpy()), [[1, np.nan, 3], [np.nan, 20, 30]], equal_nan=True)
    assert line.rows().tolist() == [[1, -1, 0], [-1, 2, 3]]


def test_one_series_needs_no_id_and_several_ids_are_one_key():
    assert Timeline.read(TABLE.iloc[:2], "day").names == [()]
    both = TABLE.assign(kind=[1, 1, 2, 3])
    assert Timeline.read(both, "day", ("shop", "kind")).names == [("b", "1"), ("a", "2"), ("a", "3")]


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-02", "2024-01-01"],
        pd.period_range("2024-01", periods=2, freq="M")[::-1],
        pd.date_range("2024-01-01", periods=2, tz="Europe/Paris")[::-1],
        [2, 1],
        [2.5, 1.5],
    ],
    ids=["texts", "periods", "zoned", "whole numbers", "numbers"],
)
def test_times_are_dates_or_numbers(times):
    assert read_times(pd.Series(times), "t").argsort().tolist() == [1, 0]


@pytest.mark.parametrize("times", [["2024-01-02", None], ["2024-01-02", "soon"], [1.0, np.nan], [pd.Timestamp(0), pd.NaT]])
def test_a_time_that_is_missing_is_refused(times):
    with pytest.raises(SchemaError, match="row 1 of 't'"):
        read_times(pd.Series(times), "t")


def test_what_cannot_be_a_time_is_refused():
    with pytest.raises(SchemaError, match="expected dates or numbers in the time column 't', received True"):
        read_times(pd.Series([True, False]), "t")


def test_two_rows_at_one_time_and_missing_columns_are_refused():
    with pytest.raises(SchemaError, match="second one for 2024-01-03 00:00:00 in row 3"):
        Timeline.read(TABLE, "day")
    with pytest.raises(SchemaError, match="expected a column 'store', received a table with shop, day, y"):
        Timeline.read(TABLE, "day", "store")


def test_numbers_and_truth_values_are_read_with_their_gaps():
    table = pd.DataFrame({"a": [True, False], "b": pd.array([True, None], "boolean"), "c": ["x", "y"]})
    assert numbers_in(table, "a").tolist() == [1, 0]
    assert np.array_equal(numbers_in(table, "b"), [1, np.nan], equal_nan=True)
    with pytest.raises(SchemaError, match="expected numbers in column 'c', received 'x'"):
        numbers_in(table, "c")


def test_other_tables_become_pandas_and_pandas_stays_as_it_is():
    assert as_pandas(TABLE) is TABLE
    found = as_pandas(polars.from_dict(TABLE.to_dict("list")))
    assert found["day"].tolist() == TABLE["day"].tolist()


def test_the_example_runs():
    assert doctest.testmod(timeline).failed == 0
