"""Rows of a long table on a grid of series and steps."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from tabdl import timeline
from tabdl.errors import SchemaError
from tabdl.timeline import Timeline, as_pandas, numbers_in, positions_of

TABLE = pd.DataFrame(
    {
        "shop": ["b", "b", "a", "a"],
        "day": pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-03"]),
        "y": [3.0, 1.0, 20.0, 30.0],
    }
)


def test_a_series_is_a_table_of_one_column():
    series = TABLE.set_index("day")["y"]
    pd.testing.assert_frame_equal(as_pandas(series), series.to_frame())
    pd.testing.assert_frame_equal(timeline.with_index(series, "day"), TABLE[["day", "y"]])


def test_grid_sorts_time_and_leaves_missing_rows_empty():
    line = Timeline.read(TABLE, "day", "shop")
    assert line.names == [("b",), ("a",)]
    assert np.array_equal(line.grid(TABLE["y"].to_numpy()), [[1, np.nan, 3], [np.nan, 20, 30]], equal_nan=True)
    assert line.rows().tolist() == [[1, -1, 0], [-1, 2, 3]]


def test_a_step_is_one_of_the_calendar_and_not_a_time_of_the_table():
    weeks = pd.DataFrame({"t": [3, 10, 31, 5, 12, 19], "k": list("mmmwww")})
    line = Timeline.read(weeks, "t", "k")
    assert line.rows().tolist() == [[0, 1, -1, -1, 2], [3, 4, 5, -1, -1]]
    assert list(line.write(np.arange(5))) == [3, 10, 17, 24, 31]
    other = pd.DataFrame({"t": [17, 17, 26, 4, 38, 33, -2], "k": list("mwwmmwm")})  # 2: without a row, 3: on the other's days
    series, step = line.locate(other, "t", "k")
    assert series.tolist() == [0, -1, 1, -1, -1, 1, -1]
    assert step.tolist() == [2, -1, 3, -1, -1, 4, -1]


def test_times_off_the_axis_have_no_place():
    months = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=4, freq="MS")})
    other = pd.DataFrame({"t": pd.to_datetime(["2024-02-01", "2024-02-02"])})
    assert Timeline.read(months, "t").locate(other, "t")[1].tolist() == [1, -1]


def test_rows_of_another_table_find_their_place():
    other = pd.DataFrame({"shop": ["a", "b", "c", "a"], "day": ["2024-01-03", "2024-01-01", "2024-01-01", "2025-01-01"]})
    series, step = Timeline.read(TABLE, "day", "shop").locate(other, "day", "shop")
    assert series.tolist() == [1, 0, -1, -1]
    assert step.tolist() == [2, 0, -1, -1]


def test_one_series_needs_no_id_and_several_ids_are_one_key():
    assert Timeline.read(TABLE.iloc[:2], "day").names == [()]
    both = TABLE.assign(kind=[1, 1, 2, 3])
    assert Timeline.read(both, "day", ("shop", "kind")).names == [("b", "1"), ("a", "2"), ("a", "3")]


def test_times_are_in_order_whatever_their_type():
    zoned = pd.date_range("2024-01-01", periods=2, tz="Europe/Paris")[::-1]
    for times in (["2024-01-02", "2024-01-01"], pd.period_range("2024-01", periods=2, freq="M")[::-1], zoned, [2, 1]):
        assert positions_of(pd.Series(times), "t").argsort().tolist() == [1, 0]


def test_times_that_cannot_be_read_are_refused_as_forecasters_refuse_them():
    with pytest.raises(SchemaError, match="column 't': expected dates or whole numbers as times, received 2.5 in row 0"):
        positions_of(pd.Series([2.5, 1.5]), "t")


def test_two_rows_at_one_time_and_missing_columns_are_refused():
    with pytest.raises(SchemaError, match="each time once in a series, received 2024-01-03 00:00:00 twice in the series"):
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


def test_other_tables_keep_their_time_zone():
    zoned = TABLE.assign(day=TABLE["day"].dt.tz_localize("Europe/Berlin"))
    for table in (polars.from_dict({"day": zoned["day"]}), pyarrow.Table.from_pandas(zoned), zoned.to_dict("records")):
        assert as_pandas(table)["day"].tolist() == zoned["day"].tolist()
        assert str(as_pandas(table)["day"].dtype).endswith("Europe/Berlin]")


def test_texts_of_another_table_are_read_as_those_of_the_first():
    line = Timeline.read(TABLE.assign(day=["13/02/2024", "14/02/2024", "02/03/2024", "03/03/2024"]), "day", "shop")
    assert line.locate(TABLE.assign(day="02/03/2024"), "day", "shop")[1].tolist() == [18] * 4


def test_the_example_runs():
    assert doctest.testmod(timeline).failed == 0
