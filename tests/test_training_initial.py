"""Initial weights from the data: the head starts at the shares of the classes, layers with `adapt_to` see their input."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

import tabdl
from tabdl.layers import links
from tabdl.models.tabm import TabM
from tabdl.network import build, get_weights
from tabdl.spec import Head, Spec
from tabdl.training.initial import NARROWEST, SAMPLE, adapt, prior_logits

RNG = np.random.default_rng(0)
BINARY = (RNG.uniform(size=(200, 1)) < 0.2).astype(np.float32)
CLASS = RNG.choice(4, (200, 1), p=[0.1, 0.2, 0.3, 0.4]).astype(np.float32)
WEIGHT = RNG.integers(1, 5, 200)
weighted = pytest.mark.parametrize("weight", [None, WEIGHT.astype(float)], ids=["even", "weighted"])


def repeated(y, weight):
    return y if weight is None else np.repeat(y, weight.astype(int), axis=0)


@weighted
def test_priors_are_the_weighted_shares(weight):
    y = repeated(BINARY, weight)
    assert expit(prior_logits(BINARY, weight, Head(1, "sigmoid", "cross_entropy"))) == pytest.approx(y.mean(), rel=1e-6)
    shares = softmax(prior_logits(CLASS, weight, Head(4, "softmax", "cross_entropy")))
    np.testing.assert_allclose(
        shares, np.bincount(repeated(CLASS, weight)[:, 0].astype(int)) / len(repeated(CLASS, weight)), rtol=1e-6
    )
    kind = Head(3, "cumulative", "ordinal")
    above = keras.ops.convert_to_numpy(links.predictions(prior_logits(CLASS, weight, kind)[None], kind))[0]
    np.testing.assert_allclose(above, (repeated(CLASS, weight) > [0, 1, 2]).mean(0), rtol=1e-5)


def test_priors_stay_finite_without_one_of_the_classes_and_numbers_have_none():
    assert np.isfinite(prior_logits(np.zeros((9, 1), np.float32), None, Head(1, "sigmoid", "cross_entropy"))).all()
    assert np.isfinite(prior_logits(np.zeros((9, 1), np.float32), None, Head(3, "softmax", "cross_entropy"))).all()
    for link in ("identity", "exp"):
        assert prior_logits(BINARY, None, Head(1, link, "mse")) is None


@weighted
def test_quantiles_start_at_those_of_the_training_targets(weight):
    y, kind = RNG.gamma(1.0, size=(200, 1)).astype(np.float32), Head(4, "ascending", "quantile", levels=(0.05, 0.1, 0.5, 0.95))
    start = keras.ops.convert_to_numpy(links.predictions(prior_logits(y, weight, kind)[None], kind))[0]
    np.testing.assert_allclose(start, np.quantile(repeated(y, weight), kind.levels, method="inverted_cdf"), rtol=1e-4, atol=1e-4)


def test_quantiles_of_targets_that_are_mostly_equal_start_a_little_apart():
    y, kind = (np.arange(200) > 150)[:, None] * 2.0, Head(3, "ascending", "quantile", levels=(0.1, 0.5, 0.9))
    start = keras.ops.convert_to_numpy(links.predictions(prior_logits(y, None, kind)[None], kind))[0]
    np.testing.assert_allclose(start, [0, NARROWEST, NARROWEST + 2], rtol=1e-4)


def test_adapt_sets_bins_and_the_bias_of_every_member():
    numbers = RNG.normal(size=(200, 2)).astype(np.float32)
    model = build(TabM(members=3, bins=4), Spec(numbers=2), Head(4, "softmax", "cross_entropy"), seed=0)
    before = get_weights(model)
    adapt(model, {"numbers": numbers, "target": CLASS}, None, Head(4, "softmax", "cross_entropy"))
    after = get_weights(model)
    changed = {k for k in before if not np.array_equal(before[k], after[k])}
    assert changed == {f"piecewise_linear_0/{k}" for k in ("slope", "shift", "low", "high")} | {"member_dense_0/bias"}
    prior = prior_logits(CLASS, None, Head(4, "softmax", "cross_entropy"))
    np.testing.assert_allclose(after["member_dense_0/bias"], np.tile(prior, (3, 1)), rtol=1e-6)


class Centering(keras.layers.Layer):
    """Subtracts the mean of what it is shown, and remembers it."""

    def build(self, input_shape):
        self.center = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False, name="center")

    def call(self, x):
        return x - self.center

    def adapt_to(self, values, weight, target):
        self.shown = values, weight, target
        self.center.assign(np.average(values, axis=0, weights=weight))


def nested():
    """Two layers with `adapt_to`, one after the other, behind a layer without."""
    symbol = keras.Input((2,), name="numbers")
    first = Centering()(keras.layers.Rescaling(3.0)(symbol))
    second = Centering()(keras.layers.Rescaling(1.0, offset=5.0)(first))
    model = keras.Model({"numbers": symbol}, keras.layers.Dense(1)(second))
    return model, [layer for layer in model.layers if isinstance(layer, Centering)]


@weighted
def test_layers_inside_the_network_see_what_the_adapted_layers_before_them_give(weight):
    numbers = RNG.normal(2, 1, (200, 2)).astype(np.float32)
    model, (first, second) = nested()
    adapt(model, {"numbers": numbers, "target": BINARY}, weight, Head(1, "identity", "mse"))
    order = [np.flatnonzero((numbers * 3 == row).all(axis=1))[0] for row in first.shown[0]]
    assert order == list(range(200)), "few rows are all shown, in their order"
    np.testing.assert_allclose(first.center.numpy(), 3 * np.average(numbers, axis=0, weights=weight), rtol=1e-4)
    np.testing.assert_allclose(second.shown[0], 3 * numbers - first.center.numpy() + 5, rtol=1e-4, atol=1e-4)
    for layer in (first, second):
        assert layer.shown[1] is weight or np.array_equal(layer.shown[1], weight)
        np.testing.assert_array_equal(layer.shown[2], BINARY)


def test_layers_inside_the_network_see_a_sample_of_many_rows():
    rows = SAMPLE + 500
    numbers = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    arrays = {"numbers": numbers, "target": numbers[:, :1]}
    seen = []
    for seed in (0, 0, 1):
        model, (layer, _) = nested()
        adapt(model, arrays, numbers[:, 1], Head(1, "identity", "mse"), seed=seed)
        values, weight, target = layer.shown
        np.testing.assert_allclose(values[:, 0], 3 * target[:, 0], rtol=1e-5)
        np.testing.assert_allclose(values[:, 1], 3 * weight, rtol=1e-5)
        assert len(np.unique(values[:, 0])) == len(values) == SAMPLE, "no row twice"
        seen.append(values)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()


def test_private_columns_show_even_numbers_in_no_order_of_the_rows():
    numbers = RNG.normal(size=(200, 2)).astype(np.float32)
    model, (layer, _) = nested()
    adapt(model, {"numbers": numbers, "target": BINARY}, None, Head(1, "identity", "mse"), np.array([True, False]))
    np.testing.assert_allclose(layer.shown[0][:, 1], 3 * numbers[:, 1], rtol=1e-5)
    np.testing.assert_allclose(np.sort(layer.shown[0][:, 0]), 3 * np.linspace(-2.5, 2.5, 200), rtol=1e-4)
    assert abs(np.corrcoef(layer.shown[0][:, 0], np.arange(200))[0, 1]) < 0.3


def test_layers_of_keras_that_adapt_are_left_as_they_are():
    """Keras's `adapt` wants data alone; what our own layers want has another name."""
    X = np.random.default_rng(0).normal(size=(40, 2))

    def normalized(inputs):
        return keras.layers.Dense(4)(keras.layers.Normalization()(inputs.numbers))

    assert np.isfinite(tabdl.KerasRegressor(forward=normalized, epochs=1, random_state=0).fit(X, X[:, 0]).predict(X)).all()
