"""Votes of near rows against plain NumPy, in training and from the memory, and their way through the links."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tabdl.layers import links
from tabdl.layers.neighbors import BLUNT, UNSURE, SoftVote, vote
from tabdl.spec import Head, Inputs, Spec

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(30, 4)).astype(np.float32)
TARGETS = RNG.normal(size=(30, 2)).astype(np.float32)
ONES = np.ones(30, np.float32)
array = keras.ops.convert_to_numpy


def expected_votes(z: np.ndarray, keys: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Row by row: softmax of minus the Euclidean distance, blunted at zero, times weight."""
    votes = []
    for row in z.astype(np.float64):
        power = weight * np.exp(-np.sqrt(((row - keys) ** 2).sum(axis=1) + BLUNT))
        votes.append(power @ targets / power.sum())
    return np.array(votes)


def built(context: int, memory: int, columns: int = 2) -> SoftVote:
    layer = SoftVote(context, memory)
    layer.build((None, 4), (None, columns), (None,))
    return layer


def remembering(z: np.ndarray, targets: np.ndarray, weight: np.ndarray, memory: int) -> SoftVote:
    layer = built(3, memory, targets.shape[1])
    for name, value in layer.remember(z, targets, weight).items():
        getattr(layer, name).assign(value)
    return layer


def predicted(layer: SoftVote, z: np.ndarray, targets: np.ndarray | None = None) -> np.ndarray:
    filler = np.zeros((len(z), layer.votes.shape[1]), np.float32) if targets is None else targets
    return array(layer(z, filler, np.ones(len(z), np.float32), training=False))


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [1, 7, 29])
@pytest.mark.parametrize("even", [True, False])
def test_the_last_rows_of_a_step_vote_on_those_before_them(context, even):
    weight = ONES if even else RNG.uniform(0.1, 5, 30).astype(np.float32)
    received = array(built(context, 10)(Z, TARGETS, weight, training=True))
    own = 30 - context
    expected = expected_votes(Z[:own], Z[own:], TARGETS[own:], weight[own:])
    assert received.shape == (30, 2)
    np.testing.assert_allclose(received[:own], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(received[own:], 0)


def test_no_row_votes_for_itself_or_for_a_row_of_its_own_step():
    other = TARGETS.copy()
    other[:20] += 100
    layer = built(10, 5)
    first, second = (array(layer(Z, t, ONES, training=True)) for t in (TARGETS, other))
    np.testing.assert_array_equal(first, second)


def test_a_weight_counts_like_repeated_rows():
    weight = np.array([1] * 20 + [3] * 5 + [1] * 5, np.float32)
    repeated = np.r_[0:20, np.repeat(np.arange(20, 25), 3), 25:30]
    once = array(built(10, 5)(Z, TARGETS, weight, training=True))[:20]
    thrice = array(built(20, 5)(Z[repeated], TARGETS[repeated], np.ones(40, np.float32), training=True))[:20]
    np.testing.assert_allclose(once, thrice, rtol=1e-4, atol=1e-5)
    kept = [predicted(remembering(Z[i], TARGETS[i], w, 60), Z) for i, w in ((slice(None), weight), (repeated, np.ones(40)))]
    np.testing.assert_allclose(*kept, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kept[0], expected_votes(Z, Z, TARGETS, weight), rtol=1e-3, atol=1e-3)


def test_gradients_are_finite_where_rows_lie_on_each_other():
    """The slope of a distance is unbounded at zero; equal rows are common in tables."""
    same = np.zeros((30, 4), np.float32)
    z, targets, weight = keras.Input((4,)), keras.Input((2,)), keras.Input(())
    mapped = keras.layers.Dense(4)(z)
    model = keras.Model([z, targets, weight], SoftVote(10, 5)(mapped, targets, weight))
    if keras.backend.backend() != "tensorflow":
        pytest.skip("one way to take gradients is enough")
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model([same, TARGETS, ONES], training=True) ** 2)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.isfinite(gradient.numpy()).all()


# ---- prediction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [30, 31, 500])
def test_rows_in_memory_vote_and_empty_places_have_no_influence(memory):
    weight = RNG.uniform(0.1, 5, 30).astype(np.float32)
    layer = remembering(Z, TARGETS, weight, memory)
    new = RNG.normal(size=(50, 4)).astype(np.float32)
    received = predicted(layer, new)
    np.testing.assert_allclose(received, expected_votes(new, Z, TARGETS, weight), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(received, predicted(remembering(Z, TARGETS, weight, 30), new), rtol=1e-4, atol=1e-5)
    far = predicted(layer, new + 200)  # further from every row than from the zeros of an empty place
    np.testing.assert_allclose(far, expected_votes(new + 200, Z, TARGETS, weight), rtol=1e-2, atol=1e-2)


def test_targets_and_weights_of_rows_to_predict_are_not_looked_at():
    layer = remembering(Z, TARGETS, ONES, 30)
    np.testing.assert_array_equal(predicted(layer, Z), predicted(layer, Z, 9 * TARGETS))


def test_the_memory_is_no_weight_that_an_optimiser_moves():
    layer = built(3, 9)
    assert layer.trainable_variables == []
    assert {v.name: tuple(v.shape) for v in layer.variables} == {"keys": (9, 4), "votes": (9, 2), "log_weight": (9,)}
    assert layer.compute_output_shape((None, 4), (None, 2), (None,)) == (None, 2)
    assert SoftVote.from_config(layer.get_config()).get_config() == layer.get_config()


# ---- from votes to logits --------------------------------------------------------------------------------------------

HEADS = {
    "binary": Head(1, "sigmoid", "cross_entropy"),
    "labels": Head(3, "sigmoid", "cross_entropy"),
    "classes": Head(4, "softmax", "cross_entropy"),
    "ordinal": Head(3, "cumulative", "ordinal"),
    "numbers": Head(2, "identity", "mse"),
    "counts": Head(1, "exp", "poisson"),
    "quantiles": Head(4, "ascending", "quantile", levels=(0.05, 0.25, 0.5, 0.9)),
}


def encoded_target(head: Head, rng: Any) -> np.ndarray:
    """Targets (30, head.columns) as `targets` encodes them."""
    if head.link == "sigmoid":
        return rng.integers(0, 2, (30, head.columns)).astype(np.float32)
    if head.link in ("softmax", "cumulative"):
        return rng.integers(0, head.outputs + (head.link == "cumulative"), (30, 1)).astype(np.float32)
    return (rng.poisson(2.0, (30, 1)) / 2 if head.link == "exp" else rng.normal(size=(30, head.columns))).astype(np.float32)


def says(head: Head, target: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Predictions (rows, outputs) that shares (rows, neighbours) of the votes amount to."""
    if head.link == "softmax":
        return share @ np.eye(head.outputs)[target[:, 0].astype(int)]
    if head.link == "cumulative":
        return share @ (target > np.arange(head.outputs))
    if head.link == "ascending":
        mean = share @ target
        spread = np.sqrt(np.maximum(share @ target**2 - mean**2, 1e-4))
        return mean + spread * norm.ppf(head.levels)
    return share @ target


def through_the_links(head: Head, target: np.ndarray, context: int = 20) -> np.ndarray:
    symbols = {"z": keras.Input((4,), name="z"), "target": keras.Input((head.columns,), name="target")}
    symbols["weight"] = keras.Input((), name="weight")
    inputs = Inputs(Spec(numbers=4), target=symbols["target"], weight=symbols["weight"], head=head)
    model = keras.Model(symbols, vote(symbols["z"], inputs, context, 5))
    logits = model({"z": Z, "target": target, "weight": ONES}, training=True)
    assert logits.shape == (30, head.outputs)
    return array(links.predictions(logits, head))[: 30 - context]


@pytest.mark.parametrize("kind", HEADS)
def test_predictions_are_what_the_votes_say(kind):
    head = HEADS[kind]
    target = encoded_target(head, np.random.default_rng(3))
    share = expected_votes(Z[:10], Z[10:], np.eye(20), np.ones(20))
    expected = says(head, target[10:], share)
    received = through_the_links(head, target)
    certain = head.link in ("identity", "ascending")
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=2e-4 if certain else 2 * UNSURE)
    if head.link == "ascending":
        assert (np.diff(received, axis=1) > 0).all()
    if head.link == "cumulative":
        assert (np.diff(received, axis=1) <= 1e-6).all()
    if head.link == "softmax":
        np.testing.assert_allclose(received.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "labels", "classes", "ordinal", "counts"])
def test_votes_of_one_mind_are_not_certain(kind):
    """A probability of exactly zero or one would make the loss of a surprising row infinite."""
    head = HEADS[kind]
    for value in (0.0, 1.0):
        received = through_the_links(head, np.full((30, head.columns), value, np.float32))
        if kind != "counts":
            assert (received > UNSURE / 4).all() and (received < 1 - UNSURE / 4).all()  # noqa: PT018
        assert (received > 0).all()
        assert np.isfinite(np.log(received)).all()


@given(st.lists(st.floats(0.002, 0.998), min_size=1, max_size=9, unique=True), st.floats(0.02, 50))
@settings(max_examples=15, deadline=None)
def test_quantiles_of_any_levels_ascend(levels, spread):
    levels = tuple(sorted(round(level, 3) for level in levels))
    if len(set(levels)) < len(levels):
        return
    head = Head(len(levels), "ascending", "quantile", levels=levels)
    target = (spread * np.random.default_rng(1).normal(size=(30, 1))).astype(np.float32)
    share = expected_votes(Z[:10], Z[10:], np.eye(20), np.ones(20))
    received = through_the_links(head, target)
    assert (np.diff(received, axis=1) >= 0).all()
    np.testing.assert_allclose(received, says(head, target[10:], share), rtol=1e-3, atol=1e-3 * spread)
