"""Series in the cells of a table, however they come."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

import tabdl
from tabdl import RocketClassifier, series
from tabdl.errors import ParameterError, SchemaError
from tabdl.frames import canonical, read_frame

LISTS = [[1.0, 2.0, None], [4.0], []]


def numbers(cells: np.ndarray) -> list[list[float]]:
    return [None if cell is None else np.nan_to_num(cell, nan=-1).tolist() for cell in cells]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": LISTS}),
        pd.DataFrame({"a": [np.array([1, 2, np.nan]), pd.Series([4]), np.zeros(0)]}),
        pd.DataFrame({"a": pd.Series(LISTS, dtype=pd.ArrowDtype(pyarrow.list_(pyarrow.float64())))}),
        polars.DataFrame({"a": LISTS}),
        pyarrow.table({"a": LISTS}),
        {"a": LISTS},
    ],
    ids=["lists", "arrays", "pandas arrow", "polars", "pyarrow", "dict"],
)
def test_cells_of_any_library(table: object) -> None:
    cells = read_frame(table).columns["a"]
    assert series.holds_series(cells)
    assert all(cell.dtype == np.float64 for cell in cells)
    assert numbers(cells) == [[1, 2, -1], [4], []]


def test_gaps_and_text_in_cells() -> None:
    cells = read_frame(pd.DataFrame({"a": [["x", None, "y"], None, np.nan]})).columns["a"]
    assert cells[0].tolist() == ["x", None, "y"]
    assert cells[1] is None
    assert cells[2] is None
    assert read_frame(pd.DataFrame({"a": [[True, False], [None, True]]})).columns["a"][1].tolist()[1] == 1.0


@pytest.mark.parametrize(
    ("cell", "says"),
    [([1.0, np.inf], "infinity"), ([[1.0, 2.0]], "one channel"), ([1.0, "x"], "numbers or of text"), (3.0, "each cell")],
)
def test_cells_that_are_none_are_named(cell: object, says: str) -> None:
    with pytest.raises(SchemaError, match=f"(?s)'a'.*{says}.*row 1|{says}.*'a', row 1"):
        read_frame(pd.DataFrame({"a": pd.Series([[1.0], cell], dtype=object)}))


def test_arrays_and_lists_become_a_column_a_channel() -> None:
    X = np.arange(12.0).reshape(2, 3, 2)
    columns = series.from_array(X, channels_first=False)
    assert list(columns) == ["x0", "x1"]
    assert columns["x1"][1].tolist() == [7, 9, 11]
    assert series.from_array(np.moveaxis(X, 1, 2), channels_first=True)["x1"][1].tolist() == [7, 9, 11]
    assert series.from_list([X[0], X[1, :2]], False)[0]["x1"][1].tolist() == [7, 9]
    assert series.from_list([[1, 2, 3], [4]], False)[0]["x0"][1].tolist() == [4]
    assert not series.is_list_of_series([[1, 2], [3, 4]]), "rows of a table"
    assert series.is_list_of_series([[1, 2], [3]])
    with pytest.raises(SchemaError, match="row 1"):
        series.from_list([X[0], X[1, :, :1]], False)
    with pytest.raises(SchemaError, match="without a step"):
        series.from_array(np.zeros((2, 0, 1)), False)


def test_tables_in_a_list_are_read_by_the_names_of_their_columns() -> None:
    rows = [{"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"b": [5.0], "a": [6.0]}]
    for library in (pd.DataFrame, polars.DataFrame, pyarrow.table):
        columns, named = series.from_list([np.array([[7.0, 8.0]]), *map(library, rows)], False)
        assert named
        assert {name: numbers(cells) for name, cells in columns.items()} == {"a": [[7], [1, 2], [6]], "b": [[8], [3, 4], [5]]}
    columns, named = series.from_list([pd.DataFrame(np.ones((3, 2))), np.zeros((1, 2))], False)
    assert (list(columns), named) == (["x0", "x1"], False)
    first = [pd.DataFrame(np.zeros((2, n)), columns=[*"abcd"[:n]]) for n in (3, 4)]
    assert numbers(series.from_list(first, True)[0]["x0"]) == [[0, 0, 0], [0, 0, 0, 0]], "columns are the steps"
    with pytest.raises(SchemaError, match=r"\['a', 'c'\] in row 1 beside \['a', 'b'\] in row 0"):
        series.from_list([pd.DataFrame(rows[0]), pd.DataFrame({"a": [1.0], "c": [2.0]})], False)


def test_numbers_written_as_text_are_parsed_and_other_text_stays() -> None:
    cells = series.read_cells([["1.5", None, "?"], ["2"], ["a"], [3.0], None], "u")
    parsed = series.parse_steps(cells, ("?",), "u")
    assert [None if cell is None else cell.tolist() for cell in parsed[1:]] == [[2.0], ["a"], [3.0], None]
    np.testing.assert_array_equal(parsed[0], [1.5, np.nan, np.nan])
    assert cells[1].tolist() == ["2"], "what the user has stays as it is"
    with pytest.raises(SchemaError, match="infinity: column 'u', row 0"):
        series.parse_steps(series.read_cells([["1e999"]], "u"), (), "u")


LONG = {
    "who": np.array(["b", "a", "b", "a", "b"], dtype=object),
    "at": np.array([2, 1, 1, 2, 3]),
    "heat": np.array([20.0, 1.0, 10.0, 2.0, 30.0]),
    "kind": np.array(["new", "old", "new", "old", "new"], dtype=object),
}


def test_long_tables_are_collected_by_id_in_the_order_of_time() -> None:
    found, ids, _ = series.collect(LONG, "who", "at")
    assert ids == ["b", "a"]
    assert [cell.tolist() for cell in found["heat"]] == [[10, 20, 30], [1, 2]]
    assert found["kind"].tolist() == ["new", "old"]
    assert set(found) == {"heat", "kind"}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([np.nan, 3.0, 7.0, np.nan, 7.0], [7.0, 3.0]),
        ([None, "x", "y", None, " "], ["y", "x"]),
        ([None, "x", None, "x", None], [None, "x"]),
    ],
)
def test_gaps_do_not_make_a_column_vary(cells: list, expected: list) -> None:
    for channels in (None, ["heat"]):
        found, *_ = series.collect(LONG | {"age": canonical(np.array(cells, dtype=object), "age")}, "who", "at", channels)
        assert found["age"].tolist() == expected
    found, *_ = series.collect(LONG | {"age": np.array([np.nan, 3.0, 7.0, np.nan, 8.0])}, "who", "at")
    assert found["age"][0].tolist() == pytest.approx([7, np.nan, 8], nan_ok=True)


def test_irregular_times_become_a_channel() -> None:
    found, *_ = series.collect(LONG | {"at": np.array([2.0, 1.0, 1.0, 2.0, 12.0])}, "who", "at")
    np.testing.assert_allclose(found["log_step"][0], [np.nan, 0, np.log(10)])
    again, *_ = series.collect(LONG, "who", "at", ["heat", "log_step"])
    np.testing.assert_allclose(again["log_step"][1], [np.nan, 0])


def test_times_may_be_text_and_months() -> None:
    texts = np.array(["2024-03-01", "2024-01-01", "2024-02-01", "2024-02-01", "2024-04-01"], dtype=object)
    months = pd.Series(pd.PeriodIndex(texts, freq="M"))
    for times in (texts, read_frame({"at": months}).columns["at"]):
        found, *_ = series.collect(LONG | {"at": times}, "who", "at")
        assert [cell.tolist() for cell in found["heat"]] == [[10, 20, 30], [1, 2]]
        assert "log_step" not in found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"at": np.array([1, 1, 1, 2, 3])}, r"two in series who='b' \(row 2\)"),
        ({"who": np.array([2, 1, 2, 1, 2]), "at": np.array([1, 1, 1, 2, 3])}, "two in series who=2 "),
        ({"who": np.array([1.0, 2, np.nan, 2, 1])}, "column 'who': expected an id in every row, received none in row 2"),
        ({"who": np.array(["a", None, "b", "a", "b"], dtype=object)}, "expected an id in every row, received none in row 1"),
        ({"at": np.array([1, 1, np.nan, 2, 3])}, "expected a time in every row, received none in row 2"),
        ({"at": np.array([1, 1, np.nan, 2, 3.5])}, "expected a time in every row, received none in row 2"),
        ({"at": np.array(["soon"] * 5, dtype=object)}, "'soon'"),
        ({"heat": np.ones(5)}, "varies within an id"),
    ],
)
def test_long_tables_that_do_not_fit_are_refused(change: dict, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        series.collect(LONG | change, "who", "at")


def test_a_column_called_like_the_channel_of_times_is_refused() -> None:
    columns = LONG | {"log_step": np.arange(5.0)}
    with pytest.raises(SchemaError, match="column 'log_step' has the name of the channel.*rename it"):
        series.collect(columns, "who", "at")
    found, *_ = series.collect({"log_step" if name == "at" else name: cells for name, cells in LONG.items()}, "who", "log_step")
    assert list(found) == ["heat", "kind"]


def test_no_id_at_all_is_refused() -> None:
    with pytest.raises(ParameterError, match="expects one column or more, received none"):
        series.collect(LONG, (), "at")


def test_missing_columns_of_a_long_table_are_named() -> None:
    with pytest.raises(SchemaError, match="id='whom'"):
        series.collect(LONG, "whom", "at")


def test_series_longer_than_known_keep_their_end() -> None:
    cells = series.from_list([[1, 2, 3], [4]], False)[0]["x0"]
    with pytest.warns(UserWarning, match="1 series are longer than the 2 steps"):
        cut = series.cut({"x0": cells}, 2)["x0"]
    assert cut[0].tolist() == [2, 3]
    assert cells[0].tolist() == [1, 2, 3]


def test_gaps_at_the_end_are_no_steps() -> None:
    """Arrays that are filled up to the longest series of all, as sets with unequal lengths often come."""
    known, gap = [1.0, 2.0, 3.0], [np.nan]
    cells = {"a": series.read_cells([known + gap, gap * 4, known], "a"), "b": series.read_cells([gap * 2, gap * 4, None], "b")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [len(cell) for cell in series.cut(cells, 3)["a"]] == [3, 1, 3]
    with pytest.warns(UserWarning, match="2 series are longer than the 2 steps"):
        cut = series.cut(cells, 2)
    assert numbers(cut["a"]) == [[2, 3], [-1], [2, 3]]
    assert numbers(cut["b"]) == [[-1], [-1], None]


def test_rows_without_times_are_regular() -> None:
    found, *_ = series.collect({name: cells for name, cells in LONG.items() if name != "at"}, "who", None)
    assert sorted(found) == ["heat", "kind"]


@pytest.mark.parametrize("held_out", [False, True])
def test_dates_of_a_long_table_are_read_as_in_the_fit(held_out: bool, tmp_path: Path) -> None:
    """One series of four Mondays has no day over 12: read anew, its last two steps would come first."""
    days = pd.date_range("2024-05-06", periods=20, freq="7D")
    values = np.random.default_rng(0).normal(size=(24, len(days)))
    table = pd.DataFrame(
        {"who": np.repeat(np.arange(24), len(days)), "day": np.tile(days.strftime("%d/%m/%Y"), 24), "heat": values.ravel()}
    )
    plain = table.assign(day=pd.to_datetime(table["day"], format="%d/%m/%Y"))
    few = table["day"].isin(["03/06/2024", "10/06/2024", "01/07/2024", "08/07/2024"])
    y = values[:, 0] > values[:, 1]
    models = []
    for rows in (table, plain):
        val = {"X_val": rows[few], "y_val": y} if held_out else {}
        models.append(RocketClassifier(id="who", time="day", kernels=84, groups=1, random_state=0).fit(rows, y, **val))
    text, dates = models
    tabdl.save(text, tmp_path / "text.tabdl")
    saved = tabdl.load(tmp_path / "text.tabdl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (text, saved):
            np.testing.assert_array_equal(model.predict_proba(table[few]), dates.predict_proba(plain[few]))
