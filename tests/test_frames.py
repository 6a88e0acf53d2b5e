from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from flavours import FLAVOURS, ROWS, mixed

from tabdl.errors import SchemaError
from tabdl.frames import canonical, read_frame


def same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype == object or b.dtype == object:
        return a.tolist() == b.tolist()
    return np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_library_reads_alike(flavour):
    table = mixed()
    expected, frame = read_frame(table), read_frame(FLAVOURS[flavour](table))
    assert frame.rows == ROWS
    assert frame.named
    assert list(frame.columns) == list(table.columns)
    for name, values in expected.columns.items():
        assert frame.columns[name].dtype.kind == values.dtype.kind, name
        assert same(frame.columns[name], values), name


def test_canonical_dtypes():
    kinds = {name: values.dtype.str[1:] for name, values in read_frame(mixed()).columns.items()}
    assert kinds == {
        "number": "f8",
        "gappy": "f8",
        "count": "i8",
        "city": "O",
        "plan": "O",
        "active": "b1",
        "since": "M8[us]",
        "hired": "O",
        "note": "O",
    }


@pytest.mark.parametrize(
    "cells, expected",
    [
        (pd.array([1, None], dtype="Int64"), [1.0, None]),
        (pd.array([1, None], dtype="UInt8"), [1.0, None]),
        (pd.array([1.5, None], dtype="Float32"), [1.5, None]),
        (pd.array([True, None], dtype="boolean"), [True, None]),
        (pd.array([1, None], dtype="int64[pyarrow]"), [1.0, None]),
        (pd.array([True, None], dtype="bool[pyarrow]"), [True, None]),
        (pd.array(["a", None], dtype="string[pyarrow]"), ["a", None]),
        (pd.array(["a", None], dtype="string[python]"), ["a", None]),
        (pd.Series(["a", None]).astype("str" if pd.__version__ >= "3" else "string").array, ["a", None]),
        (pd.Categorical(["a", None]), ["a", None]),
        (pd.arrays.SparseArray([0.0, 2.0]), [0.0, 2.0]),
        (np.array(["a", np.nan], dtype=object), ["a", None]),
        (np.array(["a", pd.NA], dtype=object), ["a", None]),
        (np.array([True, None], dtype=object), [True, None]),
        (np.array([1, None], dtype=object), [1.0, None]),
        (np.array([Decimal("1.5"), None], dtype=object), [1.5, None]),
        (np.array([2**70, 1], dtype=object), [float(2**70), 1.0]),
        (np.array([None, None], dtype=object), [None, None]),
        (np.array([1, "a"], dtype=object), [1, "a"]),
        (np.array([b"a", b"b"]), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1.5, np.nan], dtype=np.float16), [1.5, None]),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        (np.array([timedelta(seconds=1.5), None], dtype=object), [1.5, None]),
        (pd.to_timedelta([1, None], unit="s"), [1.0, None]),
        (pd.array([timedelta(seconds=2), None], dtype=pd.ArrowDtype(pa.duration("ms"))), [2.0, None]),
        (pd.array([Decimal("2.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), [2.5, None]),
        (np.array([{"a": 1}, 1.0], dtype=object), [{"a": 1}, 1.0]),
    ],
)
def test_cells_of_every_dtype(cells, expected):
    values = read_frame(pd.DataFrame({"a": cells})).columns["a"]
    found = [None if isinstance(v, float) and np.isnan(v) else v for v in values.tolist()]
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_datetime(["2024-05-01 12:00+02:00", None], utc=True).tz_convert("Asia/Tokyo"),
        np.array([datetime(2024, 5, 1, 10), None], dtype=object),
        np.array([datetime(2024, 5, 1, 10, tzinfo=UTC), pd.NaT], dtype=object),
        np.array([pd.Timestamp("2024-05-01 12:00", tz="Europe/Oslo"), None], dtype=object),
        np.array(["2024-05-01T10", "NaT"], dtype="datetime64[ns]"),
        pd.array([datetime(2024, 5, 1, 10, tzinfo=UTC), None], dtype=pd.ArrowDtype(pa.timestamp("ns", "Europe/Oslo"))),
    ],
)
def test_times_are_utc_microseconds(cells):
    values = read_frame(pd.DataFrame({"a": cells})).columns["a"]
    assert values.dtype == "datetime64[us]"
    assert values[0] == np.datetime64("2024-05-01T10:00", "us")
    assert np.isnat(values[1])


def test_dates_without_time():
    values = read_frame([{"a": date(2024, 5, 1)}, {"a": None}]).columns["a"]
    assert values[0] == np.datetime64("2024-05-01", "us")


def test_ordered_and_plain_categoricals_are_told_apart():
    size = pd.Categorical(["M", "S", None], categories=["S", "M", "L"], ordered=True)
    table = pd.DataFrame({"size": size, "city": pd.Categorical(["a", "b", "a"]), "code": pd.Categorical([3, 4, None])})
    frame = read_frame(table)
    assert frame.orders == {"size": ["S", "M", "L"]}
    assert frame.categorical == {"city", "code"}
    assert frame.columns["code"].tolist() == [3, 4, None]
    assert frame.columns["size"].tolist() == ["M", "S", None]
    assert read_frame(pa.Table.from_pandas(table)).orders == {"size": ["S", "M", "L"]}
    polars = pl.DataFrame(
        {"city": pl.Series(["a", None], dtype=pl.Categorical), "e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"]))}
    )
    assert read_frame(polars).categorical == {"city", "e"}
    assert read_frame(polars).columns["city"].tolist() == ["a", None]


def test_positional_inputs_get_names():
    for X in (np.ones((3, 2)), [[1.0, 1.0]] * 3, [(1, 1)] * 3, [np.ones(2)] * 3):
        frame = read_frame(X)
        assert list(frame.columns) == ["x0", "x1"]
        assert frame.rows == 3
        assert not frame.named


def test_lists_keep_the_type_of_each_column():
    frame = read_frame([[1, "a", True], [None, "b", False]])
    assert [frame.columns[name].dtype.kind for name in ("x0", "x1", "x2")] == ["f", "O", "b"]


def test_records_may_lack_keys():
    frame = read_frame([{"a": 1}, {"b": "x"}])
    assert np.isnan(frame.columns["a"][1])
    assert frame.columns["b"].tolist() == [None, "x"]


def test_structured_and_masked_arrays():
    assert read_frame(np.array([(1, "a")], dtype=[("n", int), ("s", "U1")])).columns["s"].tolist() == ["a"]
    masked = read_frame(np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]))
    assert np.isnan(masked.columns["x0"][0])


def test_names_become_text():
    assert list(read_frame(pd.DataFrame(np.ones((2, 2)))).columns) == ["0", "1"]


def test_numbers_are_not_copied():
    X = np.ones((5, 2))
    assert np.shares_memory(read_frame(X).columns["x0"], X)
    frame = pd.DataFrame({"a": np.arange(5.0)})
    assert np.shares_memory(read_frame(frame).columns["a"], frame["a"].to_numpy())


def test_nothing_is_modified():
    table = mixed()
    before = table.copy(deep=True)
    read_frame(table)
    pd.testing.assert_frame_equal(table, before)
    cells = np.array([["a", np.nan]], dtype=object)
    read_frame(cells)
    assert np.isnan(cells[0, 1])


def test_only_touches_the_columns_asked_for():
    table = pd.DataFrame({"a": [1.0, 2.0], "odd": [1j, 2j]})
    assert list(read_frame(table, only=["a", "b"]).columns) == ["a"]


def test_a_frame_is_read_once():
    frame = read_frame(np.ones((2, 2)))
    assert read_frame(frame) is frame


def test_take_keeps_what_is_known():
    frame = read_frame(pd.DataFrame({"a": [1, 2, 3], "b": pd.Categorical(["x", "y", "x"])}))
    part = frame.take(np.array([2, 0]))
    assert part.rows == 2
    assert part.columns["a"].tolist() == [3, 1]
    assert part.categorical == {"b"}


def test_unknown_array_likes_go_through_numpy():
    class Held:
        def __array__(self, dtype=None, copy=None):
            return np.ones((3, 2))

    assert read_frame(Held()).rows == 3


def test_reading_needs_no_pandas():
    import subprocess

    code = "import sys; from tabdl.frames import read_frame; read_frame([[1, 'a']]); assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "X, message",
    [
        (np.ones(3), r"Expected 2D array, got 1D array instead:[\s\S]*Reshape your data either using array.reshape\(-1, 1\)"),
        ([1.0, 2.0], "Reshape your data"),
        (pd.Series([1.0, 2.0]), "Reshape your data"),
        (pl.Series([1.0]), "Reshape your data"),
        (np.float64(3), "Reshape your data"),
        (np.empty((0, 3)), r"Found array with 0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required."),
        (pd.DataFrame({"a": []}), r"0 sample\(s\) \(shape=\(0, 1\)\)"),
        ([], r"0 sample\(s\)"),
        (np.empty((12, 0)), r"0 feature\(s\) \(shape=\(12, 0\)\) while a minimum of 1 is required."),
        (pd.DataFrame(index=range(4)), r"0 feature\(s\) \(shape=\(4, 0\)\)"),
        ([{}, {}], r"0 feature\(s\) \(shape=\(2, 0\)\)"),
        (np.ones((2, 2), dtype=complex), "Complex data not supported"),
        (pd.DataFrame({"a": [1j, 2]}), "Complex data not supported\ncolumn 'a'"),
        (np.array([[1j, "a"]], dtype=object), "Complex data not supported"),
        (np.ones((2, 2, 2)), r"Found array with dim 3, while dim <= 2 is required[\s\S]*\(2, 2, 2\)[\s\S]*reshape"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "names that differ, received more than one 'a'; rename"),
        (pd.DataFrame([[1, 2]], columns=["1", 1]), "more than one '1'"),
        ([[1, 2], [3]], r"rows of equal length, received lengths \[1, 2\]"),
        ([{"a": 1}, [2]], "a dict for each row, received list in row 1"),
        ({"a": [1, 2], "b": [1]}, r"columns of equal length, received lengths \[1, 2\]"),
        ({"a": 1}, r"received int for column 'a'; pass \[record\]"),
    ],
)
def test_what_is_no_table_is_refused(X, message):
    with pytest.raises(SchemaError, match=message):
        read_frame(X)


@pytest.mark.parametrize("X", [scipy.sparse.csr_matrix(np.eye(3)), scipy.sparse.coo_array(np.eye(3))])
def test_sparse_is_refused_with_the_remedy(X):
    with pytest.raises(TypeError, match=r"(?i)sparse[\s\S]*\.toarray\(\)"):
        read_frame(X)


def test_lazy_frames_are_refused():
    with pytest.raises(TypeError, match=r"LazyFrame; call `\.collect\(\)`"):
        read_frame(pl.DataFrame({"a": [1]}).lazy())


def test_canonical_keeps_memory_of_native_numbers():
    values = np.arange(3, dtype=np.float32)
    assert canonical(values, "a") is values
