"""Layers with a member axis against plain NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.layers import members
from tabdl.network import seeded

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
array = keras.ops.convert_to_numpy


@pytest.mark.parametrize("normal", [True, False])
def test_scale_multiplies_each_member_by_one_draw_a_group(normal):
    with seeded(0):
        layer = members.Scale(3, (2, 3, 1), normal)
        got = array(layer(X))
    scale = array(layer.scale)
    assert scale.shape == (3, 6)
    np.testing.assert_allclose(got, X[:, None, :] * scale, rtol=1e-6)
    np.testing.assert_array_equal(scale[:, [0, 2, 2]], scale[:, [1, 3, 4]])
    assert len(np.unique(scale[:, [0, 2, 5]])) == (9 if normal else 2)
    if not normal:
        assert set(np.unique(scale)) == {-1.0, 1.0}
    assert layer.compute_output_shape((None, 6)) == (None, 3, 6)


@pytest.mark.parametrize("units", [1, 4])
def test_every_member_has_a_linear_map_of_its_own(units):
    h = np.random.default_rng(1).normal(size=(20, 3, 6)).astype(np.float32)
    layer = members.MemberDense(units)
    layer.build(h.shape)
    layer.bias.assign(np.arange(3 * units, dtype="float32").reshape(3, units))
    kernel, bias = array(layer.kernel), array(layer.bias)
    expected = np.stack([h[:, k] @ kernel[k] + bias[k] for k in range(3)], axis=1)
    np.testing.assert_allclose(array(layer(h)), expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(h.shape) == (20, 3, units)
    assert np.abs(kernel).max() <= 6**-0.5
    assert len(np.unique(kernel)) == kernel.size, "members start apart"


@pytest.mark.parametrize("units", [1, 4])
def test_ensemble_dense_shares_one_map_between_scales_of_each_member(units):
    h = np.random.default_rng(1).normal(size=(20, 3, 6)).astype(np.float32)
    layer = members.EnsembleDense(units)
    layer.build(h.shape)
    kernel = array(layer.kernel)
    assert kernel.shape == (6, units)
    np.testing.assert_allclose(array(layer(h)), h @ kernel, rtol=1e-4, atol=1e-5, err_msg="scales start at one, biases at zero")
    rng = np.random.default_rng(2)
    before, after, bias = (rng.normal(size=(3, n)).astype(np.float32) for n in (6, units, units))
    for weight, value in ((layer.before, before), (layer.after, after), (layer.bias, bias)):
        weight.assign(value)
    expected = np.stack([(h[:, k] * before[k]) @ kernel * after[k] + bias[k] for k in range(3)], axis=1)
    np.testing.assert_allclose(array(layer(h)), expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape(h.shape) == (20, 3, units)


def test_ensemble_dense_starts_as_relu_likes_it():
    layer = members.EnsembleDense(300)
    with seeded(0):
        layer.build((None, 2, 200))
    assert array(layer.kernel).std() == pytest.approx((2 / 200) ** 0.5, rel=0.02)


@pytest.mark.parametrize("shape, kind", [((6,), keras.layers.Dense), ((3, 6), members.MemberDense)])
def test_head_has_a_map_a_member_where_there_are_members(shape, kind):
    symbol = keras.Input(shape)
    logits = members.head(symbol, 2)
    assert logits.shape == (None, *shape[:-1], 2)
    assert type(keras.Model(symbol, logits).layers[-1]) is kind


LAYERS = [members.Scale(3, (2, 4), False), members.MemberDense(5), members.EnsembleDense(5)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: type(x).__name__)
def test_config_rebuilds_the_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
