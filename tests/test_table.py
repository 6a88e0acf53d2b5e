from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flavours import FLAVOURS, mixed
from hypothesis import given, settings
from hypothesis import strategies as st

import tabdl.encoding.table as table_module
from tabdl.encoding.table import TableEncoder
from tabdl.schema import Schema

TABLES = Path(__file__).parents[2] / "shared" / "data" / "tables"


def fitted(table, weight=None, **declared) -> TableEncoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        schema = Schema.infer(table, weight=weight, **declared)
    return TableEncoder(schema).fit(schema.read(table), weight)


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a)


def rows_of(arrays: dict[str, np.ndarray], rows) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return mixed()


@pytest.fixture(scope="module")
def encoder(table) -> TableEncoder:
    return fitted(table)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_library_gives_the_same_arrays(table, encoder, flavour):
    held = FLAVOURS[flavour](table)
    assert equal(encoder.encode(held), encoder.encode(table))
    assert equal(fitted(held).encode(held), encoder.encode(table))


def test_spec_says_what_comes(table, encoder):
    spec, arrays = encoder.spec, encoder.encode(table)
    assert spec.numbers == 5  # number, gappy, count, since, hired
    assert spec.flags == 2 + 1 + (6 + 4) + 64  # gaps of gappy and since; active; cyclic parts; note
    assert spec.categories == (5, 4)
    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
        "numbers": (np.float32, (120, 5)),
        "flags": (np.float32, (120, 77)),
        "categories": (np.int32, (120, 2)),
    }
    assert all(array.flags.c_contiguous for array in arrays.values())
    assert np.abs(arrays["numbers"]).max() < 3
    assert np.abs(arrays["flags"]).max() <= 1


def test_kinds_without_columns_are_absent():
    assert list(fitted(np.random.default_rng(0).normal(size=(20, 3))).encode(np.ones((2, 3)))) == ["numbers"]
    assert list(fitted(pd.DataFrame({"a": ["x", "y"]})).encode([{"a": "z"}])) == ["categories"]
    assert list(fitted(pd.DataFrame({"a": [True, False]})).encode([{"a": False}])) == ["flags"]


def test_decoding_gives_the_table_back(table, encoder):
    decoded = encoder.decode(encoder.codes(encoder.schema.read(table)))
    expected = table.assign(hired=pd.to_datetime(table["hired"]), note=None)
    for name in table:
        cells = pd.Series(decoded[name])
        assert ((cells == expected[name]) | (cells.isna() & expected[name].isna())).all(), name


def test_unknown_and_missing_cells_have_codes_of_their_own(table, encoder):
    odd = table.iloc[:3].assign(city=["Paris", None, "Oslo"])
    categories = encoder.encode(odd)["categories"][:, 0]
    assert categories[0] == 1
    assert categories[1] == 0
    assert categories[2] >= 2


def test_a_category_of_only_unknown_values(table, encoder):
    assert encoder.encode(table.assign(city="Paris"))["categories"][:, 0].tolist() == [1] * 120


def test_a_category_may_arrive_as_another_type():
    text, number = pd.DataFrame({"a": ["3", "4", "3"]}), pd.DataFrame({"a": [3, 4, 3]})
    for fit_on, seen in (
        (text, number),
        (number, text),
        (number, number.astype(float)),
        (text, number.astype(float).astype(str)),
    ):
        encoder = fitted(fit_on, kinds={"a": "category"})
        assert encoder.encode(seen)["categories"].tolist() == encoder.encode(fit_on)["categories"].tolist() == [[2], [3], [2]]


def test_positional_inputs():
    X = np.random.default_rng(0).normal(size=(30, 2))
    encoder = fitted(X)
    assert equal(encoder.encode(X), encoder.encode(X.tolist()))
    assert equal(encoder.encode(X), encoder.encode(np.asfortranarray(X)))


def test_masked_codes_can_be_expanded(table, encoder):
    codes = encoder.codes(encoder.schema.read(table))
    codes[:, 0], codes[:, 3] = np.nan, np.nan
    arrays = encoder.expand(codes)
    assert (arrays["numbers"][:, 0] == 0).all()
    assert (arrays["categories"][:, 0] == 0).all()
    assert (arrays["flags"][:, -64:] == 0).all()


def test_expand_leaves_the_codes_alone(table, encoder):
    codes = encoder.codes(encoder.schema.read(table))
    before = codes.copy()
    encoder.expand(codes)
    assert np.array_equal(codes, before, equal_nan=True)
    numbers = fitted(np.random.default_rng(0).normal(size=(30, 2)))
    codes = np.ones((4, 2))
    numbers.expand(codes)
    assert (codes == 1).all()


def test_large_inputs_are_expanded_in_chunks(table, encoder, monkeypatch):
    whole = encoder.encode(table)
    monkeypatch.setattr("tabdl.encoding.table.CHUNK", 7)
    monkeypatch.setattr("tabdl.encoding.columns.CHUNK", 7)
    assert equal(encoder.encode(table), whole)


# --- properties ---

cells = st.fixed_dictionaries(
    {
        "n": st.one_of(st.none(), st.floats(-1e9, 1e9)),
        "i": st.integers(0, 10**6),
        "c": st.one_of(st.none(), st.sampled_from(["a", "b", "Ø", "3.0", "True"])),
        "b": st.one_of(st.none(), st.booleans()),
        "d": st.one_of(st.none(), st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01"))),
    }
)
KINDS = {"n": "number", "i": "count", "c": "category", "b": "boolean", "d": "date"}
FULL = {"n": 0.5, "i": 7, "c": "z", "b": True, "d": None}  # one row that keeps every column from being constant
tables = st.lists(cells, min_size=2, max_size=25).map(lambda rows: [{name: row[name] for name in KINDS} for row in [*rows, FULL]])
quick = settings(max_examples=40, deadline=None)


@quick
@given(tables, st.randoms(use_true_random=False))
def test_row_order_means_nothing(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    a, b = fitted(rows, kinds=KINDS), fitted(shuffled, kinds=KINDS)
    assert a.schema == b.schema
    assert equal(a.encode(rows), b.encode(rows))


@quick
@given(tables, st.permutations(list(KINDS)))
def test_column_order_means_nothing_at_predict(rows, order):
    encoder = fitted(rows, kinds=KINDS)
    assert equal(encoder.encode([{name: row[name] for name in order} for row in rows]), encoder.encode(rows))


@quick
@given(tables, st.integers(1, 25))
def test_chunks_give_the_same_as_the_whole(rows, cut):
    encoder = fitted(rows, kinds=KINDS)
    whole = encoder.encode(rows)
    cut = min(cut, len(rows) - 1)
    assert equal(encoder.encode(rows[:cut]), rows_of(whole, slice(cut)))
    assert equal(encoder.encode(rows[cut:]), rows_of(whole, slice(cut, None)))


@quick
@given(tables)
def test_decode_undoes_encode(rows):
    encoder = fitted(rows, kinds=KINDS)
    codes = encoder.codes(encoder.schema.read(rows))
    decoded = pd.DataFrame(encoder.decode(codes)).astype(object)
    for name in KINDS:
        found = [None if pd.isna(value) else value for value in decoded[name]]
        assert found == [row[name] for row in rows]
    assert np.array_equal(encoder.codes(encoder.schema.read(decoded)), codes, equal_nan=True)


@quick
@given(tables, st.floats(0.1, 10))
def test_equal_weights_are_no_weights(rows, weight):
    a, b = fitted(rows, kinds=KINDS), fitted(rows, np.full(len(rows), weight), kinds=KINDS)
    assert a.schema == b.schema
    assert equal(a.state()[1], b.state()[1])


@quick
@given(tables, st.data())
def test_weights_are_repetitions(rows, data):
    weight = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows))))
    repeated = [row for row, times in zip(rows, weight, strict=True) for _ in range(times)]
    a, b = fitted(rows, weight.astype(float), kinds=KINDS), fitted(repeated, kinds=KINDS)
    assert a.schema == b.schema
    assert equal(a.state()[1], b.state()[1])


@quick
@given(tables)
def test_state_round_trips_through_json(rows):
    encoder = fitted(rows, kinds=KINDS)
    state, arrays = encoder.state()
    again = TableEncoder.from_state(json.loads(json.dumps(state)), arrays)
    assert again.schema == encoder.schema
    assert again.spec == encoder.spec
    assert equal(again.state()[1], arrays)
    assert equal(again.encode(rows), encoder.encode(rows))
    draw = [e.sample(5, np.random.default_rng(0)) for e in (encoder, again)]
    assert np.array_equal(*draw, equal_nan=True)


# --- synthetic rows, privacy, copies ---


def test_samples_are_valid_codes_of_no_row(table, encoder):
    codes = encoder.codes(encoder.schema.read(table))
    drawn = encoder.sample(200, np.random.default_rng(0))
    assert drawn.shape == (200, 9)
    assert all(np.isfinite(array).all() for array in encoder.expand(drawn).values())
    seen = {tuple(row) for row in np.nan_to_num(codes, nan=-9e9).tolist()}
    assert not seen & {tuple(row) for row in np.nan_to_num(drawn, nan=-9e9).tolist()}
    again = encoder.sample(200, np.random.default_rng(0))
    assert np.array_equal(drawn, again, equal_nan=True)


def test_private_columns_leave_nothing_in_the_state():
    table = pd.DataFrame({"name": ["Ada", "Bob", "Ada", "Cy"], "wage": [71234.5, 68123.25, 90111.75, 50999.5]})
    state, arrays = fitted(table, private=["name", "wage"]).state()
    assert not any(name in json.dumps(state) for name in table["name"])
    kept = np.concatenate([array.ravel().astype(float) for array in arrays.values()])
    assert not np.isin(table["wage"], kept).any()


def test_encoder_copies_and_pickles(table, encoder):
    encoder.encode(table)
    for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert equal(twin.encode(table), encoder.encode(table))


def test_random_state_is_left_alone(table):
    before = np.random.get_state()[1].copy()
    fitted(table, private=["city"]).encode(table)
    assert np.array_equal(before, np.random.get_state()[1])


def test_a_damaged_state_is_refused(encoder):
    state, arrays = encoder.state()
    for name in arrays:
        with pytest.raises((KeyError, ValueError)):
            TableEncoder.from_state(state, {key: value for key, value in arrays.items() if key != name})
        with pytest.raises(ValueError, match=name):
            TableEncoder.from_state(state, arrays | {name: arrays[name].ravel()[:1].astype(np.complex128)})


def test_cells_that_no_code_stands_for(encoder, table):
    odd = table.iloc[:2].astype(object)
    odd.at[1, "city"] = {"name": "Oslo"}
    with pytest.raises(TypeError, match="column 'city', row 1: argument must be a string, a date, a boolean or a number"):
        encoder.encode(odd)


# --- real tables ---

EXPECTED = {
    "adult": ({"age": "number", "gain": "count", "workclass": "category", "fnlwgt": "number"}, []),
    "auto_mpg": ({"horsepower": "number", "origin": "category", "cylinders": "number"}, []),
    "california": ({"MedInc": "number", "Latitude": "number"}, []),
    "churn": ({"CreditScore": "number", "Balance": "number", "Geography": "category", "HasCrCard": "number"}, []),
    "coupon": ({"age": "category", "temperature": "number", "CarryAway": "category"}, ["toCoupon_GEQ5min"]),
    "diamond": ({"carat": "number", "cut": "category"}, []),
    "electronics": ({"interactionTime": "number", "weekday": "category"}, ["year", "month", "Weekend"]),
    "employee_salaries": ({"date_first_hired": "date", "division": "category", "year_first_hired": "number"}, []),
    "house": ({"P1": "count", "H2p2": "number"}, []),
    "online_shoppers": ({"ProductRelated": "count", "Month": "category", "Weekend": "boolean", "PageValues": "number"}, []),
}


@pytest.mark.skipif(not TABLES.is_dir(), reason="the real tables lie outside the project and are absent here")
@pytest.mark.parametrize("name", EXPECTED)
def test_real_tables_raw(name):
    kinds, dropped = EXPECTED[name]
    X = pd.read_csv(TABLES / f"{name}.csv.gz", nrows=20_000 if name == "electronics" else None).drop(columns="target")
    encoder = fitted(X)
    assert {column: encoder.schema[column].kind for column in kinds} == kinds
    assert encoder.schema.dropped == dropped
    codes = encoder.codes(encoder.schema.read(X))
    arrays = encoder.expand(codes)
    assert all(np.isfinite(array).all() for array in arrays.values())
    again = encoder.codes(encoder.schema.read(pd.DataFrame(encoder.decode(codes))))
    assert np.array_equal(again, codes, equal_nan=True)


@pytest.mark.parametrize("codes, room", [(2, 2), (64, 64), (65, 72), (576, 576), (577, 640), (10_002, 10_240)])
def test_wide_columns_have_room_for_the_vocabularies_of_other_folds(codes, room):
    assert table_module._room(codes) == room
    assert codes <= table_module._room(codes) <= codes * 1.125 + 1
