"""Embeddings of numbers against the formulas of their papers: piecewise-linear (arXiv 2203.05556) and periodic."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.layers import numbers
from tabdl.network import seeded
from tabdl.spec import Inputs, Spec

array = keras.ops.convert_to_numpy
TRAIN = np.random.default_rng(0).normal(0, 1, (200, 3)).astype(np.float32)
NEW = np.linspace(-3, 3, 60, dtype=np.float32)[:, None] + np.zeros((1, 3), np.float32)


def adapted(values, bins=8, width=4, weight=None, target=None):
    with seeded(0):
        layer = numbers.PiecewiseLinear(bins, width)
        layer.build((None, values.shape[1]))
    layer.adapt_to(values, weight, np.zeros((len(values), 1)) if target is None else target)
    return layer


def components(layer, x):
    """PLE (rows, columns, bins): the layer with a kernel that lets one bin through at a time."""
    columns, bins = x.shape[1], layer.bins
    kernel = np.zeros((columns, bins, layer.width), np.float32)
    layer.linear.assign(np.zeros((columns, layer.width)))
    layer.bias.assign(np.zeros((columns, layer.width)))
    out = np.zeros((len(x), columns, bins))
    for i in range(bins):
        kernel[:] = 0
        kernel[:, i, 0] = 1
        layer.kernel.assign(kernel)
        out[:, :, i] = array(layer(x)).reshape(len(x), columns, layer.width)[:, :, 0]
    return out


def formula(edges, x):
    """(x - b_i) / (b_{i+1} - b_i) clipped to [0, 1], open below in the first bin and above in the last."""
    parts = (x[:, None].astype(float) - edges[:-1]) / np.diff(edges)
    low, high = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    low[0], high[-1] = -np.inf, np.inf
    return np.clip(parts, low, high)


def test_components_follow_the_formula_inside_and_outside_the_training_range():
    got = components(adapted(TRAIN), NEW)
    for j in range(3):
        edges = np.quantile(TRAIN[:, j].astype(float), np.linspace(0, 1, 5), method="inverted_cdf")
        np.testing.assert_allclose(got[:, j, :4], formula(edges, NEW[:, j]), rtol=1e-3, atol=1e-4)
        assert not got[:, j, 4:].any(), "a target without structure asks for no splits"
    assert got.min() < 0, "open below"
    assert got.max() > 1, "open above"


def test_ties_use_fewer_bins_and_a_constant_column_none():
    values = np.column_stack([np.repeat([0.0, 1.0, 2.0], [90, 90, 20]), np.zeros(200)]).astype(np.float32)
    layer = adapted(values)
    got = components(layer, NEW[:, :2])
    np.testing.assert_allclose(got[:, 0, :2], formula(np.array([0.0, 1, 2]), NEW[:, 0]), rtol=1e-4, atol=1e-5)
    assert not got[:, 0, 2:].any()
    assert not got[:, 1].any()


def test_edges_are_quantiles_and_the_splits_that_the_target_asks_for():
    values = TRAIN[:, 0].astype(float)
    target = np.where((values > 0.31) & (values < 0.35), 5.0, 0.0)[:, None]
    target[np.argsort(values)[150]] = 5.0  # a spike of one row is at least seen
    edges = numbers.bin_edges(values, None, target, 8)
    quantiles = np.quantile(values, np.linspace(0, 1, 5), method="inverted_cdf")
    assert set(quantiles) <= set(edges)
    assert len(edges) <= 9
    above = values[target[:, 0] > 0]
    assert (np.abs(edges[:, None] - above).min(axis=0) < 0.1).all(), "the rows of the spike lie next to an edge"
    np.testing.assert_array_equal(numbers.bin_edges(values, None, 0 * target, 8), quantiles)


def test_values_closer_than_float32_can_part_share_a_bin():
    near = np.concatenate([np.linspace(-1, 1, 100), 2 + np.arange(100) * 2.4e-7]).astype(np.float32)
    got = components(adapted(near[:, None]), NEW[:, :1])[:, 0]
    inside = NEW[:, 0] < near[99]
    assert np.ptp(got[inside][:, 1:-1], axis=0).max() <= 1
    full = got[NEW[:, 0] < -0.5]
    assert (full[:, -1] <= 1e-6).all(), "a bin near 2 says nothing about -0.5"
    assert np.isfinite(got).all()


def test_integer_weights_equal_repeated_rows_exactly():
    weight = np.random.default_rng(1).integers(1, 5, 200)
    target = np.sin(3 * TRAIN[:, :1]) + np.random.default_rng(2).normal(0, 0.3, (200, 1))
    weighted = adapted(TRAIN, weight=weight.astype(float), target=target)
    repeated = adapted(np.repeat(TRAIN, weight, axis=0), target=np.repeat(target, weight, axis=0))
    for name in ("slope", "shift", "low", "high"):
        np.testing.assert_array_equal(array(getattr(weighted, name)), array(getattr(repeated, name)))


def test_output_is_linear_part_plus_encoding_times_kernel():
    layer = adapted(TRAIN)
    kernel = np.random.default_rng(2).normal(size=(3, 8, 4)).astype(np.float32)
    linear, bias = array(layer.linear), array(layer.bias)
    start = array(layer(NEW)).reshape(60, 3, 4)
    np.testing.assert_allclose(start, NEW[:, :, None] * linear + bias, rtol=1e-4, atol=1e-5)
    parts = components(adapted(TRAIN), NEW)
    layer.kernel.assign(kernel)
    expected = start + np.einsum("njb,jbw->njw", parts, kernel)
    np.testing.assert_allclose(array(layer(NEW)).reshape(60, 3, 4), expected, rtol=1e-3, atol=1e-3)


def test_edges_are_never_trained_and_always_finite():
    layer = adapted(TRAIN)
    assert {w.name for w in layer.trainable_weights} == {"kernel", "linear", "bias"}
    assert all(np.isfinite(array(w)).all() for w in layer.weights)
    assert layer.compute_output_shape((None, 3)) == (None, 12)


def test_piecewise_linear_is_none_without_numbers():
    assert numbers.piecewise_linear(Inputs(Spec()), 8, 4) is None
    symbol = keras.Input((3,))
    assert numbers.piecewise_linear(Inputs(Spec(3), numbers=symbol), 8, 4).shape == (None, 12)


def test_config_rebuilds_the_layer():
    again = numbers.PiecewiseLinear.from_config(numbers.PiecewiseLinear(7, 5).get_config())
    assert (again.bins, again.width) == (7, 5)


@pytest.mark.parametrize("bins", [2, 64])
def test_more_bins_than_values_or_few_bins_stay_exact_at_the_edges(bins):
    values = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    parts = components(adapted(values, bins), values)[:, 0]
    assert parts.sum(axis=1)[0] == pytest.approx(0, abs=1e-4)
    assert parts.sum(axis=1)[-1] == pytest.approx(min(bins // 2, 19), abs=1e-3)


@pytest.mark.parametrize("width, frequencies", [(2, 1), (6, 16)])
def test_periodic_follows_the_formula(width, frequencies):
    layer = numbers.Periodic(width, frequencies, sigma=0.5)
    with seeded(0):
        received = array(layer(NEW))
    w, b, kernel, bias = (array(v).astype(np.float64) for v in (layer.frequency, layer.phase, layer.linear, layer.bias))
    assert w.shape == b.shape == (3, frequencies)
    assert kernel.shape == (3, frequencies, width - 1)
    expected = [
        np.column_stack([NEW[:, j], np.cos(2 * np.pi * NEW[:, [j]] * w[j] + b[j]) @ kernel[j] + bias[j]]) for j in range(3)
    ]
    np.testing.assert_allclose(received, np.hstack(expected), atol=1e-4)
    assert layer.compute_output_shape((None, 3)) == (None, 3 * width)


def test_periodic_draws_frequencies_of_the_spread_that_it_is_told():
    for sigma in (0.1, 2.0):
        layer = numbers.Periodic(2, 400, sigma=sigma)
        with seeded(0):
            layer.build((None, 20))
        assert array(layer.frequency).std() == pytest.approx(sigma, rel=0.03)
        phase = array(layer.phase)
        assert (-np.pi <= phase.min() < -3.1) and (3.1 < phase.max() <= np.pi)  # noqa: PT018
        assert np.abs(array(layer.linear)).max() <= 400**-0.5


def test_periodic_weights_move_at_their_own_speed():
    layer = numbers.Periodic(4, 3, speed=0.25)
    layer.build((None, 2))
    assert [w.rate_factor for w in layer.trainable_variables] == [0.25] * 4


def test_periodic_is_none_without_numbers_and_rebuilt_from_its_config():
    assert numbers.periodic(Inputs(Spec(flags=2)), 4) is None
    layer = numbers.Periodic(4, 7, 0.2, 0.5)
    assert numbers.Periodic.from_config(layer.get_config()).get_config() == layer.get_config()
