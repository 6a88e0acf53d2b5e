"""Dense blocks against plain NumPy."""

from __future__ import annotations

import typing
import warnings

import keras
import numpy as np
import pytest
from scipy.special import erf, expit

from tabdl.layers import blocks
from tabdl.models.mlp import MLP
from tabdl.network import get_weights

X = np.random.default_rng(0).normal(0, 2, (30, 5)).astype(np.float32)
SELU = 1.0507009873554805, 1.6732632423543772
FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: z * 0.5 * (1 + erf(z / 2**0.5)),
    "silu": lambda z: z * expit(z),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "tanh": np.tanh,
    "sigmoid": expit,
    "softplus": lambda z: np.log1p(np.exp(z)),
    "linear": lambda z: z,
}


def network(function, x=X):
    symbol = keras.Input(x.shape[1:])
    model = keras.Model(symbol, function(symbol))
    return model, get_weights(model)


def forward(model, x=X, training=False):
    return keras.ops.convert_to_numpy(model(x, training=training))


def test_formulas_cover_the_whole_vocabulary():
    assert set(FORMULAS) | {"maxout"} == set(MLP.fields["activation"].options)


@pytest.mark.parametrize("activation", FORMULAS)
def test_block_is_linear_map_then_activation(activation):
    model, weights = network(lambda x: blocks.dense_block(x, 4, activation=activation))
    model.layers[1].bias.assign([0.5, -0.5, 1, 0])
    expected = FORMULAS[activation](X @ weights["dense_0/kernel"] + [0.5, -0.5, 1, 0])
    np.testing.assert_allclose(forward(model), expected, rtol=2e-4, atol=2e-5)


def test_maxout_takes_the_larger_of_two_maps():
    model, weights = network(lambda x: blocks.dense_block(x, 4, activation="maxout"))
    kernel = weights["dense_0/kernel"]
    assert kernel.shape == (5, 8)
    np.testing.assert_allclose(forward(model), np.maximum(X @ kernel[:, :4], X @ kernel[:, 4:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm, axis", [("batch", 0), ("layer", 1)])
def test_norms_standardise_rows_or_columns(norm, axis):
    model, _ = network(lambda x: blocks.normalize(x, norm))
    expected = (X - X.mean(axis, keepdims=True)) / np.sqrt(X.var(axis, keepdims=True) + 1e-3)
    np.testing.assert_allclose(forward(model, training=True), expected, rtol=1e-3, atol=1e-4)


def test_no_norm_is_the_identity():
    symbol = keras.Input((5,))
    assert blocks.normalize(symbol, None) is symbol


def test_batch_norm_predicts_with_its_running_statistics():
    model, _ = network(lambda x: blocks.normalize(x, "batch"))
    model.layers[1].moving_mean.assign(np.arange(5.0))
    model.layers[1].moving_variance.assign(np.full(5, 4.0))
    np.testing.assert_allclose(forward(model), (X - np.arange(5)) / np.sqrt(4 + 1e-3), rtol=1e-4, atol=1e-5)


def test_penalties_are_sums_over_the_kernel_not_the_bias():
    model, weights = network(lambda x: blocks.dense_block(x, 4, l1=0.1, l2=0.01))
    model.layers[1].bias.assign([9.0] * 4)
    kernel = weights["dense_0/kernel"]
    expected = 0.1 * np.abs(kernel).sum() + 0.01 * (kernel**2).sum()
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert network(lambda x: blocks.dense_block(x, 4))[0].losses == []


def test_initializer_is_used():
    assert not network(lambda x: blocks.dense_block(x, 4, initializer="zeros"))[1]["dense_0/kernel"].any()
    kernel = network(lambda x: blocks.dense_block(x, 5, initializer="orthogonal"))[1]["dense_0/kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=1e-5)


def test_residual_block_is_x_plus_a_correction():
    model, weights = network(lambda x: blocks.residual_block(x, 7, dropout=0.0, norm=None))
    first, second = weights["dense_0/kernel"], weights["dense_1/kernel"]
    assert (first.shape, second.shape) == ((5, 7), (7, 5))
    np.testing.assert_allclose(forward(model), X + np.maximum(X @ first, 0) @ second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank, used", [(None, False), (2, True), (3, False)])
def test_cross_multiplies_the_start_with_a_linear_map(rank, used):
    """A kernel of rank 3 of 5 columns would have 30 weights instead of 25."""
    model, weights = network(lambda x: blocks.cross(x, 2 * x, rank))
    bias = np.arange(5.0)
    next(layer for layer in model.layers if getattr(layer, "bias", None) is not None).bias.assign(bias)
    kernels = [w for name, w in weights.items() if name.endswith("kernel")]
    assert [k.shape for k in kernels] == ([(5, 2), (2, 5)] if used else [(5, 5)])
    kernel = kernels[0] @ kernels[1] if used else kernels[0]
    np.testing.assert_allclose(forward(model), X * (2 * X @ kernel + bias) + 2 * X, rtol=1e-3, atol=1e-4)


def test_normalize_relu_cuts_the_normed_values():
    model, _ = network(lambda x: blocks.normalize_relu(x, "layer"))
    normed = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(forward(model), np.maximum(normed, 0), rtol=1e-3, atol=1e-4)


def test_join_skips_what_is_absent():
    symbol = keras.Input((5,))
    assert blocks.join(None, symbol, None) is symbol
    model, _ = network(lambda x: blocks.join(x, None, 2 * x))
    np.testing.assert_allclose(forward(model), np.hstack([X, 2 * X]))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.6, 0.9])
def test_dropout_zeroes_its_share_and_keeps_the_mean(rate):
    exact = round(rate * 256) / 256
    ones = np.ones((4_000, 100), np.float32)
    model, _ = network(blocks.Dropout(rate), ones)
    dropped = forward(model, ones, training=True)
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - exact)], rtol=1e-6)
    assert (dropped == 0).mean() == pytest.approx(exact, abs=0.004)
    np.testing.assert_array_equal(forward(model, ones), ones)
    assert (forward(model, ones, training=True) != dropped).any(), "each step draws anew"


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("units", [1, 7, 128])
def test_every_unit_is_dropped_at_exactly_the_rate_over_all_masks_and_its_mean_stays(rate, units):
    """A row draws one of MASKS masks, all alike: the rate of a unit is its share of zeros among them."""
    masks = blocks._masks(units)
    assert masks.shape == (blocks.MASKS, units)
    level = round(rate * 256)
    np.testing.assert_array_equal((masks < level).mean(axis=0), np.full(units, level / 256))
    kept = np.where(masks < level, 0.0, 256 / (256 - level))
    np.testing.assert_allclose(kept.mean(axis=0), 1, rtol=1e-12)


def test_units_are_dropped_independently_of_each_other():
    """Of pairs of units both are dropped at the square of the rate, and rows drop about as many as chance would."""
    dropped = blocks._masks(64) < 128
    both = (dropped.T.astype(float) @ dropped) / blocks.MASKS
    apart = both[np.triu_indices(64, 1)]
    assert apart.mean() == pytest.approx(0.25, abs=0.005)
    assert np.abs(apart - 0.25).max() < 0.08, "deviation of chance: 0.0135"
    assert dropped.sum(axis=1).std() == pytest.approx(4, rel=0.1)


def test_masks_differ_by_row_step_and_layer():
    ones = np.ones((40, 64), np.float32)
    model, _ = network(lambda x: ops_stack(blocks.Dropout(0.5)(x), blocks.Dropout(0.5)(x)), ones)
    first, second = forward(model, ones, training=True), forward(model, ones, training=True)
    assert len(np.unique(first[:, 0], axis=0)) > 36, "of 1,024 masks 40 rows rarely draw one twice"
    assert (first != second).any(axis=2).mean() > 0.9
    assert (first[:, 0] != first[:, 1]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 5)])
def test_dropout_of_higher_ranks_drops_each_cell_on_its_own(shape):
    ones = np.ones((3_000, *shape), np.float32)
    model, _ = network(lambda x: blocks.Dropout(0.25)(keras.layers.Activation("linear")(x)), ones)
    dropped = forward(model, ones, training=True)
    assert dropped.shape == ones.shape
    np.testing.assert_allclose((dropped == 0).mean(axis=0), np.full(shape, 0.25), atol=0.05)
    assert model.compute_output_shape((None, *shape)) == (None, *shape)


def test_dropout_after_a_convolution():
    x = np.random.default_rng(0).normal(size=(50, 8, 3)).astype(np.float32)
    model, _ = network(lambda x: blocks.Dropout(0.5)(keras.layers.Conv1D(4, 3, padding="same")(x)), x)
    plain, dropped = forward(model, x), forward(model, x, training=True)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * plain[kept], rtol=1e-5)
    assert kept.mean() == pytest.approx(0.5, abs=0.05)


def test_dropout_rate_is_a_weight_that_can_be_set():
    ones = np.ones((50, 20), np.float32)
    model, weights = network(blocks.Dropout(0.5), ones)
    assert weights == {"dropout_0/rate": np.float32(0.5)}
    assert model.trainable_weights == []
    model.layers[1].rate.assign(0.0)
    np.testing.assert_array_equal(forward(model, ones, training=True), ones)


def ops_stack(*parts):
    return keras.ops.stack(parts, axis=1)


def test_layers_survive_keras_serialisation():
    layer = blocks.Dropout.from_config(blocks.Dropout(0.3).get_config())
    assert layer.initial_rate == 0.3
    assert typing.cast(str, keras.saving.get_registered_name(blocks.Dropout)) == "tabdl>Dropout"


def test_softmax_of_one_place_gives_it_all_without_a_warning():
    x = keras.ops.convert_to_tensor(X[:, :, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (keras.ops.convert_to_numpy(blocks.softmax(x)) == 1).all()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(blocks.softmax(x, axis=1)).sum(axis=1), 1, rtol=1e-6)
