"""One update of the flat weights: layout, decay, clipping, fading, and what layers may ask for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.models.mlp import MLP
from tabdl.models.tabm import TabM
from tabdl.network import build
from tabdl.spec import Head, Spec
from tabdl.training.losses import make_loss
from tabdl.training.optimizers import OPTIMIZERS
from tabdl.training.step import KNOBS, Layout, Step, decays

HEAD = Head(1, "identity", "mse")
RNG = np.random.default_rng(0)


def mlp(**options):
    return build(MLP(**{"units": (4,), "dropout": 0.0} | options), Spec(numbers=3), HEAD, 0)


def step(model, optimizer="sgd"):
    return Step(model, optimizer, make_loss(HEAD))


def update(made, flat, gradient, rate=0.1, fade=1.0, decay=0.0, clip=np.inf, momentum=0.0, second=0.99, slots=None):
    slots = slots or made.initial_state(len(flat))[1]
    tensor = keras.ops.convert_to_tensor
    knobs = tensor(np.array([decay, clip, momentum, second], np.float32))
    moved, slots = made.update(flat, slots, tensor(gradient), tensor(np.float32(rate)), tensor(np.float32(fade)), knobs)
    return keras.ops.convert_to_numpy(moved), slots


def named(model, vector):
    """One number a weight -> the set of numbers of each variable, by name."""
    return {v.name: set(np.unique(a)) for v, a in zip(model.trainable_variables, Layout(model).split(vector), strict=True)}


def test_arrays_come_back_as_they_were_joined():
    model = mlp()
    layout = Layout(model)
    arrays = [RNG.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]
    flat = layout.join(arrays)
    assert flat.shape == (layout.size,) == (3 * 4 + 4 + 4 + 1,)
    for parts in (layout.split(flat), layout.split(keras.ops.convert_to_tensor(flat))):
        for part, expected in zip(parts, arrays, strict=True):
            assert tuple(part.shape) == expected.shape
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(part), expected)


def test_a_network_without_weights_has_an_empty_vector():
    symbol = keras.Input((2,))
    layout = Layout(keras.Model(symbol, symbol * 2.0))
    assert layout.size == 0
    assert layout.join([]).shape == (0,)


def test_only_kernels_and_tables_decay():
    model = build(TabM(members=2, bins=3, width=4), Spec(2, 1, (300,)), HEAD, 0)
    decayed = {v.name for v in model.trainable_variables if decays(v)}
    spared = {v.name for v in model.trainable_variables if not decays(v)}
    assert decayed == {"kernel", "table_32"}
    assert {"bias", "scale", "linear"} == spared - decayed
    normed = build(MLP(units=(4,), norm="batch"), Spec(2), HEAD, 0)
    assert [v.name for v in normed.trainable_variables if not decays(v)] == ["bias", "gamma", "beta", "bias"]
    recurrent = keras.layers.GRU(2)
    recurrent.build((None, 3, 2))
    assert {v.name: decays(v) for v in recurrent.trainable_variables} == {"kernel": True, "recurrent_kernel": True, "bias": False}


def test_decay_shrinks_kernels_by_rate_and_fade_and_leaves_the_rest():
    model = mlp()
    made = step(model)
    flat = RNG.normal(size=(2, made.layout.size)).astype(np.float32)
    moved, _ = update(made, flat, np.zeros_like(flat), rate=0.1, fade=0.5, decay=0.4)
    for c in range(2):
        shrunk = named(model, np.round(moved[c] / flat[c], 5))
        assert shrunk == {"kernel": {np.float32(0.98)}, "bias": {np.float32(1)}}


def test_each_copys_gradient_is_clipped_on_its_own():
    made = step(mlp())
    flat = np.zeros((3, made.layout.size), np.float32)
    gradient = RNG.normal(size=flat.shape).astype(np.float32)
    gradient[1] *= 0.01
    gradient[2] = 0
    moved, _ = update(made, flat, gradient, clip=0.5)
    np.testing.assert_allclose(moved[0], -0.1 * 0.5 * gradient[0] / np.linalg.norm(gradient[0]), rtol=1e-4)
    np.testing.assert_allclose(moved[1], -0.1 * gradient[1], rtol=1e-4, err_msg="a small gradient stays")
    np.testing.assert_array_equal(moved[2], 0)
    np.testing.assert_allclose(update(made, flat, gradient)[0], -0.1 * gradient, rtol=1e-5, err_msg="inf: no limit")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_flat_vector_moves_as_its_parts_would_and_copies_as_if_alone(optimizer):
    made = step(mlp(), optimizer)
    flat = RNG.normal(size=(2, made.layout.size)).astype(np.float32)
    gradients = RNG.normal(size=(3, *flat.shape)).astype(np.float32)
    options = {"momentum": 0.5, "second": 0.9, "decay": 0.1, "clip": 1.0}
    both, alone, slots, own = flat, [flat[c : c + 1] for c in range(2)], None, [None, None]
    for g in gradients:
        both, slots = update(made, both, g, slots=slots, **options)
        for c in range(2):
            alone[c], own[c] = update(made, alone[c], g[c : c + 1], slots=own[c], **options)
    np.testing.assert_allclose(both, np.concatenate(alone), rtol=1e-6, atol=1e-7)
    assert float(slots[-1]) == 3, "the count of steps is kept"


def test_layers_may_ask_for_their_own_rate_and_decay():
    model = mlp()
    hidden, head = model.layers[1], model.layers[-1]
    hidden.kernel.rate_factor, hidden.bias.rate_factor, head.kernel.decay_factor = 0.5, 3.0, 0.0
    made = step(model)
    flat = np.ones((1, made.layout.size), np.float32)
    moved, _ = update(made, flat, np.ones_like(flat), rate=0.1, decay=1.0)
    parts = [set(np.round(np.unique(p), 5)) for p in made.layout.split(moved[0])]
    assert parts == [{np.float32(0.85)}, {np.float32(0.7)}, {np.float32(0.9)}, {np.float32(0.9)}]


def test_initial_state_has_the_slots_of_the_optimizer_at_their_first_value():
    model = build(MLP(units=(4,), norm="batch", dropout=0.3), Spec(numbers=3), HEAD, 0)
    for name, (count, first) in OPTIMIZERS.items():
        flat, slots, fixed = step(model, name).initial_state(2)
        assert flat.shape == (2, Layout(model).size)
        assert len(slots) == count + 1
        assert all(s.shape == flat.shape and (s == np.float32(first)).all() for s in slots[:-1])
        assert slots[-1] == 0
        assert [f.shape for f in fixed] == [(2, *v.shape) for v in model.non_trainable_variables]
        assert [str(f.dtype) for f in fixed] == [v.dtype for v in model.non_trainable_variables]


@pytest.mark.parametrize("fade", [1.0, 0.5, 0.0])
def test_fade_scales_the_dropout_that_a_step_shows_and_not_the_weight(fade):
    model = mlp(units=(400,), dropout=0.5, activation="linear", initializer="zeros")
    model.layers[1].bias.assign(np.ones(400))
    model.layers[-1].kernel.assign(np.ones((400, 1)))
    made = step(model)
    flat = made.layout.join([np.array(v.numpy()) for v in model.trainable_variables])
    fixed = [v.value for v in model.non_trainable_variables]
    batch = {"numbers": np.zeros((200, 3), np.float32), "target": np.zeros((200, 1), np.float32), "weight": np.ones(200)}
    batch["target"] += 400  # what the network says without dropout
    batch = {k: v.astype(np.float32) for k, v in batch.items()}
    _, value, new = made.objective(flat, fixed, batch, np.ones(200, np.float32), np.float32(fade))
    share = fade * 0.5
    assert float(value) == pytest.approx(400 * share / (1 - share), rel=0.25, abs=1e-6), "variance of 400 kept units"
    rates = [float(v) for v, variable in zip(new, model.non_trainable_variables, strict=True) if variable.name == "rate"]
    assert rates == [0.5]


def test_knobs_are_named_in_order():
    assert KNOBS == ("weight_decay", "clip_norm", "momentum", "second_moment")
