from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabdl.cells import token
from tabdl.encoding.columns import BINS, Booleans, Categories, Moments, Numbers, Texts, codes_of, lookup_of, values_of
from tabdl.inference import Column

NAN = np.nan


def objects(*cells) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def codes(column: Column, *cells) -> list[float]:
    return np.asarray(codes_of(column, objects(*cells), lookup_of(column))).tolist()


def same(found, expected) -> bool:
    return np.array_equal(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), equal_nan=True)


# --- cells <-> codes ---


def test_categories_match_whatever_type_arrives():
    column = Column("a", "category", values=("3", "4.5", "x", "True"))
    assert same(
        codes(column, 3, 3.0, "3", "3.0", 4.5, "x", True, 1, None, NAN, "", "y"), [0, 0, 0, 0, 1, 2, 3, -1, NAN, NAN, NAN, -1]
    )
    assert same(codes(Column("a", "category", values=("3.0", "1")), 3, "3.0", "3", "1.00"), [0, 0, 0, 1])


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32, np.uint8, bool])
def test_plain_arrays_match_too(rows, dtype):
    column = Column("a", "category", values=("1", "0") if dtype is not bool else ("True", "False"))
    found = codes_of(column, np.array([1, 0] * rows, dtype=dtype), lookup_of(column))
    assert same(found, [0, 1] * rows)


def test_rank_of_ordered_values():
    assert same(codes(Column("a", "ordered", values=("S", "M", "L")), "L", "S", "XL", None), [2, 0, NAN, NAN])


def test_truth_values():
    column = Column("a", "boolean", values=("no", "yes"), dtype="str")
    assert same(codes(column, "yes", "no", "YES", True, 0, 1.0, "f", "maybe", None), [1, 0, 1, 1, 0, 1, 0, NAN, NAN])


def test_private_values_match_by_hash_only():
    hashed = token("x", "salt")
    column = Column("a", "category", values=(hashed, token("3", "salt")), private=True, salt="salt")
    assert same(codes(column, "x", hashed, 3, "3.0", None), [0, -1, 1, 1, NAN])
    assert same(codes(column, *["x", None, "y"] * 10), [0, NAN, -1] * 10)
    assert values_of(column, np.array([0.0, NAN])).tolist() == [hashed, None]


def test_dates_are_exact_to_the_microsecond():
    column = Column("a", "date", dtype="date")
    moments = np.array(
        ["2024-05-31T10:20:30.123457", "1969-12-31T23:59:59.999999", "NaT", "1700-01-01T00:00:00.000001"], "M8[us]"
    )
    seconds = np.asarray(codes_of(column, moments, None))
    assert seconds[1] == -1e-6
    assert np.array_equal(values_of(column, seconds), moments, equal_nan=True)


@given(st.datetimes(min_value=np.datetime64("1700-01-01", "us").item(), max_value=np.datetime64("2240-01-01", "us").item()))
def test_any_moment_survives(moment):
    column = Column("a", "date", dtype="date")
    moments = np.array([moment], "M8[us]")
    assert values_of(column, np.asarray(codes_of(column, moments, None)))[0] == moments[0]


@pytest.mark.parametrize(
    "column, found, cells",
    [
        (Column("a", "number", dtype="int"), [3.0, 4.0], [3, 4]),
        (Column("a", "number", dtype="int"), [3.0, NAN], [3.0, None]),
        (Column("a", "number"), [3.5], [3.5]),
        (Column("a", "category", values=("7", "8"), dtype="int"), [1.0, 0.0], [8, 7]),
        (Column("a", "category", values=("7", "8"), dtype="int"), [1.0, NAN, -1.0], [8, None, None]),
        (Column("a", "category", values=("7", "8.5"), dtype="float"), [1.0], [8.5]),
        (Column("a", "category", values=("True", "False"), dtype="bool"), [1.0], [False]),
        (Column("a", "boolean", values=("no", "yes"), dtype="str"), [1.0, NAN], ["yes", None]),
        (Column("a", "boolean", values=("False", "True"), dtype="bool"), [1.0, 0.0], [True, False]),
        (Column("a", "boolean", values=("0", "1"), dtype="int"), [1.0, 0.0], [1, 0]),
        (Column("a", "ordered", values=("S", "M"), dtype="str"), [1.0, 9.0], ["M", None]),
        (Column("a", "text", dtype="str"), [NAN], [None]),
    ],
)
def test_decoding(column, found, cells):
    decoded = [None if isinstance(v, float) and np.isnan(v) else v for v in values_of(column, np.array(found)).tolist()]
    assert decoded == cells
    assert [type(v) for v in decoded] == [type(v) for v in cells]


# --- codes -> arrays ---


def numbers_of(
    columns: list[Column], fitted: list, seen: list | None = None, weight=None
) -> tuple[Numbers, np.ndarray, np.ndarray]:
    part = Numbers(columns)
    part.fit(np.array(fitted, dtype=float), None if weight is None else np.array(weight))
    seen_codes = np.array(fitted if seen is None else seen, dtype=float)
    numbers, flags = (
        np.empty((len(seen_codes), len(columns)), np.float32),
        np.empty((len(seen_codes), part.gaps.sum()), np.float32),
    )
    part.expand(seen_codes, numbers, flags)
    return part, numbers, flags


def clipped(z: float) -> float:
    return z / np.sqrt(1 + (z / 3) ** 2)


def test_robust_scale_and_smooth_clip():
    cells = [[v] for v in range(1, 102)]
    part, numbers, _ = numbers_of([Column("a", "number")], cells)
    assert part.center[0] == 51
    assert part.scale[0] == 1 / 50
    assert numbers[0, 0] == pytest.approx(clipped(-1))
    far = part, far_numbers, _ = numbers_of([Column("a", "number")], cells, [[1e308], [-1e308], [51]])
    assert far_numbers[:, 0] == pytest.approx([3, -3, 0], abs=1e-4)
    assert far[0].center[0] == 51


def test_scale_without_a_middle_half():
    part, numbers, _ = numbers_of([Column("a", "number")], [[0]] * 99 + [[8]])
    assert part.scale[0] == 2 / 8
    assert numbers[-1, 0] == pytest.approx(clipped(2))
    for cells in ([[5]] * 4 + [[NAN]], [[NAN]] * 4, [[1e308], [-1e308]], [[0.0], [5e-324]] * 4):
        _, numbers, _ = numbers_of([Column("a", "number")], cells)
        assert np.isfinite(numbers).all()


def test_gaps_are_zero_and_flagged_only_when_fit_saw_them():
    columns = [Column("a", "number"), Column("b", "number")]
    _, numbers, flags = numbers_of(columns, [[1, 2], [NAN, 3], [5, 4]], [[NAN, NAN], [1, 2]])
    assert numbers[0].tolist() == [0, 0]
    assert flags.tolist() == [[1], [0]]


def test_counts_are_logarithms():
    part, numbers, _ = numbers_of([Column("a", "count")], [[0], [9], [99], [999], [9999]], [[99], [-7], [0]])
    assert part.center[0] == pytest.approx(np.log(100))
    assert part.scale[0] == pytest.approx(1 / (np.log(1000) - np.log(10)))
    assert numbers[1, 0] == numbers[2, 0]


@given(
    st.lists(st.tuples(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), st.integers(1, 5)), min_size=1, max_size=20),
    st.sampled_from(["number", "count"]),
)
def test_weights_are_repetitions(cells, kind):
    values, weight = np.array([[v] for v, _ in cells]), np.array([float(w) for _, w in cells])
    columns = [Column("a", kind)]
    weighted, _, _ = numbers_of(columns, values.tolist(), weight=weight)
    repeated, _, _ = numbers_of(columns, np.repeat(values, weight.astype(int), axis=0).tolist())
    for name, array in weighted.state.items():
        assert np.array_equal(array, repeated.state[name]), name


def test_private_numbers_keep_no_cell():
    rng = np.random.default_rng(0)
    for cells in (
        rng.normal(51234.5, 777, 40),
        np.array([4242.25] * 30 + [1.0]),
        np.array([4242.25] * 3 + [NAN]),
        rng.integers(0, 9999, 9),
    ):
        for kind in ("number", "count"):
            part, numbers, _ = numbers_of([Column("a", kind, private=True)], cells[:, None].tolist())
            kept = np.concatenate([array.ravel() for name, array in part.state.items() if "gap" not in name])
            shown = np.concatenate([cells, np.log1p(cells)])
            assert not set(kept[kept != 0].tolist()) & set(shown[shown != 0].tolist())
            assert np.isfinite(numbers).all()


def test_booleans_are_signs():
    part = Booleans([Column("a", "boolean")])
    flags = np.empty((3, 1), np.float32)
    part.fit(np.array([[0.0], [1.0], [NAN]]), None)
    part.expand(np.array([[0.0], [1.0], [NAN]]), flags)
    assert flags[:, 0].tolist() == [-1, 1, 0]


def moments(texts: list[str]) -> tuple[Moments, np.ndarray]:
    part, column = Moments([Column("a", "date")]), Column("a", "date")
    seconds = np.asarray(codes_of(column, np.array(texts, "M8[us]"), None))[:, None]
    part.fit(seconds, None)
    flags = np.empty((len(texts), part.width), np.float32)
    part.expand(seconds, flags)
    return part, flags


def test_cyclic_parts_of_days():
    part, flags = moments(["2024-01-01", "2024-04-02", "1969-12-28", "NaT"])  # Monday, Tuesday, Sunday
    assert part.width == 4
    month, day = np.arctan2(flags[:, 0], flags[:, 2]), np.arctan2(flags[:, 1], flags[:, 3])
    assert month[:3] == pytest.approx([0, np.pi / 2, -np.pi / 6], abs=1e-6)
    assert day[:3] == pytest.approx([0, 2 * np.pi / 7, -2 * np.pi / 7], abs=1e-6)
    assert flags[3].tolist() == [0, 0, 0, 0]


def test_hours_count_where_they_vary():
    part, flags = moments(["2024-01-01T06:00", "2024-01-01T18:00"])
    assert part.width == 6
    assert flags[:, 2] == pytest.approx([1, -1])
    assert moments(["2024-01-01T06:00", "2024-01-02T06:00"])[0].width == 4


def test_category_codes():
    part = Categories([Column("a", "category", values=("x", "y"))])
    found = np.empty((4, 1), np.int32)
    part.expand(np.array([[NAN], [-1.0], [0.0], [1.0]]), found)
    assert found[:, 0].tolist() == [0, 1, 2, 3]


def test_category_shares_leave_unseen_values_out():
    part = Categories([Column("a", "category", values=("x", "y"))])
    part.fit(np.array([[NAN], [-1.0], [0.0], [1.0]]), np.array([1.0, 9.0, 2.0, 1.0]))
    assert part.shares[0].tolist() == [0.25, 0.5, 0.25]


def test_hashed_text():
    part = Texts([Column("a", "text")])
    flags = np.zeros((3, part.width), np.float32)
    part.expand({"a": objects("good coffee", "good tea", None)}, flags)
    assert np.linalg.norm(flags, axis=1) == pytest.approx([1, 1, 0])
    assert flags[0] @ flags[1] > 0.1


def test_samples_follow_the_statistics():
    rng = np.random.default_rng(1)
    cells = np.where(rng.uniform(size=5000) < 0.3, NAN, rng.normal(7, 2, 5000))[:, None]
    part, _, _ = numbers_of([Column("a", "number")], cells.tolist())
    drawn = part.sample(4000, rng)[:, 0]
    assert np.isnan(drawn).mean() == pytest.approx(0.3, abs=0.03)
    assert np.nanmean(drawn) == pytest.approx(7, abs=0.15)
    assert np.nanstd(drawn) == pytest.approx(2, abs=0.25)
    assert len(part.bins[0]) == BINS
    shares = Categories([Column("a", "category", values=("x", "y"))])
    shares.fit(np.array([[NAN], [0.0], [0.0], [1.0]]), None)
    drawn = shares.sample(4000, rng)[:, 0]
    assert (drawn == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert set(drawn[~np.isnan(drawn)].tolist()) == {0.0, 1.0}


def test_whole_numbers_stay_whole_in_samples():
    part, _, _ = numbers_of([Column("a", "number", dtype="int")], [[v] for v in range(50)])
    drawn = part.sample(100, np.random.default_rng(0))
    assert np.array_equal(drawn, np.rint(drawn))


def test_state_of_a_wrong_shape_is_refused():
    part, _, _ = numbers_of([Column("a", "number")], [[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"numbers/center: expected float64 of shape \(1,\)"):
        Numbers([Column("a", "number")]).restore(part.state | {"numbers/center": np.zeros(2)})
