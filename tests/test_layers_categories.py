"""Embeddings and one-hot codes against plain NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.layers import categories
from tabdl.network import seeded
from tabdl.spec import Inputs, Spec

array = keras.ops.convert_to_numpy
CODES = (4, 30, 5, 4)
X = np.column_stack([np.random.default_rng(j).integers(0, n, 40) for j, n in enumerate(CODES)]).astype(np.int32)


def network(function, codes=CODES):
    symbol = keras.Input((len(codes),), dtype="int32")
    inputs = Inputs(Spec(categories=codes), categories=symbol)
    with seeded(0):
        return keras.Model(symbol, function(inputs))


def forward(model, x=X):
    return keras.ops.convert_to_numpy(model(x))


@pytest.mark.parametrize("codes, width", [(2, 2), (3, 3), (10, 6), (100, 21), (212, 32), (10_002, 32)])
def test_width_follows_the_rule(codes, width):
    assert categories.embedding_width(codes) == width
    assert width == min(32, max(2, round(1.6 * codes**0.56)))


@pytest.mark.parametrize("widths", [(3, 3, 3, 3), (2, 4, 2, 3)], ids=["one table", "tables by width"])
def test_embeddings_gather_each_columns_own_rows(widths):
    layer = categories.Embeddings(CODES, widths)
    got = keras.ops.convert_to_numpy(layer(X))
    expected = []
    for j, width in enumerate(widths):
        same = [k for k in range(j) if widths[k] == width]
        table = next(t for columns, _, t in layer.groups if j in columns)
        expected.append(keras.ops.convert_to_numpy(table)[sum(CODES[k] for k in same) + X[:, j]])
    np.testing.assert_array_equal(got, np.hstack(expected))
    assert got.shape == (40, sum(widths)) == (40, layer.compute_output_shape((40, 4))[1])


def test_missing_and_unseen_start_at_zero_and_known_values_do_not():
    model = network(categories.embed)
    two = np.zeros((2, 4), np.int32)
    two[1] = 1
    assert not forward(model, two).any()
    assert forward(model, np.full((1, 4), 2, np.int32)).all()


def test_tables_of_different_width_start_with_different_values():
    with seeded(0):
        layer = categories.Embeddings((20, 20), (2, 3))
        layer.build((None, 2))
    first, second = (keras.ops.convert_to_numpy(t).ravel() for *_, t in layer.groups)
    first, second = first[first != 0], second[second != 0]
    assert np.intersect1d(first, second).size == 0
    assert np.concatenate([first, second]).std() == pytest.approx(0.1, rel=0.3)


def test_embed_uses_the_given_width_and_is_none_without_columns():
    assert forward(network(lambda i: categories.embed(i, 3))).shape == (40, 12)
    assert forward(network(categories.embed)).shape == (40, sum(map(categories.embedding_width, CODES)))
    assert categories.embed(Inputs(Spec())) is None
    assert categories.one_hot(Inputs(Spec())) is None


@pytest.mark.parametrize("codes", [(4, 5), (4, 50, 5, 4), (50, 60)], ids=["narrow", "both", "wide"])
def test_one_hot_up_to_the_limit_embedded_above(codes):
    x = np.column_stack([np.arange(40) % n for n in codes]).astype(np.int32)
    model = network(categories.one_hot, codes)
    got = forward(model, x)
    known = [np.delete(np.eye(n)[x[:, j]], 1, axis=1) for j, n in enumerate(codes) if n <= categories.NARROW]
    narrow = np.hstack([np.zeros((40, 0)), *known])  # no place for unseen values, code 1
    assert got.shape == (40, sum(categories.one_hot_widths(codes)))
    np.testing.assert_array_equal(got[:, : narrow.shape[1]], narrow)
    if max(codes) > categories.NARROW:
        layer = next(layer for layer in model.layers if isinstance(layer, categories.Embeddings))
        direct = keras.ops.convert_to_numpy(layer(x[:, [j for j, n in enumerate(codes) if n > categories.NARROW]]))
        np.testing.assert_array_equal(got[:, narrow.shape[1] :], direct)


def test_unseen_hides_cells_of_wide_columns_in_training_only():
    with seeded(0):
        layer = categories.Unseen(0.25, (5, 60))
    x = np.column_stack([np.full(2_000, 3), np.full(2_000, 30)]).astype(np.int32)
    np.testing.assert_array_equal(array(layer(x)), x)
    hidden = array(layer(x, training=True))
    np.testing.assert_array_equal(hidden[:, 0], x[:, 0])
    assert set(hidden[:, 1]) == {1, 30}
    assert (hidden[:, 1] == 1).mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("share, shown", [(None, [1, 9]), (0.3, [8, 9])])
def test_codes_without_support_are_given_up_in_predictions_too(share, shown):
    layer = categories.Unseen(share, (5, 60))
    layer.build((None, 2))
    layer.give_up({1: np.arange(60) != 8})
    found = array(layer(np.array([[3, 8], [4, 9]], np.int32)))
    assert found[:, 0].tolist() == [3, 4]
    assert found[:, 1].tolist() == shown
    assert array(layer.share)[5:].max() == pytest.approx(share or 1.0)


def test_config_rebuilds_the_layer():
    config = categories.Embeddings(CODES, (2, 4, 2, 3), scale=0.5).get_config()
    again = categories.Embeddings.from_config(config)
    assert (again.codes, again.widths, again.scale) == (CODES, (2, 4, 2, 3), 0.5)
    for share in (None, 0.3):
        again = categories.Unseen.from_config(categories.Unseen(share, CODES).get_config())
        assert (again.fixed, again.codes) == (share, CODES)


def test_signs_or_vectors_follow_the_number_of_known_values():
    spec = Spec(categories=(3, 4, 5, 6, 2))  # 1, 2, 3, 4 known values, and none
    symbol = keras.Input((5,), dtype="int32")
    with seeded(0):
        model = keras.Model(symbol, categories.signs_or_vectors(Inputs(spec, categories=symbol), most=3, width=7))
    codes = np.array([[2, 2, 2, 2, 0], [2, 3, 4, 5, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    got = array(model(codes))
    assert got.shape == (4, 1 + 1 + 3 + 7)
    np.testing.assert_array_equal(got[:, :5], [[1, -1, 1, 0, 0], [1, 1, 0, 0, 1], [0] * 5, [0] * 5])
    table = array(model.weights[0])
    np.testing.assert_array_equal(got[:, 5:], table[[2, 5, 0, 1]])
    np.testing.assert_array_equal(table[:2], 0)
    assert categories.signs_or_vectors(Inputs(Spec(numbers=2)), 3, 7) is None


def test_vectors_of_realmlp_are_standard_normal():
    symbol = keras.Input((1,), dtype="int32")
    inputs = Inputs(Spec(categories=(400,)), categories=symbol)
    with seeded(0):
        (table,) = keras.Model(symbol, categories.signs_or_vectors(inputs, most=8, width=8)).weights
    assert array(table)[2:].std() == pytest.approx(1, abs=0.05)
