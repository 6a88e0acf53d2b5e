from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from flavours import FLAVOURS, mixed
from hypothesis import given, settings
from hypothesis import strategies as st

from tabdl.errors import SchemaError
from tabdl.schema import KINDS, Schema

# --- inferring ---


def test_unknown_declared_columns():
    with pytest.raises(SchemaError, match="declared columns that the table lacks: 'b', 'c'; it has 'a'"):
        Schema.infer(pd.DataFrame({"a": [1, 2]}), kinds={"b": "number"}, private=["c"])


def test_dropped_columns_are_named_in_one_warning():
    table = mixed().assign(id=np.arange(120), year=2024, empty=None)
    with pytest.warns(UserWarning, match="columns dropped") as caught:
        schema = Schema.infer(table)
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "columns dropped: 'id' (identifier), 'year' (constant), 'empty' (constant); to keep one, declare its kind, "
        "for example Schema.infer(X, kinds={'id': 'category'})"
    )
    assert caught[0].filename == __file__
    assert schema.dropped == ["id", "year", "empty"]
    assert "id" not in [c.name for c in schema.used]


@pytest.mark.parametrize("odd", [["6,15", "soon"], ["V57", "E11", "E12"]])
@pytest.mark.parametrize("rows", [60, 150])
def test_numbers_with_a_few_other_texts_are_named(odd, rows):
    """A decimal comma among points would silently make a category of every price."""
    table = pd.DataFrame({"price": [f"{i}.5" for i in range(rows - len(odd))] + odd, "b": np.arange(rows) % 7})
    with pytest.warns(UserWarning, match="column 'price' is read as a category: most of its") as caught:
        schema = Schema.infer(table)
    assert schema["price"].kind == "category"
    assert len(caught) == 1
    assert repr(odd[0]) in str(caught[0].message)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Schema.infer(table, kinds={"price": "category"})
        Schema.infer(table.astype({"price": "category"}))
        Schema.infer(table, kinds={"b": "number"}, private=["price"])
        Schema.infer(pd.DataFrame({"size": ["38", "40", "42", "XL"] * 20, "zip": ["01234", "98765"] * 40}))


def test_declared_columns_are_dropped_or_kept_in_silence():
    table = pd.DataFrame({"id": np.arange(120), "year": [2024] * 120, "a": np.arange(120) % 7})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = Schema.infer(table, kinds={"id": "number", "year": "constant", "a": "identifier"})
    assert [c.name for c in schema.used] == ["id"]


def test_a_numbering_alone_is_kept():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = Schema.infer(np.arange(150).reshape(-1, 1))
    assert schema["x0"].kind == "number"


def test_nothing_to_learn_from():
    with pytest.raises(SchemaError, match="at least 2 rows to learn from, received 1 sample"):
        Schema.infer([[1.0, 2.0]])
    with (
        pytest.warns(UserWarning, match="columns dropped"),
        pytest.raises(SchemaError, match="at least one column that varies, received only constants or identifiers: 'a', 'b'"),
    ):
        Schema.infer(pd.DataFrame({"a": [1, 1], "b": [None, None]}))


# --- privacy ---


def test_private_columns_keep_no_value():
    table = mixed().assign(code=["secret" + str(i % 7) for i in range(120)], wage=np.linspace(12345.5, 99999.5, 120))
    table["size"] = pd.Categorical(np.array(["hush", "quiet"])[np.arange(120) % 2], ordered=True)
    schema = Schema.infer(table, private=["code", "wage", "size", "since"])
    stored = json.dumps(schema.to_json()) + str(schema) + schema._repr_html_() + json.dumps(schema.json_schema())
    for word in ("secret", "hush", "quiet", "12345.5", "99999.5"):
        assert word not in stored
    assert schema["since"].low is None
    assert "2021-03" not in str(schema)
    other = Schema.infer(table, private="code")
    assert set(other["code"].values).isdisjoint(schema["code"].values)
    assert schema["code"].salt


def test_private_values_stay_out_of_messages():
    schema = Schema.infer(pd.DataFrame({"a": [1.5, 2.5]}), private=["a"])
    with pytest.raises(SchemaError, match="received text in row 0"):
        schema.read(pd.DataFrame({"a": ["hidden"]}))


# --- reading ---


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return mixed()


@pytest.fixture(scope="module")
def schema(table) -> Schema:
    return Schema.infer(table)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_library_gives_the_same_schema(table, schema, flavour):
    assert Schema.infer(FLAVOURS[flavour](table)) == schema


def test_kinds_of_the_mixed_table(schema):
    kinds = {c.name: c.kind for c in schema.columns}
    assert kinds == {
        "number": "number",
        "gappy": "number",
        "count": "count",
        "city": "category",
        "plan": "category",
        "active": "boolean",
        "since": "date",
        "hired": "date",
        "note": "text",
    }


def test_columns_are_found_by_name(table, schema):
    shuffled = table[table.columns[::-1]].assign(extra=1j)
    read, expected = schema.read(shuffled), schema.read(table)
    assert list(read.columns) == list(expected.columns) == schema.names
    assert all(pd.Series(read.columns[n]).equals(pd.Series(expected.columns[n])) for n in schema.names)


def test_missing_columns_are_all_named(table, schema):
    with pytest.raises(SchemaError, match="MLPClassifier expects columns that the table lacks: 'gappy', 'note'; add them"):
        schema.read(table.drop(columns=["gappy", "note"]), owner="MLPClassifier")


def test_dropped_columns_need_not_come(table):
    with pytest.warns(UserWarning, match="dropped"):
        schema = Schema.infer(table.assign(year=2024))
    assert "year" not in schema.read(table).columns


def test_positional_inputs():
    schema = Schema.infer(np.random.default_rng(0).normal(size=(20, 3)))
    assert not schema.named
    with pytest.raises(SchemaError, match=r"X has 1 features, but MLPClassifier is expecting 3 features as input"):
        schema.read(np.ones((4, 1)), owner="MLPClassifier")
    read = schema.read(pd.DataFrame(np.ones((4, 3)), columns=["p", "q", "r"]))
    assert list(read.columns) == ["x0", "x1", "x2"]


def test_positional_inputs_for_named_columns():
    schema = Schema.infer(pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, 1.0]}))
    assert schema.read([[1, 2]]).columns["b"].tolist() == [2]
    with pytest.raises(SchemaError, match="X has 3 features, but this model is expecting 2 features"):
        schema.read([[1, 2, 3]])


def test_text_where_numbers_should_be():
    schema = Schema.infer(pd.DataFrame({"age": [30, 40]}))
    cells = ["31"] * 17 + ["n/a"]
    message = "column 'age' should hold numbers, received text such as 'n/a' in row 17; clean it, or declare it with "
    with pytest.raises(SchemaError, match=re.escape(message + "Schema.infer(X, kinds={'age': 'category'})")):
        schema.read(pd.DataFrame({"age": cells}))
    assert schema.read(pd.DataFrame({"age": ["31", " 4.5 ", "", None]})).columns["age"].tolist()[:2] == [31.0, 4.5]


def test_dates_arrive_in_any_form():
    schema = Schema.infer(pd.DataFrame({"d": ["09/22/1986", "12/01/2001"]}))
    for cells in (["05/31/2024"], ["2024-05-31"], pd.to_datetime(["2024-05-31"]), [pd.Timestamp("2024-05-31").date()]):
        assert schema.read(pd.DataFrame({"d": cells})).columns["d"].tolist()[0].isoformat() == "2024-05-31T00:00:00"
    assert np.isnat(schema.read(pd.DataFrame({"d": [None]})).columns["d"][0])
    with pytest.raises(SchemaError, match="column 'd' should hold dates, received numbers; convert it"):
        schema.read(pd.DataFrame({"d": [20240531]}))


@pytest.mark.parametrize("rows", [2, 200])
def test_infinity_is_named(rows):
    X = np.ones((rows, 3)) * np.arange(rows)[:, None]
    schema = Schema.infer(X, kinds=dict.fromkeys(("x0", "x1", "x2"), "number"))
    X[1, 2] = -np.inf
    with pytest.raises(SchemaError, match="Input X contains infinity: column 'x2', row 1"):
        schema.read(X)


def test_dates_where_numbers_should_be():
    schema = Schema.infer(pd.DataFrame({"a": [1.5, 2.5]}))
    with pytest.raises(SchemaError, match="'a' should hold numbers, received dates"):
        schema.read(pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}))


def test_zero_rows_are_refused(table, schema):
    with pytest.raises(SchemaError, match=r"0 sample\(s\)"):
        schema.read(table.iloc[:0])


def test_nothing_is_modified(table, schema):
    before = table.copy(deep=True)
    schema.read(table)
    pd.testing.assert_frame_equal(table, before)


# --- showing and storing ---


def test_printed_table():
    cells = {"age": [20, 65], "city": ["Oslo", None], "size": pd.Categorical(["S", "M"], ["S", "M"], ordered=True)}
    schema = Schema.infer(pd.DataFrame(cells | {"day": pd.to_datetime(["2024-05-31 00:00", "2024-06-01 12:00"])}))
    assert str(schema).splitlines() == [
        "column  kind      gaps  values",
        "age     number          20 to 65",
        "city    category  yes   1: Oslo",
        "size    ordered         2: S < M",
        "day     date            2024-05-31 to 2024-06-01 12:00:00",
    ]


def test_html_escapes():
    html = Schema.infer(pd.DataFrame({"<b>": ["<i>", "x"]}))._repr_html_()
    assert "<td>&lt;b&gt;</td>" in html
    assert "<i>" not in html


def test_json_round_trip(schema):
    stored = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(stored) == schema
    for broken in ({"name": "a", "kind": "odd"}, {"kind": "number"}, {"name": "a", "kind": "number", "run": "x"}):
        with pytest.raises(SchemaError, match="write it with to_json"):
            Schema.from_json({"named": True, "columns": [broken]})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_infinity=False)),
            st.one_of(st.none(), st.text(max_size=8)),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.none(), st.datetimes(), st.dates()),
        ),
        min_size=2,
        max_size=30,
    )
)
def test_any_table_round_trips_through_json(rows):
    table = pl.DataFrame(
        {name: pl.Series([row[i] for row in rows], dtype=dtype, strict=False) for i, (name, dtype) in enumerate(TYPES)}
    ).with_columns(anchor=pl.Series(np.arange(len(rows)) % 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        schema = Schema.infer(table)
        assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
        schema.read(table)
        json.dumps(schema.json_schema())
        str(schema)


TYPES = (("f", pl.Float64), ("s", pl.String), ("b", pl.Boolean), ("d", pl.Datetime("us")))


def test_json_schema_of_a_record():
    cells = {"age": [20, 65], "wage": [1.5, None], "city": ["b", "a"], "ok": [True, False], "day": ["05/31/2024", "06/01/2024"]}
    document = Schema.infer(pd.DataFrame(cells | {"k": pd.Categorical([1, None])})).json_schema()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["required"] == ["age", "wage", "city", "ok", "day", "k"]
    fields = document["properties"]
    assert fields["age"] == {"type": "integer", "x-observed": {"minimum": 20.0, "maximum": 65.0}, "x-kind": "number"}
    assert fields["wage"]["type"] == ["number", "null"]
    assert "minimum" not in fields["wage"]
    assert fields["city"] == {"type": "string", "enum": ["a", "b"], "x-kind": "category"}
    assert fields["ok"] == {"type": "boolean", "enum": [False, True], "x-kind": "boolean"}
    assert fields["day"]["type"] == "string"
    assert fields["day"]["examples"] == ["05/31/2024"]
    assert fields["k"]["enum"] == [1, None]


def test_json_schema_leaves_long_lists_out():
    schema = Schema.infer(pd.DataFrame({"a": [f"v{i % 101}" for i in range(300)]}))
    assert "enum" not in schema.json_schema()["properties"]["a"]


def test_lookup_by_name(schema):
    assert schema["city"].kind in KINDS
    with pytest.raises(KeyError):
        schema["nowhere"]
