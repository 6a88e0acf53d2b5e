"""Compiled training steps and predictions against hand-written NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit

from tabdl import backends
from tabdl.errors import MissingDependency, ParameterError
from tabdl.models.mlp import MLP
from tabdl.models.tabm import TabM
from tabdl.network import build, get_weights, set_weights
from tabdl.spec import Head, Spec
from tabdl.training.losses import make_loss
from tabdl.training.optimizers import make_optimizer
from tabdl.training.order import Plan

HEAD = Head(1, "identity", "mse")
RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(20, 3)).astype(np.float32), RNG.normal(size=(20, 1)).astype(np.float32), RNG.uniform(0.5, 2, 20)
DATA = {"numbers": X, "target": Y, "weight": W.astype(np.float32)}


def linear(seed=0, **options):
    return build(MLP(units=(), **options), Spec(numbers=3), HEAD, seed)


def train_linear(steps, decay=0.0, optimizer=None):
    """Plain SGD on a linear model; steps: lists of (rows, keep, rate)."""
    model = linear()
    start = get_weights(model)
    optimizer = make_optimizer("sgd", 0.0, None)
    optimizer.build(model.trainable_variables)
    run = backends.compile_training(model, optimizer, make_loss(HEAD))
    order, keep, rates = (np.array(part) for part in zip(*steps, strict=True))
    loss = run(backends.to_device(DATA), order.astype(np.int32), keep.astype(np.float32), rates.astype(np.float32), decay)
    return start, get_weights(model), loss


def by_hand(start, steps, decay=0.0):
    kernel, bias = start["dense_0/kernel"].astype(float), start["dense_0/bias"].astype(float)
    losses = []
    for rows, keep, rate in steps:
        rows, share = np.array(rows), np.array(keep) * W[rows]
        error = X[rows] @ kernel + bias - Y[rows]
        losses.append((share[:, None] * error**2).sum())
        slope = 2 * share[:, None] * error / np.sum(keep)
        kernel, bias = kernel * (1 - rate * decay) - rate * X[rows].T @ slope, bias - rate * slope.sum(0)
    return kernel, bias, np.sum(losses) / sum(np.sum(keep) for _, keep, _ in steps)


STEPS = [([0, 1, 2, 3], [1, 1, 1, 1], 0.1), ([4, 5, 6, 7], [1, 1, 0, 0], 0.05), ([8, 9, 10, 0], [1, 1, 1, 0], 0.2)]


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_steps_follow_rows_weights_rates_and_decay(decay):
    start, end, loss = train_linear(STEPS, decay)
    kernel, bias, expected = by_hand(start, STEPS, decay)
    np.testing.assert_allclose(end["dense_0/kernel"], kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(end["dense_0/bias"], bias, rtol=1e-4, atol=1e-6)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_rows_that_only_fill_a_step_count_for_nothing():
    other = [(rows, keep, rate) for rows, keep, rate in STEPS]
    other[1] = ([4, 5, 18, 19], [1, 1, 0, 0], 0.05)
    for k, v in train_linear(STEPS)[1].items():
        np.testing.assert_array_equal(train_linear(other)[1][k], v)


def test_penalties_reach_the_gradient():
    model = linear(l2=0.5)
    head_only = build(MLP(units=(2,), activation="linear", dropout=0.0, l2=0.5), Spec(numbers=3), HEAD, 0)
    assert len(model.losses) == 0, "the head itself is not penalised"
    start = get_weights(head_only)
    optimizer = make_optimizer("sgd", 0.0, None)
    optimizer.build(head_only.trainable_variables)
    run = backends.compile_training(head_only, optimizer, make_loss(HEAD))
    still = {**DATA, "weight": np.zeros(20, np.float32)}
    run(backends.to_device(still), np.zeros((1, 4), np.int32), np.ones((1, 4), np.float32), np.full(1, 0.1, np.float32), 0.0)
    np.testing.assert_allclose(get_weights(head_only)["dense_0/kernel"], start["dense_0/kernel"] * (1 - 0.1 * 2 * 0.5), rtol=1e-5)


def test_only_kernels_and_tables_decay():
    model = build(TabM(members=2, bins=3, width=4), Spec(2, 1, (300,)), HEAD, 0)
    decayed = {v.path.rpartition("/")[2] for v, d in zip(model.trainable_variables, backends.decays(model), strict=True) if d}
    spared = {v.path.rpartition("/")[2] for v, d in zip(model.trainable_variables, backends.decays(model), strict=True) if not d}
    assert decayed == {"kernel", "table_32"}
    assert {"bias", "scale", "linear"} == spared - decayed
    normed = build(MLP(units=(4,), norm="batch"), Spec(2), HEAD, 0)
    assert [v.name for v, d in zip(normed.trainable_variables, backends.decays(normed), strict=True) if not d] == [
        "bias",
        "gamma",
        "beta",
        "bias",
    ]


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 257, 8_192, 8_193, 20_000])
def test_forward_gives_every_row_its_own_prediction_whatever_the_number_of_rows(rows):
    model = linear(seed=3)
    weights = get_weights(model)
    forward = backends.compile_forward(model, Head(1, "sigmoid", "cross_entropy"))
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    got = forward(backends.forward_values(model), {"numbers": x})
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, expit(x @ weights["dense_0/kernel"] + weights["dense_0/bias"]), rtol=1e-5, atol=1e-6)


def test_values_are_copies_that_later_training_does_not_change():
    model = linear()
    forward = backends.compile_forward(model, HEAD)
    values = backends.forward_values(model)
    before = forward(values, {"numbers": X})
    set_weights(model, {k: v + 1 for k, v in get_weights(model).items()})
    np.testing.assert_array_equal(forward(values, {"numbers": X}), before)
    assert (forward(backends.forward_values(model), {"numbers": X}) != before).all()


def test_prediction_changes_no_state_of_a_network_with_batch_norm_and_dropout():
    model = build(MLP(units=(4,), norm="batch", dropout=0.5), Spec(numbers=3), HEAD, 0)
    before = [np.array(v.numpy()) for v in (*model.trainable_variables, *model.non_trainable_variables)]
    forward = backends.compile_forward(model, HEAD)
    first = forward(backends.forward_values(model), {"numbers": X})
    np.testing.assert_array_equal(forward(backends.forward_values(model), {"numbers": X}), first)
    for old, v in zip(before, (*model.trainable_variables, *model.non_trainable_variables), strict=True):
        np.testing.assert_array_equal(np.array(v.numpy()), old)


def test_training_moves_batch_statistics_and_draws_new_dropout():
    model = build(MLP(units=(4,), norm="batch", dropout=0.5), Spec(numbers=3), HEAD, 0)
    before = {v.path: np.array(v.numpy()) for v in model.non_trainable_variables}
    optimizer = make_optimizer("adam", 0.9, 1.0)
    optimizer.build(model.trainable_variables)
    order, keep = Plan.of(20, 5).order(0, 0)
    run = backends.compile_training(model, optimizer, make_loss(HEAD))
    run(backends.to_device(DATA), order[0], keep[0], np.full(len(order[0]), 0.01, np.float32), 0.0)
    moved = {v.path.rpartition("/")[2] for v in model.non_trainable_variables if (np.array(v.numpy()) != before[v.path]).any()}
    assert moved == {"moving_mean", "moving_variance", "seed_generator_state"}


def test_devices_and_backends_are_checked(monkeypatch):
    with backends.device_scope("cpu"):
        assert keras.ops.ones(2).shape == (2,)
    with pytest.raises(ParameterError, match="device='banana': expected 'cpu', 'gpu' or 'gpu:1'"):
        backends.device_scope("banana")
    monkeypatch.setattr(backends, "name", lambda: "numpy")
    with pytest.raises(MissingDependency, match="expected KERAS_BACKEND tensorflow, jax or torch, received 'numpy'"):
        backends.compile_forward(linear(), HEAD)
