"""Initial weights from the data: the head starts at the shares of the classes, layers with `adapt` see their input."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from tabdl.layers import links
from tabdl.models.tabm import TabM
from tabdl.network import build, get_weights
from tabdl.spec import Head, Spec
from tabdl.training.initial import adapt, prior_logits

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
    for link in ("identity", "exp", "ascending"):
        assert prior_logits(BINARY, None, Head(1, link, "mse")) is None


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


def test_a_layer_with_adapt_inside_the_network_is_refused():
    class Adapting(keras.layers.Layer):
        def call(self, x):
            return x

        def adapt(self, values, weight, target):
            raise AssertionError("never reached")

    symbol = keras.Input((2,), name="numbers")
    hidden = keras.layers.Dense(2)(symbol)
    model = keras.Model({"numbers": symbol}, keras.layers.Dense(1)(Adapting(name="mine")(hidden)))
    with pytest.raises(TypeError, match="mine: a layer with `adapt` should take an input of the network itself"):
        adapt(model, {"numbers": np.zeros((3, 2)), "target": BINARY[:3]}, None, Head(1, "identity", "mse"))
