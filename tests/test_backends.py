"""Compiled training steps and predictions against hand-written NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit

from tabdl import backends
from tabdl.errors import MissingDependency, ParameterError
from tabdl.models.mlp import MLP
from tabdl.network import build, get_weights
from tabdl.spec import Head, Spec
from tabdl.training.losses import make_loss
from tabdl.training.order import Plan
from tabdl.training.step import Step

HEAD = Head(1, "identity", "mse")
RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(20, 3)).astype(np.float32), RNG.normal(size=(20, 1)).astype(np.float32), RNG.uniform(0.5, 2, 20)
DATA = {"numbers": X[None], "target": Y, "weight": W.astype(np.float32)}  # one table
PLAIN = {"decay": 0.0, "clip": np.inf, "momentum": 0.0, "second": 0.99}


def linear(seed=0, **options):
    return build(MLP(units=(), **options), Spec(numbers=3), HEAD, seed)


def deep(seed=0, **options):
    return build(MLP(units=(4,), **options), Spec(numbers=3), HEAD, seed)


def values_of(model):
    return backends.to_device([np.array(v.numpy()) for v in (*model.trainable_variables, *model.non_trainable_variables)])


def run_steps(models, order, keep, rates, fades=None, folds=None, data=DATA, optimizer="sgd", **knobs):
    """Train copies of a network for some steps; order, keep: (steps, copies, batch).

    Returns the trainable weights and the other variables of each copy, and their losses.
    """
    step = Step(models[0], optimizer, make_loss(HEAD))
    flat, slots, fixed = step.initial_state(len(models))
    for c, model in enumerate(models):
        flat[c] = step.layout.join([v.numpy() for v in model.trainable_variables])
        for array, variable in zip(fixed, model.non_trainable_variables, strict=True):
            array[c] = variable.numpy()
    run = backends.compile_training(step, folds or (0,) * len(models))
    fades = np.ones(len(rates)) if fades is None else fades
    chosen = np.array(list((PLAIN | knobs).values()), np.float32)
    plan = np.array(order, np.int32), np.array(keep, np.float32), np.array(rates, np.float32), np.array(fades, np.float32)
    state, losses = run(backends.to_device((flat, slots, fixed)), backends.to_device(data), *plan, chosen)
    flat, _, fixed = backends.to_host(state)
    own = [step.layout.split(row) for row in flat]
    return own, [[v[c] for v in fixed] for c in range(len(models))], losses


def one(steps, decay=0.0, fades=None):
    """Plain SGD on one linear model; steps: lists of (rows, keep, rate)."""
    model = linear()
    order, keep, rates = (list(part) for part in zip(*steps, strict=True))
    ((kernel, bias),), _, losses = run_steps([model], [[o] for o in order], [[k] for k in keep], rates, fades, decay=decay)
    return get_weights(model), kernel, bias, losses


def by_hand(start, steps, decay=0.0, fades=(1, 1, 1), x=X):
    kernel, bias = start["dense_0/kernel"].astype(float), start["dense_0/bias"].astype(float)
    losses = []
    for (rows, keep, rate), fade in zip(steps, fades, strict=True):
        rows, share = np.array(rows), np.array(keep) * W[rows]
        error = x[rows] @ kernel + bias - Y[rows]
        losses.append((share[:, None] * error**2).sum())
        slope = 2 * share[:, None] * error / np.sum(keep)
        kernel, bias = kernel * (1 - rate * decay * fade) - rate * x[rows].T @ slope, bias - rate * slope.sum(0)
    return kernel, bias, np.sum(losses) / sum(np.sum(keep) for _, keep, _ in steps)


STEPS = [([0, 1, 2, 3], [1, 1, 1, 1], 0.1), ([4, 5, 6, 7], [1, 1, 0, 0], 0.05), ([8, 9, 10, 0], [1, 1, 1, 0], 0.2)]


@pytest.mark.parametrize("decay, fades", [(0.0, (1, 1, 1)), (0.5, (1, 1, 1)), (0.5, (1, 0.3, 0))])
def test_steps_follow_rows_weights_rates_decay_and_fades(decay, fades):
    start, kernel, bias, losses = one(STEPS, decay, fades)
    expected = by_hand(start, STEPS, decay, fades)
    np.testing.assert_allclose(kernel, expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, expected[1], rtol=1e-4, atol=1e-6)
    assert losses.shape == (1,)
    assert losses[0] == pytest.approx(expected[2], rel=1e-4)


def test_copies_follow_their_own_rows_and_tables():
    """Three copies, two tables: each moves as if it were alone."""
    tables = np.stack([X, 3 - 2 * X])
    models, folds = [linear(seed) for seed in range(3)], (0, 1, 1)
    shifted = [[([(r + 3 * c) % 20 for r in rows], keep, rate) for rows, keep, rate in STEPS] for c in range(3)]
    order = [[shifted[c][s][0] for c in range(3)] for s in range(3)]
    keep = [[shifted[c][s][1] for c in range(3)] for s in range(3)]
    rates = [rate for _, _, rate in STEPS]
    own, _, losses = run_steps(models, order, keep, rates, folds=folds, data=DATA | {"numbers": tables}, decay=0.5)
    for c, model in enumerate(models):
        kernel, bias, loss = by_hand(get_weights(model), shifted[c], 0.5, x=tables[folds[c]])
        np.testing.assert_allclose(own[c][0], kernel, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own[c][1], bias, rtol=1e-4, atol=1e-5)
        assert losses[c] == pytest.approx(loss, rel=1e-4)


def test_copies_with_the_same_start_and_rows_stay_equal_and_a_third_does_not_touch_them():
    order, keep = [[rows] * 3 for rows, _, _ in STEPS], [[k] * 3 for _, k, _ in STEPS]
    rates = [rate for _, _, rate in STEPS]
    models = [deep(0, dropout=0.0), deep(0, dropout=0.0), deep(1, dropout=0.0)]
    own, _, losses = run_steps(models, order, keep, rates, optimizer="adam", clip=0.1, momentum=0.9)
    for first, second, third in zip(*own, strict=True):
        np.testing.assert_array_equal(first, second)
        assert (first != third).any()
    assert losses[0] == losses[1] != losses[2]


def test_rows_that_only_fill_a_step_count_for_nothing():
    other = [(rows, keep, rate) for rows, keep, rate in STEPS]
    other[1] = ([4, 5, 18, 19], [1, 1, 0, 0], 0.05)
    for first, second in zip(one(STEPS)[1:], one(other)[1:], strict=True):
        np.testing.assert_array_equal(first, second)


def test_penalties_reach_the_gradient():
    assert len(linear(l2=0.5).losses) == 0, "the head itself is not penalised"
    model = build(MLP(units=(2,), activation="linear", dropout=0.0, l2=0.5), Spec(numbers=3), HEAD, 0)
    still = {**DATA, "weight": np.zeros(20, np.float32)}
    own, _, losses = run_steps([model], np.zeros((1, 1, 4)), np.ones((1, 1, 4)), [0.1], data=still)
    np.testing.assert_allclose(own[0][0], get_weights(model)["dense_0/kernel"] * (1 - 0.1 * 2 * 0.5), rtol=1e-5)
    assert losses[0] == 0, "the loss of the history has no penalties"


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 257, 8_192, 8_193, 20_000])
def test_forward_gives_every_row_its_own_prediction_whatever_the_number_of_rows(rows):
    model = linear(seed=3)
    weights = get_weights(model)
    forward = backends.compile_forward(model, Head(1, "sigmoid", "cross_entropy"))
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    got = forward([values_of(model)], [{"numbers": x}])
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, expit(x @ weights["dense_0/kernel"] + weights["dense_0/bias"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [3, 8_200])
@pytest.mark.parametrize("tables", [1, 3])
def test_forward_of_copies_is_the_mean_of_their_predictions_not_of_their_logits(rows, tables):
    models = [linear(seed=s) for s in range(3)]
    head = Head(1, "sigmoid", "cross_entropy")
    x = [3 * np.random.default_rng(t).normal(size=(rows, 3)).astype(np.float32) for t in range(tables)]
    got = backends.compile_forward(models[0], head, 3)([values_of(m) for m in models], [{"numbers": v} for v in x])
    expected = [
        expit(x[c % tables] @ w["dense_0/kernel"] + w["dense_0/bias"]) for c, w in enumerate(get_weights(m) for m in models)
    ]
    np.testing.assert_allclose(got, np.mean(expected, axis=0), rtol=1e-5, atol=1e-6)


def test_prediction_changes_no_state_of_a_network_with_batch_norm_and_dropout():
    model = deep(norm="batch", dropout=0.5)
    before = [np.array(v.numpy()) for v in (*model.trainable_variables, *model.non_trainable_variables)]
    forward = backends.compile_forward(model, HEAD)
    first = forward([values_of(model)], [{"numbers": X}])
    np.testing.assert_array_equal(forward([values_of(model)], [{"numbers": X}]), first)
    for old, v in zip(before, (*model.trainable_variables, *model.non_trainable_variables), strict=True):
        np.testing.assert_array_equal(np.array(v.numpy()), old)


@pytest.mark.parametrize("copies", [1, 2])
def test_training_moves_batch_statistics_and_random_states_of_each_copy_and_no_variable_of_the_model(copies):
    models = [deep(seed, norm="batch", dropout=0.5) for seed in range(copies)]
    before = [[np.array(v.numpy()) for v in m.non_trainable_variables] for m in models]
    order, keep = Plan.of(20, 5).order(0, 0)
    shape = (len(order[0]), copies, 5)
    plan = np.broadcast_to(order[0][:, None], shape), np.broadcast_to(keep[0][:, None], shape)
    rates, fades = np.full(len(order[0]), 0.01), np.linspace(1, 0, len(order[0]))
    _, fixed, _ = run_steps(models, *plan, rates, fades, optimizer="adam", clip=1.0, momentum=0.9)
    names = [v.path.rpartition("/")[2] for v in models[0].non_trainable_variables]
    for c, model in enumerate(models):
        moved = {name for name, new, old in zip(names, fixed[c], before[c], strict=True) if (new != old).any()}
        assert moved == {"moving_mean", "moving_variance", "seed_generator_state"}, "a rate that fades is as it was"
        for old, v in zip(before[c], model.non_trainable_variables, strict=True):
            np.testing.assert_array_equal(np.array(v.numpy()), old)


def test_nested_arrays_go_to_the_device_and_come_back():
    nested = (X, [Y, W.astype(np.float32)])
    back = backends.to_host(backends.to_device(nested))
    assert isinstance(back, tuple)
    assert isinstance(back[1], list)
    for got, expected in zip([back[0], *back[1]], [X, Y, W.astype(np.float32)], strict=True):
        np.testing.assert_array_equal(got, expected)
        got += 1  # an array of its own
    assert set(backends.to_device({"a": X})) == {"a"}


def test_devices_and_backends_are_checked(monkeypatch):
    with backends.device_scope("cpu"):
        assert keras.ops.ones(2).shape == (2,)
    with pytest.raises(ParameterError, match="device='banana': expected 'cpu', 'gpu' or 'gpu:1'"):
        backends.device_scope("banana")
    monkeypatch.setattr(backends, "name", lambda: "numpy")
    with pytest.raises(MissingDependency, match="expected KERAS_BACKEND tensorflow, jax or torch, received 'numpy'"):
        backends.compile_forward(linear(), HEAD)
