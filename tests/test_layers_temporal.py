"""Blocks on sequences against plain NumPy, Keras's own convolution, and what may depend on what."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

from tabdl.layers import blocks, temporal
from tabdl.network import get_weights, seeded, set_weights

X = np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)  # (rows, steps, channels)


def network(function, x=X):
    symbol = keras.Input(x.shape[1:])
    with seeded(0):
        return keras.Model(symbol, function(symbol))


def forward(model, x=X):
    return keras.ops.convert_to_numpy(model(x))


def touched(model, step):
    """Steps of the output that change with one step of the input."""
    changed = X.copy()
    changed[:, step, 0] += 1.0
    return set(np.flatnonzero(np.abs(forward(model, changed) - forward(model)).max(axis=(0, 2)) > 1e-6))


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_conv_sums_linear_maps_of_shifted_steps(size, dilation):
    model = network(lambda x: temporal.conv(x, 5, size, dilation=dilation))
    (name, kernel), (_, bias) = get_weights(model).items()
    assert name == "dense_0/kernel"
    shifts = [s for s in ((i - (size - 1) // 2) * dilation for i in range(size)) if abs(s) < 9]
    parts = kernel.reshape(len(shifts), 3, 5)
    expected = np.zeros((4, 9, 5)) + bias
    for shift, part in zip(shifts, parts, strict=True):
        for step in range(9):
            if 0 <= step + shift < 9:
                expected[:, step] += X[:, step + shift] @ part
    np.testing.assert_allclose(forward(model), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size, dilation", [(1, 1), (3, 1), (5, 1), (3, 3)])
def test_conv_is_that_of_keras(size, dilation):
    model = network(lambda x: temporal.conv(x, 5, size, dilation=dilation))
    theirs = keras.layers.Conv1D(5, size, padding="same", dilation_rate=dilation)
    theirs.build(X.shape)
    theirs.kernel.assign(get_weights(model)["dense_0/kernel"].reshape(size, 3, 5))
    np.testing.assert_allclose(forward(model), keras.ops.convert_to_numpy(theirs(X)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps, size, dilation, seen", [(1, 3, 1, 1), (1, 2, 1, 1), (2, 5, 1, 3), (3, 3, 8, 1), (4, 31, 1, 7)])
def test_places_that_see_only_zeros_have_no_weights(steps, size, dilation, seen):
    model = network(lambda x: temporal.conv(x, 5, size, dilation=dilation), X[:, :steps])
    assert get_weights(model)["dense_0/kernel"].shape == (3 * seen, 5)
    assert forward(model, X[:, :steps]).shape == (4, steps, 5)


def test_conv_block_is_residual_and_reaches_as_far_as_its_two_kernels():
    model = network(lambda x: temporal.conv_block(x, 3, dilation=2))
    assert touched(model, 4) == {0, 2, 4, 6, 8}
    weights = get_weights(model)
    silent = {k: np.zeros_like(w) if k.startswith("dense_1") else w for k, w in weights.items()}
    set_weights(model, silent)
    np.testing.assert_array_equal(forward(model), X)


def test_conv_block_drops_in_training_only():
    model = network(lambda x: temporal.conv_block(x, 3, dropout=0.5))
    np.testing.assert_array_equal(forward(model), forward(model))
    first, second = (keras.ops.convert_to_numpy(model(X, training=True)) for _ in range(2))
    assert (first != second).any()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gru(x, kernel, recurrent_kernel, bias):
    """Final state of Cho's cell, with the reset gate after the product: keras's layout update, reset, candidate."""
    h = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        a, b = x[:, t] @ kernel + bias[0], h @ recurrent_kernel + bias[1]
        (az, ar, ac), (bz, br, bc) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
        z = sigmoid(az + bz)
        h = z * h + (1 - z) * np.tanh(ac + sigmoid(ar + br) * bc)
    return h


def lstm(x, kernel, recurrent_kernel, bias):
    h = c = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


@pytest.mark.parametrize("cell, formula", [("gru", gru), ("lstm", lstm)])
def test_states_follow_the_formula_in_both_directions(cell, formula):
    model = network(lambda x: temporal.recurrent(x, 6, cell, bidirectional=True, every_step=False))
    weights = list(get_weights(model).values())
    expected = np.hstack([formula(X, *weights[:3]), formula(X[:, ::-1], *weights[3:])])
    np.testing.assert_allclose(forward(model), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cell", temporal.CELLS)
def test_a_state_knows_what_was_read_before_it(cell):
    ahead = network(lambda x: temporal.recurrent(x, 6, cell))
    assert ahead.output.shape == (None, 9, 6)
    assert touched(ahead, 3) == set(range(3, 9))
    both = network(lambda x: temporal.recurrent(x, 6, cell, bidirectional=True))
    assert both.output.shape == (None, 9, 12)
    assert touched(keras.Model(both.input, both.output[..., :6]), 3) == set(range(3, 9))
    assert touched(keras.Model(both.input, both.output[..., 6:]), 3) == set(range(4))


def test_kernels_of_recurrent_layers_decay():
    from tabdl.training.step import decays

    model = network(lambda x: temporal.recurrent(x, 6, "gru", bidirectional=True))
    decayed = {v.name for v in model.trainable_variables if decays(v)}
    assert decayed == {"kernel", "recurrent_kernel"}


def test_pool_is_mean_and_maximum_over_steps():
    got = forward(network(temporal.pool))
    np.testing.assert_allclose(got, np.hstack([X.mean(axis=1), X.max(axis=1)]), rtol=1e-5, atol=1e-6)


MASK = (np.arange(9) < np.array([9, 4, 1, 0])[:, None]).astype(np.float32)


def masked(function, x=X):
    """Model of a series and its mask."""
    symbols = keras.Input(x.shape[1:]), keras.Input(x.shape[1:2])
    with seeded(0):
        return keras.Model(symbols, function(*symbols))


@pytest.mark.parametrize("pooling", temporal.POOLINGS)
def test_pooling_sees_the_steps_that_are_there(pooling):
    model = masked(lambda x, mask: temporal.pool_steps(x, pooling, mask))
    changed = np.where(MASK[:, :, None] > 0, X, 77.0).astype(np.float32)
    first, second = (keras.ops.convert_to_numpy(model((x, MASK))) for x in (X, changed))
    np.testing.assert_allclose(first[:3], second[:3], rtol=1e-5)
    assert np.isfinite(first).all()
    if pooling == "last":
        np.testing.assert_allclose(first[:3], X[np.arange(3), [8, 3, 0]], rtol=1e-6)
    if pooling == "mean_max":
        np.testing.assert_allclose(first[1], [*X[1, :4].mean(axis=0), *X[1, :4].max(axis=0)], rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_of_series_see_zeros_where_no_step_is(causal, depthwise):
    told = {"causal": causal, "depthwise": depthwise, "dilation": 2}
    model = masked(lambda x, mask: temporal.convolve(x, 5, 3, mask, **told))
    changed = np.where(MASK[:, :, None] > 0, X, 77.0).astype(np.float32)
    first, second = (keras.ops.convert_to_numpy(model((x, MASK))) for x in (X, changed))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    if causal:
        later = X.copy()
        later[:, 5:] += 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model((later, MASK)))[:, :5], first[:, :5], rtol=1e-5)


def test_the_largest_neighbour_is_a_step_that_is_there():
    mask = np.array([[1, 1, 0, 1, 1, 0]], np.float32)
    below = -np.arange(1.0, 7.0, dtype=np.float32).reshape(1, 6, 1)
    found = keras.ops.convert_to_numpy(temporal.local_max(below, 3, mask))
    assert found.ravel().tolist() == [-1, -1, 0, -4, -4, 0]
    assert keras.ops.convert_to_numpy(temporal.local_max(below, 3)).ravel().tolist() == [-1, -1, -2, -3, -4, -5]


def test_batch_statistics_are_those_of_the_steps_that_are_there():
    model = masked(lambda x, mask: temporal.normalize(x, "batch", mask))
    found = keras.ops.convert_to_numpy(model((X, MASK), training=True))[MASK > 0]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.var(axis=0), 1, atol=0.01)


@pytest.mark.parametrize("cell", temporal.CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_skip_masked_steps(cell, bidirectional):
    model = masked(lambda x, mask: temporal.recurrent(x, 4, cell, bidirectional=bidirectional, every_step=False, mask=mask))
    changed = np.where(MASK[:, :, None] > 0, X, 77.0).astype(np.float32)
    first, second = (keras.ops.convert_to_numpy(model((x, MASK))) for x in (X, changed))
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_dropout_between_recurrent_layers_says_nothing_of_masks():
    def stacked(x, mask):
        inner = temporal.recurrent(x, 4, "gru", mask=mask)
        return temporal.recurrent(blocks.Dropout(0.5, shared=True)(inner), 4, "gru", every_step=False, mask=mask)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masked(stacked)


def test_patches_carry_their_mask():
    model = masked(lambda x, mask: temporal.patches(x, mask, 4))
    pieces, seen = map(keras.ops.convert_to_numpy, model((X, MASK)))
    assert pieces.shape == (4, 3, 4 * 4)
    assert seen.tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(pieces[0, 0].reshape(4, 4)[:, :3], X[0, :4])


def test_handmade_filters_find_rises_and_peaks():
    line = np.zeros((1, 200, 1), np.float32)
    line[0, 100:] = 1
    layer = temporal.Handmade()
    found = keras.ops.convert_to_numpy(layer(line))
    assert found.shape == (1, 200, 17)
    np.testing.assert_allclose(found[..., :6], -found[..., 6:12])
    assert not [w for w in layer.weights if w.trainable]


def test_dropout_shared_by_steps_switches_whole_channels_off():
    from tabdl.layers import blocks

    layer = blocks.Dropout(0.5, shared=True)
    found = keras.ops.convert_to_numpy(layer(np.ones((4, 9, 8), np.float32), training=True))
    assert (found == found[:, :1]).all()
    assert 0 < (found == 0).mean() < 1
