"""The effects of the parameters of networks of series, on the network that is built and on what a model learns."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from effects import effect

from tabdl import LITERegressor, RocketRegressor, SeriesRegressor
from tabdl.layers import blocks
from tabdl.layers.tokens import Places
from tabdl.models.cnn import CNN
from tabdl.models.inception import Inception
from tabdl.models.lite import LITE
from tabdl.models.rnn import RNN
from tabdl.models.sequencetransformer import SequenceTransformer
from tabdl.models.tcn import TCN
from tabdl.network import seeded
from tabdl.spec import Inputs, Spec

ROWS, STEPS = 40, 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, STEPS, 2)).astype(np.float32)  # (rows, steps, channels)
MASK = np.ones((ROWS, STEPS), np.float32)
y = X[:, :, 0].max(axis=1) + X[:, -1, 1]


def features(cls: type, steps: int = STEPS, **params: Any) -> keras.Model:
    """From series to what `forward` returns, without the head."""
    spec = Spec(steps=steps, channels=2)
    symbols = {kind: keras.Input(shape, name=kind) for kind, shape in spec.shapes.items()}
    with seeded(0):
        return keras.Model(symbols, cls(**params).forward(Inputs(spec, **symbols)))


def forward(model: keras.Model, X: np.ndarray = X, mask: np.ndarray = MASK, **options: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(model({"sequence": X, "mask": mask}, **options))


def layers_of(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def seen(model: keras.Model) -> list[int]:
    """Steps on which the features depend, counted back from the last one."""
    before = forward(model)
    found = []
    for step in range(STEPS):
        changed = X.copy()
        changed[:, step] += 1
        if np.abs(forward(model, changed) - before).max() > 1e-7:
            found.append(STEPS - 1 - step)
    return sorted(found)


def switch_off(model: keras.Model, count: int | None = None) -> keras.Model:
    """All weights of the first convolutions to zero."""
    for layer in layers_of(model, keras.layers.Conv1D)[:count]:
        for weight in layer.weights:
            weight.assign(np.zeros(weight.shape))
    return model


# ---- how series are read ---------------------------------------------------------------------------------------------


def fitted(X: Any, y: Any = y, **params: Any) -> Any:
    small = {"width": 2, "kernel_size": 4, "handmade": False, "epochs": 1, "random_state": 0}
    return LITERegressor(**small | params).fit(X, y)


@effect("SequenceNetwork.scale")
def test_scale() -> None:
    """Where each series has a scale of its own, level and spread say nothing."""
    other = X * RNG.uniform(1, 9, (ROWS, 1, 2)) + RNG.normal(0, 9, (ROWS, 1, 2))
    shape, whole = fitted(X, scale="series"), fitted(X)
    np.testing.assert_allclose(shape.predict(other), shape.predict(X), rtol=1e-4, atol=1e-4)
    assert np.abs(whole.predict(other) - whole.predict(X)).max() > 0.01


@effect("SequenceNetwork.channels_first")
def test_channels_first() -> None:
    expected = fitted(X).predict(X)
    turned = np.moveaxis(X, 1, 2)
    model = fitted(turned, channels_first=True)
    np.testing.assert_array_equal(model.predict(turned), expected)
    np.testing.assert_array_equal(model.predict(list(turned)), expected)
    assert fitted(turned).n_features_in_ == STEPS, "without it the steps would be channels"


@effect("SequenceNetwork.id", "SequenceNetwork.time")
def test_long_tables() -> None:
    """Rows of any order are series by id, ordered by time; without time they stay as they come."""
    parts = [pd.DataFrame(x, columns=["a", "b"]).assign(who=f"id {i}", at=np.arange(STEPS)) for i, x in enumerate(X)]
    long = pd.concat(parts, ignore_index=True)
    targets = pd.Series(y, index=[f"id {i}" for i in range(ROWS)])
    shuffled = long.sample(frac=1, random_state=0)
    expected, order = fitted(X).predict(X), [int(name[3:]) for name in shuffled["who"].unique()]
    timed = fitted(long, targets, id="who", time="at")
    np.testing.assert_array_equal(timed.predict(long), expected)
    np.testing.assert_allclose(timed.predict(shuffled), expected[order], rtol=1e-5)
    plain = fitted(long.drop(columns="at"), targets, id="who")
    np.testing.assert_array_equal(plain.predict(long.drop(columns="at")), expected)
    assert np.abs(plain.predict(shuffled.drop(columns="at")) - expected[order]).max() > 1e-3


# ---- what networks see -----------------------------------------------------------------------------------------------


@effect("TCN.blocks", "TCN.kernel_size")
@pytest.mark.parametrize("count, size", [(1, 2), (2, 3), (1, 5), (3, 2)])
def test_a_tcn_sees_so_far_back(count: int, size: int) -> None:
    model = features(TCN, blocks=count, kernel_size=size, width=16, pooling="last", dropout=0.0)
    assert seen(model) == list(range((size - 1) * (1 + 2 * (2**count - 1)) + 1))


@effect("CNN.blocks", "CNN.kernel_size", "CNN.dilation")
@pytest.mark.parametrize("count, size, dilation", [(1, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 3), (1, 7, 2), (1, "auto", 2)])
def test_a_cnn_sees_so_far_to_the_side(count: int, size: int | str, dilation: int) -> None:
    model = features(CNN, blocks=count, kernel_size=size, dilation=dilation, width=16, pooling="last", dropout=0.0)
    half = (7 if size == "auto" else size) // 2
    assert seen(model) == list(range(half * (1 + 2 * sum(dilation**block for block in range(count))) + 1))


@effect("CNN.residual")
def test_residual() -> None:
    """A block without weights lets its input through, or nothing; without shortcuts it is convolution, batch norm, ReLU."""
    through = features(CNN, residual=True, blocks=1, width=8)
    for layer in layers_of(through, keras.layers.Conv1D)[1:]:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    assert np.ptp(forward(through), axis=0).min() > 0.01
    plain = features(CNN, residual=False, blocks=1, width=8, kernel_size=1, pooling="mean", dropout=0.0)
    (only,) = layers_of(plain, keras.layers.Conv1D)
    expected = np.maximum(X @ keras.ops.convert_to_numpy(only.kernel)[0] / np.sqrt(1 + 1e-3), 0).mean(axis=1)
    np.testing.assert_allclose(forward(plain), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(forward(switch_off(plain)), axis=0).max() == 0


@effect("CNN.pooling", "RNN.pooling", "TCN.pooling")
@pytest.mark.parametrize("cls", [CNN, RNN, TCN])
def test_pooling(cls: type) -> None:
    """Of one step all poolings are that step; of many they differ, and steps that are not there never count."""
    options = {"width": 4, "dropout": 0.0} | ({} if cls is RNN else {"blocks": 1})
    found = {name: features(cls, pooling=name, **options) for name in cls.fields["pooling"].options}
    one = MASK * (np.arange(STEPS) == 0)
    alone = {name: forward(model, X * one[:, :, None], one) for name, model in found.items()}
    for name in ("mean", "max", "attention"):
        np.testing.assert_allclose(alone[name], alone["last"], rtol=1e-4, atol=1e-5)
    pooled = {name: forward(model) for name, model in found.items()}
    np.testing.assert_allclose(pooled["mean_max"], np.hstack([pooled["mean"], pooled["max"]]), rtol=1e-4, atol=1e-5)
    assert (pooled["mean"] <= pooled["max"] + 1e-6).all()
    different = [pooled[name] for name in ("last", "mean", "max", "attention")]
    assert all(np.abs(a - b).max() > 1e-3 for i, a in enumerate(different) for b in different[:i])


@effect("RNN.cell")
def test_a_simple_cell_follows_the_formula() -> None:
    model = features(RNN, cell="simple", width=4, bidirectional=False, dropout=0.0)
    kernel, recurrent, bias = (keras.ops.convert_to_numpy(w) for w in model.weights)
    state = np.zeros((ROWS, 4))
    for step in range(STEPS):
        state = np.tanh(X[:, step] @ kernel + state @ recurrent + bias)
    np.testing.assert_allclose(forward(model), state, rtol=1e-3, atol=1e-4)


@effect("LITE.handmade")
def test_handmade_filters_see_rises_before_anything_is_learned() -> None:
    """Without learned filters in the first layer all series look alike, unless fixed ones, which have no weights, take part."""
    with_them, without = (features(LITE, handmade=own, width=3, kernel_size=4) for own in (True, False))
    assert np.ptp(forward(switch_off(with_them, 3)), axis=0).max() > 1e-3
    assert np.ptp(forward(switch_off(without, 3)), axis=0).max() == 0
    channels = [layer.output.shape[-1] for layer in layers_of(with_them, keras.layers.BatchNormalization)]
    assert channels == [3 * 3 + 17, 3, 3]


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("cls", [LITE, Inception, TCN, SequenceTransformer, CNN, RNN])
def test_the_shortest_series_are_seen(cls: type, steps: int) -> None:
    found = forward(features(cls, steps, width=8), X[:, :steps], MASK[:, :steps])
    assert np.ptp(found, axis=0).max() > 1e-3


# ---- sizes -----------------------------------------------------------------------------------------------------------


def convolutions(model: keras.Model) -> list[tuple[int, int]]:
    """(steps, filters) of each, those of shortcuts and bottlenecks included."""
    return [(layer.kernel_size[0], layer.filters) for layer in layers_of(model, keras.layers.Conv1D)]


@effect("Inception.depth", "Inception.width", "Inception.kernel_size")
def test_sizes_of_inception() -> None:
    """A module: a bottleneck, filters of three lengths, one over the local maximum; each third ends a shortcut."""
    module = sorted([(1, 5), (8, 5), (4, 5), (2, 5), (1, 5)])
    for depth, shortcuts in {1: 0, 3: 1, 6: 2}.items():
        model = features(Inception, depth=depth, width=5, kernel_size=8)
        assert sorted(convolutions(model)) == sorted(depth * module + shortcuts * [(1, 20)])
    assert features(Inception, depth=1, width=3).output.shape == (None, 12)
    with_shortcut = features(Inception, depth=3, width=3, kernel_size=4)
    *_, last = [layer for layer in layers_of(with_shortcut, keras.layers.Conv1D) if layer.filters == 12]
    for layer in layers_of(with_shortcut, keras.layers.Conv1D):
        if layer is not last:
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    assert np.ptp(forward(with_shortcut), axis=0).max() > 1e-3, "through the shortcut the series itself should be seen"


@effect("LITE.width", "LITE.kernel_size")
def test_sizes_of_lite() -> None:
    model = features(LITE, width=5, kernel_size=12)
    assert convolutions(model) == [(12, 5), (6, 5), (3, 5)]
    separable = [(part.kernel_size, part.dilation_rate, part.filters) for part in layers_of(model, keras.layers.SeparableConv2D)]
    assert separable == [((6, 1), (2, 1), 5), ((3, 1), (4, 1), 5)]
    assert model.output.shape == (None, 5)


@effect("TCN.width")
def test_width_of_tcn() -> None:
    assert convolutions(features(TCN, width=6, blocks=2, kernel_size=3)) == 5 * [(3, 6)]
    assert features(TCN, width=6, pooling="mean").output.shape == (None, 6)


@effect("SequenceTransformer.patch", "SequenceTransformer.heads", "SequenceTransformer.blocks", "SequenceTransformer.width")
def test_sizes_of_sequencetransformer() -> None:
    """Attention has a token a patch; 'auto' is 1/32 of the longest series, 4 steps at least and 64 at most."""
    model = features(SequenceTransformer, patch=5, heads=3, blocks=2, width=6)
    attention = [layer.output.shape for layer in layers_of(model, blocks.Dropout) if len(layer.output.shape) == 4]
    assert attention == 2 * [(None, 3, 5, 5)], "24 steps are five patches of 5, the last with one step less"
    assert model.output.shape == (None, 6)
    tokens = {
        steps: layers_of(features(SequenceTransformer, steps, width=4, heads=1, blocks=1), Places)[0].output.shape[1]
        for steps in (3, 24, 320, 6_400)
    }
    assert tokens == {3: 1, 24: 6, 320: 32, 6_400: 100}


DROPPING = [cls for cls in (CNN, RNN, LITE, TCN, SequenceTransformer) if "dropout" in cls.fields]


@effect(*(f"{cls.__name__}.dropout" for cls in DROPPING))
@pytest.mark.parametrize("cls", DROPPING)
def test_dropout(cls: type) -> None:
    """In training a share of the channels is zero in all steps of a series (in the transformer, of the units)."""
    model = features(cls, dropout=0.3, width=32)
    many, mask = np.tile(X, (5, 1, 1)), np.tile(MASK, (5, 1))
    found = layers_of(model, blocks.Dropout)
    assert found
    for layer in found:
        inner = keras.Model(model.input, [layer.input, layer.output])
        given, kept = (keras.ops.convert_to_numpy(t) for t in inner({"sequence": many, "mask": mask}, training=True))
        assert ((kept == 0) & (given != 0)).sum() / (given != 0).sum() == pytest.approx(0.3, abs=0.03)
        if cls is not SequenceTransformer and given.ndim == 3:
            off = (kept == 0).all(axis=1)  # (rows, channels)
            alive = (given != 0).any(axis=1)
            assert off[alive].mean() == pytest.approx(0.3, abs=0.03), "whole channels"
    np.testing.assert_array_equal(forward(model), forward(model))
    assert not layers_of(features(cls, dropout=0.0, width=32), blocks.Dropout)


# ---- Rocket and its mixture ------------------------------------------------------------------------------------------


@effect("Rocket.kernels", "Rocket.groups", "Rocket.members")
def test_sizes_of_rocket() -> None:
    """More kernels, groups or members: more features, each with a weight in the only layer."""

    def features_of(**params: Any) -> int:
        model = RocketRegressor(**{"kernels": 84, "groups": 1, "random_state": 0} | params).fit(X, y)
        (kernel,) = [w for name, w in model.weights_.items() if name.endswith("kernel")]
        assert kernel.shape == (model.encoder_.spec.features, 1)
        return len(kernel)

    plain, kernels, groups, members = (features_of(**p) for p in ({}, {"kernels": 168}, {"groups": 2}, {"members": 2}))
    assert kernels - plain == 2 * 84, "of the series and of its differences"
    assert groups > plain
    assert members - plain == (kernels - plain) + (groups - plain)


@effect("Series.members")
def test_members_of_a_mixture() -> None:
    """As many LITE networks beside one Rocket; without any, the mixture is Rocket."""
    model = SeriesRegressor(members=2, bagging=1, epochs=1, random_state=0).fit(X, y)
    assert list(model.parts_) == ["rocket", "lite0", "lite1"]
    alone = SeriesRegressor(members=0, bagging=1, epochs=1, random_state=0).fit(X, y)
    assert list(alone.parts_) == ["rocket"]
    np.testing.assert_allclose(alone.predict(X), alone.parts_["rocket"].predict(X), rtol=1e-5)
