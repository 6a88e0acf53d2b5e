"""RealMLP's layers against plain NumPy: forward, initial weights from data, rates of their own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit

from tabdl.layers import blocks, scaled
from tabdl.network import seeded
from tabdl.training.step import Layout

array = keras.ops.convert_to_numpy
X = (np.random.default_rng(0).normal(size=(300, 6)) * [1, 2, 0.1, 5, 1, 0] + [0, 3, 0, 0, -9, 4]).astype(np.float32)


def built(layer, width=6, seed=0):
    with seeded(seed):
        layer.build((None, width))
    return layer


def dense(units=40, seed=0):
    with seeded(seed):
        return built(scaled.NTKDense(units), seed=seed)


def test_ntk_divides_by_the_root_of_the_width():
    layer = dense()
    layer.bias.assign(np.arange(40.0))
    kernel = array(layer.kernel)
    np.testing.assert_allclose(array(layer(X)), X @ kernel / 6**0.5 + np.arange(40.0), rtol=1e-4, atol=1e-4)
    assert kernel.std() == pytest.approx(1, abs=0.1)
    assert layer.compute_output_shape((None, 6)) == (None, 40)


@pytest.mark.parametrize("weight", [None, np.random.default_rng(1).integers(1, 5, 300).astype(float)], ids=["even", "weighted"])
def test_adapted_units_spread_by_one_and_bend_between_rows(weight):
    layer = dense()
    start = array(layer.kernel)
    layer.adapt_to(X, weight, np.zeros((300, 1)))
    kernel, bias = array(layer.kernel), array(layer.bias)
    shown = X.astype(float) @ kernel / 6**0.5
    seen = shown if weight is None else np.repeat(shown, weight.astype(int), axis=0)
    np.testing.assert_allclose(seen.std(axis=0), 1, rtol=1e-4)
    ratio = kernel / start
    np.testing.assert_allclose(ratio, ratio[:1] + np.zeros((6, 1)), rtol=1e-4, err_msg="a unit keeps its direction")
    assert (-bias >= shown.min(axis=0)).all(), "in the convex hull"
    assert (-bias <= shown.max(axis=0)).all()
    away = (shown + bias).mean(axis=0)
    assert 0.2 < away.std() < 0.8, "five rows with simplex weights: 1 / sqrt(3) of a spread from the mean"


def test_biases_lie_between_the_rows_that_have_weight():
    layer, weight = dense(), np.zeros(300)
    weight[[7, 8]] = 1
    layer.adapt_to(X, weight, np.zeros((300, 1)))
    pair = array(layer(X[7:9]))
    assert (pair.min(axis=0) <= 1e-3).all()
    assert (pair.max(axis=0) >= -1e-3).all()
    np.testing.assert_allclose(np.ptp(pair, axis=0), 2, rtol=1e-3)


def test_inputs_that_do_not_vary_leave_kernels_finite():
    layer = dense()
    start = array(layer.kernel)
    layer.adapt_to(np.ones((20, 6), np.float32), None, np.zeros((20, 1)))
    np.testing.assert_allclose(array(layer.kernel), start, rtol=1e-6)
    np.testing.assert_allclose(array(layer(np.ones((1, 6), np.float32))), 0, atol=1e-5)


def test_the_same_seed_adapts_alike_and_another_otherwise():
    first, same, other = dense(seed=1), dense(seed=1), dense(seed=2)
    before = np.random.get_state()[1].copy()
    for layer in (first, same, other):
        layer.adapt_to(X, None, np.zeros((300, 1)))
    np.testing.assert_array_equal(array(first.bias), array(same.bias))
    assert (array(first.bias) != array(other.bias)).all()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


SELU = lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))  # noqa: E731
MISH = lambda x: x * np.tanh(np.log1p(np.exp(x)))  # noqa: E731


@pytest.mark.parametrize("name, function", [("selu", SELU), ("mish", MISH), ("silu", lambda x: x * expit(x))])
def test_activation_goes_from_linear_to_its_function_by_unit(name, function):
    layer = built(scaled.ParametricActivation(name))
    np.testing.assert_allclose(array(layer(X)), function(X), rtol=1e-4, atol=1e-5)
    alpha = np.array([0, 1, 0.5, 2, -1, 0.3], np.float32)
    layer.alpha.assign(alpha)
    np.testing.assert_allclose(array(layer(X)), X + alpha * (function(X) - X), rtol=1e-4, atol=1e-4)


def test_front_scale_multiplies_columns():
    layer = built(scaled.FrontScale())
    np.testing.assert_array_equal(array(layer(X)), X)
    layer.scale.assign(np.arange(6.0))
    np.testing.assert_allclose(array(layer(X)), X * np.arange(6.0), rtol=1e-6)


def test_clamp_limits_predictions_alone():
    layer = built(scaled.Clamp(), width=2)
    far = np.array([[-9e5, 9e5], [0, 0.5]], np.float32)
    np.testing.assert_array_equal(array(layer(far)), far)
    layer.adapt_to(far, None, np.array([[-1, 0], [2, 1.0]]))
    np.testing.assert_array_equal(array(layer(far)), [[-1, 1], [0, 0.5]])
    np.testing.assert_array_equal(array(layer(far, training=True)), far)
    layer.widen(np.array([[0, 3.0], [-2, 2]]))
    np.testing.assert_array_equal(array(layer(far)), [[-2, 3], [0, 0.5]])
    assert not layer.trainable_weights


def test_rates_and_decays_are_those_of_the_paper():
    symbol = keras.Input((6,))
    x = scaled.scaled_block(scaled.FrontScale()(symbol), 4, activation="selu", dropout=0.2)
    model = keras.Model(symbol, scaled.NTKDense(1)(x))
    layout = Layout(model)

    def by_name(vector):
        return [(v.name, float(part.flat[0])) for v, part in zip(model.trainable_variables, layout.split(vector), strict=True)]

    names = ["scale", "kernel", "bias", "alpha", "kernel", "bias"]
    assert by_name(layout.speed) == [(n, pytest.approx(f)) for n, f in zip(names, [6, 1, 0.1, 0.1, 1, 0.1], strict=True)]
    assert by_name(layout.decay) == [(n, pytest.approx(f)) for n, f in zip(names, [36, 1, 0, 0.01, 1, 0], strict=True)]
    assert [type(layer) for layer in model.layers[2:-1]] == [scaled.NTKDense, scaled.ParametricActivation, blocks.Dropout]


@pytest.mark.parametrize(
    "layer", [scaled.FrontScale(3.0), scaled.NTKDense(5), scaled.ParametricActivation("mish"), scaled.Clamp()]
)
def test_config_rebuilds_the_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.compute_output_shape((None, 5)) == (None, 5)
