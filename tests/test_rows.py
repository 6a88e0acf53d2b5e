"""Rows: held out, in folds, weighted; and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabdl.errors import TargetError
from tabdl.estimators.rows import Rows, by_id, category_order, derive, draw_seed, hold_out, make_folds, make_rows
from tabdl.frames import read_frame

RNG = np.random.default_rng(0)
ROWS = 150
X = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "city": RNG.choice(["Oslo", "Bergen", "Bodø"], ROWS)})
SIGNAL = X["a"] + 0.3 * X["b"]
Y = (SIGNAL > 0.8).astype(int).to_numpy()


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.333, 0.5])
@pytest.mark.parametrize("stratify", [True, False])
def test_hold_out_splits_all_rows_once_with_the_asked_share(fraction, stratify):
    for seed in range(5):
        train, held = hold_out(Y, fraction, seed, stratify)
        assert len(held) == round(fraction * ROWS)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(ROWS))
        assert (np.diff(train) > 0).all()
        assert (np.diff(held) > 0).all()


def test_hold_out_keeps_the_shares_of_the_classes():
    y = np.repeat(["a", "b", "c"], [700, 250, 50])[np.random.default_rng(1).permutation(1000)]
    for seed in range(10):
        _, held = hold_out(y, 0.2, seed, True)
        counts = {c: int((y[held] == c).sum()) for c in "abc"}
        assert all(abs(counts[c] - n) <= 1 for c, n in {"a": 140, "b": 50, "c": 10}.items()), counts


def test_hold_out_leaves_a_class_of_few_rows_in_training():
    y = np.array([0] * 60 + [1] * 60 + [2])
    for seed in range(20):
        train, held = hold_out(y, 0.3, seed, True)
        assert set(y[train]) == {0, 1, 2}
        assert 2 not in y[held]


def test_hold_out_depends_on_the_seed_and_needs_enough_rows():
    splits = [hold_out(Y, 0.2, seed, stratify)[1] for seed in (1, 2) for stratify in (True, False)]
    assert (splits[0] != splits[2]).any()
    assert (splits[1] != splits[3]).any()
    np.testing.assert_array_equal(hold_out(Y, 0.2, 1, True)[1], splits[0])
    assert len(hold_out(Y[:20], 0.2, 0, True)[1]) == 0, "four rows score nothing"
    assert len(hold_out(Y[:25], 0.2, 0, True)[1]) == 5


def test_rows_of_weight_zero_are_as_if_absent_and_equal_weights_as_none():
    frame = read_frame(X)
    assert make_rows(frame, Y, np.full(ROWS, 0.3), None).weight is None
    assert make_rows(frame, Y, 2.0, None).weight is None
    half = make_rows(frame, Y, np.arange(ROWS) % 2, None)
    assert half.weight is None
    np.testing.assert_array_equal(half.y, Y[1::2])
    assert half.frame.rows == ROWS // 2
    np.testing.assert_array_equal(half.frame.columns["a"], X["a"][1::2])
    part = Rows(frame, Y, np.arange(ROWS) + 1.0, ["x"]).take(np.array([4, 2]))
    assert (part.weight.tolist(), part.y.tolist(), part.order) == ([5, 3], Y[[4, 2]].tolist(), ["x"])


def test_seeds_come_from_every_kind_of_random_state():
    assert draw_seed(5) == draw_seed(np.int64(5)) == 5
    assert draw_seed(np.random.RandomState(3)) == draw_seed(np.random.RandomState(3))
    assert draw_seed(np.random.default_rng(3)) == draw_seed(np.random.default_rng(3))
    np.random.seed(0)
    assert len({draw_seed(None) for _ in range(5)}) == 5
    assert np.random.randint(10**6) == np.random.RandomState(0).randint(10**6), "the global state was not used"
    assert derive(5, "split") != derive(5, "order") != derive(6, "order")
    assert 0 <= derive(5, "split") < 2**31


def test_category_order_is_that_of_pandas():
    ordered = pd.Series(pd.Categorical(["b", "a"], ["b", "a", "c"], ordered=True))
    assert category_order(ordered) == ["b", "a", "c"]
    assert category_order(ordered.astype(str)) is None
    assert category_order([1, 2]) is None


def test_folds_hold_out_each_row_once_and_keep_the_shares_of_the_classes():
    y = np.array(["a"] * 70 + ["b"] * 30)
    folds = make_folds(y, 5, 3, True)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest for _, rest in folds])), np.arange(100))
    for index, rest in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([index, rest])), np.arange(100))
        assert (y[rest] == "b").sum() == 6
    assert (folds[0][1] != make_folds(y, 5, 4, True)[0][1]).any()
    sizes = {len(rest) for _, rest in make_folds(y[:98], 5, 3, False)}
    assert sizes == {19, 20}


def test_a_target_with_other_ids_in_its_index_is_refused():
    ids = ["s0", "s1", "s2"]
    assert by_id(pd.Series([0, 1, 2], index=["s2", "s0", "s1"]), ids, "y").tolist() == [1, 2, 0]
    assert by_id(pd.Series([0, 1, 2]), ids, "y").tolist() == [0, 1, 2]
    for index in (["S0", "S1", "S2"], ["s0", "s1", "s1"]):
        with pytest.raises(TargetError, match=f"none for '{'s0' if index[0] == 'S0' else 's2'}' and one for '{index[0]}'"):
            by_id(pd.Series([0, 1, 2], index=index), ids, "y")
