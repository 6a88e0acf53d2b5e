"""RealMLP: what the paper asks of the whole network and its training."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

from tabdl import RealMLPClassifier, RealMLPRegressor
from tabdl.layers import blocks, numbers, scaled
from tabdl.models.realmlp import RealMLP
from tabdl.network import build, get_weights
from tabdl.spec import Head, Spec
from tabdl.training.initial import SAMPLE, adapt
from tabdl.training.losses import make_loss
from tabdl.training.step import Step

array = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)
ROWS = 400
SPEC, HEAD = Spec(numbers=3, flags=1, categories=(4, 9, 30)), Head(1, "identity", "mse")
ARRAYS = {
    "numbers": RNG.normal(size=(ROWS, 3)).astype("float32"),
    "flags": RNG.choice([-1.0, 1.0], (ROWS, 1)).astype("float32"),
    "categories": np.column_stack([RNG.integers(0, n, ROWS) for n in SPEC.categories]).astype("int32"),
    "target": RNG.normal(size=(ROWS, 1)).astype("float32"),
}


def network(head=HEAD, seed=0, **params):
    return build(RealMLP(**{"units": (32, 16)} | params), SPEC, head, seed)


def inputs():
    return {k: v for k, v in ARRAYS.items() if k != "target"}


def before(model, kind):
    """What every layer of a kind gives, without dropout."""
    return [array(keras.Model(model.input, layer.output)(inputs())) for layer in model.layers if isinstance(layer, kind)]


def test_every_unit_starts_with_unit_spread_layer_after_layer():
    model = network()
    adapt(model, ARRAYS, None, HEAD)
    outputs = before(model, scaled.NTKDense)
    assert [o.shape[1] for o in outputs] == [32, 16, 1]
    for output in outputs:
        np.testing.assert_allclose(output.std(axis=0), 1, rtol=1e-3)
        assert (output.min(axis=0) < 0).all(), "the bias lies in the convex hull of the rows"
        assert (output.max(axis=0) > 0).all()
    unadapted = before(network(), scaled.NTKDense)
    assert max(abs(o.std(axis=0) - 1).max() for o in unadapted) > 0.3


def test_large_tables_are_sampled_by_the_seed_alone():
    rows = 3 * SAMPLE
    arrays = {k: np.resize(v, (rows, v.shape[1])) for k, v in ARRAYS.items()}
    arrays["numbers"] = RNG.normal(size=(rows, 3)).astype("float32")
    first, again, other = (network() for _ in range(3))
    for model, seed in ((first, 5), (again, 5), (other, 6)):
        adapt(model, arrays, None, HEAD, seed=seed)
    weights = [get_weights(model) for model in (first, again, other)]
    assert all(np.array_equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert any(not np.array_equal(weights[0][k], weights[2][k]) for k in weights[0])


@pytest.mark.parametrize("link, outputs", [("sigmoid", 1), ("softmax", 4)])
def test_the_head_starts_at_the_data_and_not_at_the_shares(link, outputs):
    head = Head(outputs, link, "cross_entropy")
    model = network(head)
    adapt(model, ARRAYS | {"target": RNG.integers(0, max(2, outputs), (ROWS, 1)).astype("float32")}, None, head)
    np.testing.assert_allclose(array(model(inputs())).std(axis=0), 1, rtol=1e-3)


def test_cells_of_private_columns_do_not_reach_the_weights():
    private = np.array([False, True, False])
    other = ARRAYS | {"numbers": ARRAYS["numbers"].copy()}
    other["numbers"][:, 1] = RNG.uniform(size=ROWS)
    models = [network() for _ in range(3)]
    for model, arrays, hidden in zip(models, (ARRAYS, other, other), (private, private, None), strict=True):
        adapt(model, arrays, None, HEAD, hidden)
    first, same, shown = map(get_weights, models)
    assert all(np.array_equal(first[k], same[k]) for k in first)
    assert any(not np.array_equal(first[k], shown[k]) for k in first)


def moves(model, rate, fade=1.0, decay=0.0, gradient=1.0):
    """By how much one step of gradient descent moves every weight, by name."""
    made = Step(model, "sgd", make_loss(HEAD))
    flat = made.layout.join([array(v) for v in model.trainable_variables])[None]
    knobs = np.array([decay, np.inf, 0.0, 0.99], np.float32)
    slots = made.initial_state(1)[1]
    moved, _ = made.update(flat, slots, keras.ops.full(flat.shape, gradient), np.float32(rate), np.float32(fade), knobs)
    parts = made.layout.split(array(moved)[0] - flat[0])
    return {v.path: (part, array(v)) for v, part in zip(model.trainable_variables, parts, strict=True)}


def test_the_front_scale_takes_six_times_the_step_of_a_plain_weight():
    steps = {path: np.unique(np.round(part, 6)) for path, (part, _) in moves(network(), rate=0.01).items()}
    (scale,) = [step for path, step in steps.items() if "front_scale" in path]
    kernels = [step for path, step in steps.items() if path.endswith("kernel")]
    slow = [step for path, step in steps.items() if path.endswith(("bias", "alpha", "frequency", "phase", "linear"))]
    np.testing.assert_allclose(kernels, -0.01, rtol=1e-3)
    np.testing.assert_allclose(scale, -0.06, rtol=1e-3)
    np.testing.assert_allclose(slow, -0.001, rtol=1e-3)
    assert len(slow) == 3 + 2 + 4


@pytest.mark.parametrize("fade", [1.0, 0.5, 0.0])
def test_fade_reaches_decay_and_dropout(fade):
    model = network(dropout=0.5)
    shrunk = moves(model, rate=0.1, fade=fade, decay=0.02, gradient=0.0)
    share = {"scale": 36.0, "kernel": 1.0, "table": 1.0, "alpha": 0.01}
    for path, (part, start) in shrunk.items():
        factor = next((f for name, f in share.items() if path.split("/")[-1].startswith(name)), 0.0)
        np.testing.assert_allclose(part, -0.1 * fade * 0.02 * factor * start, rtol=0.02, atol=2e-7)
    made = Step(model, "sgd", make_loss(HEAD))
    batch = inputs() | {"target": ARRAYS["target"], "weight": np.ones(ROWS, np.float32)}
    flat, fixed = (
        made.layout.join([array(v) for v in model.trainable_variables]),
        [v.value for v in model.non_trainable_variables],
    )
    values = []
    for _ in range(2):
        _, value, fixed = made.objective(keras.ops.convert_to_tensor(flat), fixed, batch, np.ones(ROWS, np.float32), fade)
        values.append(float(value))
    assert (values[0] == values[1]) == (fade == 0), "without dropout two passes are equal"
    assert len([layer for layer in model.layers if isinstance(layer, blocks.Dropout)]) == 2


def test_predictions_stay_in_the_range_of_y_and_further_rows_widen_it():
    X, y = ARRAYS["numbers"], ARRAYS["numbers"][:, 0]
    model = RealMLPRegressor(units=(16,), epochs=20, random_state=0, validation_fraction=0).fit(X, y)
    far = model.predict(np.concatenate([100 * X, -100 * X]))
    np.testing.assert_allclose([far.min(), far.max()], [y.min(), y.max()], rtol=1e-5)
    model.partial_fit(X, y / 2).partial_fit(X, 3 * y)
    low, high = (model.weights_[f"clamp_0/{k}"] for k in ("low", "high"))
    np.testing.assert_allclose([low, high], model.target_.encode(3 * y[[y.argmin(), y.argmax()]]), rtol=1e-5)
    for other in (Head(1, "exp", "poisson"), Head(3, "ascending", "quantile", (0.1, 0.5, 0.9)), Head(1, "sigmoid", "kl")):
        assert not [layer for layer in network(other).layers if isinstance(layer, scaled.Clamp)]


def test_defaults_are_the_recipe():
    assert (RealMLPClassifier().learning_rate, RealMLPRegressor().learning_rate) == (0.04, 0.2)
    assert (RealMLPClassifier().epochs, RealMLPRegressor().epochs) == ("auto", 64)
    assert (RealMLPClassifier().activation, RealMLPRegressor().activation) == ("selu", "mish")
    for model in (RealMLPClassifier(), RealMLPRegressor()):
        assert (model.optimizer, model.momentum, model.second_moment) == ("adam", 0.9, 0.95)
        assert (model.schedule, model.fade, model.weight_decay, model.clip_norm) == ("coslog4", "flat_cosine", 0.02, None)
        assert (model.units, model.dropout) == ((256, 256, 256), 0.15)
    assert RealMLPClassifier().label_smoothing == 0
    (embedding,) = [layer for layer in network().layers if isinstance(layer, numbers.Periodic)]
    assert (embedding.width, embedding.frequencies, embedding.sigma, embedding.speed) == (4, 16, 0.1, 0.1)


def test_it_learns_what_is_there():
    table = pd.DataFrame({"a": RNG.normal(size=600), "b": RNG.normal(size=600), "c": RNG.choice(list("xyz"), 600)})
    signal = np.sin(2 * table["a"]) * table["b"] + (table["c"] == "x")
    small = {"units": (64, 64), "epochs": 60, "random_state": 0}
    assert RealMLPRegressor(**small).fit(table[:400], signal[:400]).score(table[400:], signal[400:]) > 0.9
    assert RealMLPClassifier(**small).fit(table[:400], signal[:400] > 0.3).score(table[400:], signal[400:] > 0.3) > 0.85
