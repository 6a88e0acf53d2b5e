from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tabdl.errors import SchemaError
from tabdl.inference import MOST_VALUES
from tabdl.schema import Column, Schema

RNG = np.random.default_rng(0)


def infer(cells, kind=None, private=False, weight=None) -> Column:
    """The column inferred for some cells; a second column keeps the table alive when the first is dropped."""
    table = pd.DataFrame({"a": cells})
    table["other"] = np.where(np.arange(len(table)) % 2, 1.5, 2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Schema.infer(table, kinds=None if kind is None else {"a": kind}, private=["a"] if private else (), weight=weight)[
            "a"
        ]


@pytest.mark.parametrize(
    "cells, kind",
    [
        ([1.5, 2.5, np.nan], "number"),
        ([1, 2, 2, 5], "number"),
        ([-1, 0, 500_000, 2], "number"),
        ([0] * 90 + [5000] * 10, "count"),
        ([0.0] * 90 + [5000.0] * 9 + [np.nan], "count"),
        ([0.5] * 90 + [5000.5] * 10, "number"),
        ([0] * 9999 + [50_000], "count"),
        (list(range(20)) * 2, "number"),
        ([True, False, True], "boolean"),
        (pd.array([True, None, False], dtype="boolean"), "boolean"),
        (["yes", "no", "yes"], "boolean"),
        (["TRUE", "false", None], "boolean"),
        (["yes", "maybe"], "category"),
        (["F", "M", "F"], "category"),
        (["red", "blue", None], "category"),
        (["1", "2.5", "-3e4"], "number"),
        (["1", "n/a", "?", "4"], "number"),
        (["1", "about 3", "4"], "category"),
        (["01234", "98765"], "category"),
        (["1_000", "2"], "category"),
        (["n/a", "?"], "category"),
        (["09/22/1986", "12/01/2001"], "date"),
        (["2024-05-31", "2024-06-01"], "date"),
        (pd.to_datetime(["2024-05-31", None]), "date"),
        (pd.Categorical(["b", "a"]), "category"),
        (pd.Categorical(["1", "2"]), "category"),
        (pd.Categorical([1, 2]), "category"),
        (pd.Categorical(["S", "M"], categories=["S", "M", "L"], ordered=True), "ordered"),
        ([3] * 5, "constant"),
        (["x"] * 5, "constant"),
        ([True] * 5, "constant"),
        ([None] * 5, "constant"),
        ([np.nan] * 5, "constant"),
        (pd.to_datetime(["2024-05-31"] * 3), "constant"),
        ([3, None, 3], "number"),
        (["x", None, "x"], "category"),
        ([True, None, True], "boolean"),
        (list(range(1000, 1150)), "identifier"),
        (sorted(RNG.choice(200, 130, replace=False)), "identifier"),
        (list(range(0, 1500, 10)), "number"),
        (list(range(99)), "number"),
        ([f"user{i}" for i in range(100)], "identifier"),
        ([f"user{i}" for i in range(99)], "category"),
        ([f"user{i % 90}" for i in range(100)], "category"),
        ([f"the order number {i} was late" for i in range(40)], "text"),
        ([f"the order number {i % 3} was late" for i in range(40)], "category"),
        ([f"{'东西很好用下次还会再来的' * 2}{i}" for i in range(40)], "text"),
    ],
)
def test_kind_of_cells(cells, kind):
    assert infer(cells).kind == kind


def test_column_records_what_was_seen():
    assert infer([1, 5, 2]) == Column("a", "number", False, 1.0, 5.0, dtype="int")
    assert infer([1.5, None, 2]) == Column("a", "number", True, 1.5, 2.0)
    assert infer(["b", "a", "a", None]) == Column("a", "category", True, values=("a", "b"), dtype="str")
    assert infer(["b", "a"]).values == ("a", "b")
    assert infer(["3", "4.5", "n/a", "?"]) == Column("a", "number", True, 3.0, 4.5, ("?", "n/a"))
    assert infer([True, False]).values == ("False", "True")
    assert infer(["yes", "no"]) == Column("a", "boolean", values=("no", "yes"), dtype="str")
    moments = infer(pd.to_datetime(["1970-01-02 00:00:00", "1970-01-01 00:00:01"]))
    assert moments == Column("a", "date", low=1.0, high=86_400.0, dtype="date")


@pytest.mark.parametrize(
    "texts, form",
    [
        (["2024-05-31", "2023-01-01"], "iso"),
        (["2024-05-31T10:20:30", "2024-05-31 10:20"], "iso"),
        (["2024-05-31T10:20:30Z", "2024-05-31T10:20:30+02:00"], "iso"),
        (["2024-05", "2024-06"], "iso"),
        (["09/22/1986", "01/02/1990"], "%m/%d/%Y"),
        (["22/09/1986", "01/02/1990"], "%d/%m/%Y"),
        (["01/02/1990", "03/04/1990"], "%m/%d/%Y"),
        (["9/22/86", "1/2/90"], "%m/%d/%y"),
        (["22.09.1986", "01.02.1990"], "%d.%m.%Y"),
        (["2024/05/31", "2024/01/02"], "%Y/%m/%d"),
        (["31 May 2024", "01 Jan 2020"], "%d %b %Y"),
        (["May 31, 2024", "Jan 01, 2020"], "%b %d, %Y"),
        (["31-May-2024", "01-Jan-2020"], "%d-%b-%Y"),
        (["05/31/2024 17:30", "05/30/2024 08:15"], "%m/%d/%Y %H:%M"),
        (["05/31/2024 05:30 PM", "05/30/2024 08:15 AM"], "%m/%d/%Y %I:%M %p"),
        (["2024-05-31 05:30 PM", "2024-05-30 08:15 AM"], "%Y-%m-%d %I:%M %p"),
    ],
)
def test_date_formats(texts, form):
    assert infer(texts).format == form


def test_one_text_in_a_hundred_may_be_no_date():
    days = [str(day) for day in np.arange("2020-01-01", "2020-06-01", dtype="datetime64[D]")]
    with pytest.warns(UserWarning, match="1 cells such as 'soon' are no dates written as iso, taken as gaps"):
        read = Schema.infer(pd.DataFrame({"a": [*days, "soon"]})).read(pd.DataFrame({"a": ["2020-03-04", "soon"]}))
    assert read.columns["a"].tolist()[0].isoformat() == "2020-03-04T00:00:00"
    assert np.isnat(read.columns["a"][1])
    assert infer([*days[:20], "soon"]).kind != "date"


@pytest.mark.parametrize(
    "cells, kind, values",
    [
        ([3, 1, 2], "category", ("1", "2", "3")),
        ([3.0, 1.0, 2.5], "category", ("1", "2.5", "3")),
        ([3, 1, 2], "ordered", ("1", "2", "3")),
        (["10", "9"], "ordered", ("9", "10")),
        (["S", "M"], ["S", "M", "L"], ("S", "M", "L")),
        ([0, 1, 1], "boolean", ("0", "1")),
        ([1, 0, None], "boolean", ("0", "1")),
        (["short", "words"], "text", ()),
        (["2020-01-01", "2021-01-01"], "category", ("2020-01-01", "2021-01-01")),
        ([5] * 3, "number", ()),
        ([5] * 3, "category", ("5",)),
        (["5", "07"], "number", ()),
        ([1, 2], "count", ()),
        ([1, 2], "identifier", ()),
        ([1, 2], "constant", ()),
        ([None, None], "date", ()),
        ([None, None], "number", ()),
    ],
)
def test_kinds_can_be_declared(cells, kind, values):
    column = infer(cells, kind)
    assert column.kind == (kind if isinstance(kind, str) else "ordered")
    assert column.values == values


@pytest.mark.parametrize(
    "cells, kind, message",
    [
        (
            ["1", "about 3"],
            "number",
            "column 'a' should hold numbers, received text such as 'about 3' in row 1; clean it, or declare it",
        ),
        (
            pd.to_datetime(["2020-01-01"] * 2),
            "number",
            "'a' should hold numbers, received dates; declare it with kinds={'a': 'date'}",
        ),
        ([1, 2], "date", "'a' should hold dates, received numbers; convert it with pandas.to_datetime"),
        (["soon", "later"], "date", "'a' should hold dates, received text such as 'later'"),
        (["yes", "maybe"], "boolean", "'a' should hold booleans, received 'maybe'"),
        (["S", "XL"], ["S", "M"], "column 'a': the declared order lacks 'XL'; name every value"),
        ([1, 2], "numeric", "column 'a': expected a kind among number, count, .*, received 'numeric'"),
        ([1.0, np.inf], None, "Input X contains infinity: column 'a', row 1; replace it"),
    ],
)
def test_declarations_that_do_not_fit(cells, kind, message):
    with pytest.raises(SchemaError, match=message):
        infer(cells, kind)


def test_cells_that_are_tables_themselves():
    with pytest.raises(TypeError, match=r"column 'a'.*argument must be a string, a date, a boolean or a number"):
        infer([{"a": 1}, "x"])


@pytest.mark.parametrize("cell", [[1], (1, 2)])
def test_series_beside_plain_cells(cell):
    with pytest.raises(SchemaError, match="column 'a' should hold a series in each cell, received 'x' in row 1"):
        infer([cell, "x"])


def test_very_many_values():
    cells = [f"v{i:06d}" for i in range(100_000)] + ["v000000", "v099999"]
    column = infer(cells)
    assert column.kind == "category"
    assert len(column.values) == MOST_VALUES
    assert column.values[:3] == ("v000000", "v099999", "v000001")


def test_weights_count_as_repetition():
    cells, weight = np.array(["a", "b", "b", "c"]), np.array([3.0, 1.0, 1.0, 1.0])
    assert infer(cells, weight=weight).values == infer(np.repeat(cells, weight.astype(int))).values == ("a", "b", "c")
    assert infer(cells, weight=np.full(4, 0.3)) == infer(cells)
    counts = np.array([1] * 9 + [40])
    assert infer(counts, weight=np.array([1000.0] + [1.0] * 9)).kind == "number"
    with pytest.raises(SchemaError, match=r"one weight a row, shape \(4,\), received shape \(2,\)"):
        infer(cells, weight=np.ones(2) * [1, 2])
