"""What the parameters of networks that forecast do."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from effects import effect

from tabdl import SegRNNForecaster
from tabdl.models.forecaster import Blend
from tabdl.models.patchtst import PatchTST
from tabdl.models.segrnn import SegRNN
from tabdl.models.tsmixer import TSMixer
from tabdl.network import build, get_weights
from tabdl.spec import Head, Spec

SPEC, HEAD = Spec(steps=24, channels=2, horizon=8, future=3), Head(8, "identity", "mae")
RNG = np.random.default_rng(0)
ARRAYS = {
    "sequence": RNG.normal(size=(16, 24, 2)).astype(np.float32),
    "mask": np.ones((16, 24), np.float32),
    "future": RNG.normal(size=(16, 8, 3)).astype(np.float32),
}


def network(cls: type, **params: object) -> keras.Model:
    small = {"width": 8} | ({} if cls in (Blend, SegRNN) else {"blocks": 1}) | params
    return build(cls(**small), SPEC, HEAD, 0)


def shapes(model: keras.Model) -> list[tuple[int, ...]]:
    return [weight.shape for weight in get_weights(model).values()]


def outputs(model: keras.Model, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(ARRAYS, training=training))


@effect("Blend.width", "SegRNN.width", "TSMixer.width", "PatchTST.width")
@pytest.mark.parametrize("cls", [Blend, SegRNN, TSMixer, PatchTST])
def test_width(cls: type) -> None:
    assert any(12 in shape for shape in shapes(network(cls, width=12)))
    assert not any(12 in shape for shape in shapes(network(cls, width=9)))


@effect("TSMixer.blocks", "PatchTST.blocks")
@pytest.mark.parametrize("cls", [TSMixer, PatchTST])
def test_blocks(cls: type) -> None:
    one, two, three = (len(shapes(network(cls, blocks=blocks))) for blocks in (1, 2, 3))
    assert three - two == two - one > 0


@effect("Blend.dropout", "SegRNN.dropout", "TSMixer.dropout", "PatchTST.dropout")
@pytest.mark.parametrize("cls", [Blend, SegRNN, TSMixer, PatchTST])
def test_dropout_is_for_training_only(cls: type) -> None:
    with_it, without = network(cls, dropout=0.5), network(cls, dropout=0.0)
    assert np.any(outputs(with_it, training=True) != outputs(with_it))
    np.testing.assert_array_equal(outputs(without, training=True), outputs(without))


@effect("SegRNN.piece")
def test_pieces_of_the_past_and_of_what_is_ahead() -> None:
    for piece in (2, 4):
        found = shapes(network(SegRNN, piece=piece))
        assert (piece * 3, 8) in found, "numbers of two channels and the mask go into a token"
    assert shapes(network(SegRNN, piece="auto")) == shapes(network(SegRNN, piece=2)), "a quarter of the horizon"


@effect("PatchTST.patch")
def test_patches() -> None:
    assert shapes(network(PatchTST, patch=4)) != shapes(network(PatchTST, patch=2))
    assert shapes(network(PatchTST, patch="auto")) == shapes(network(PatchTST, patch=2)), "a quarter of the horizon"


@effect("PatchTST.heads")
def test_heads_attend_apart() -> None:
    one, two = (network(PatchTST, heads=heads) for heads in (1, 2))
    assert shapes(one) == shapes(two)
    for model in (one, two):
        for weight in model.weights:
            weight.assign(np.random.default_rng(1).normal(scale=0.5, size=weight.shape))
    assert np.abs(outputs(one) - outputs(two)).max() > 1e-4


@effect("NetworkForecaster.loss")
def test_loss_is_what_training_makes_small() -> None:
    table = pd.DataFrame({"at": np.arange(160), "y": np.sin(np.arange(160.0)) ** 3 + RNG.normal(scale=0.1, size=160)})
    losses = {}
    for loss in ("mae", "mse"):
        told = {"horizon": 4, "time": "at", "target": "y", "width": 4, "epochs": 1, "random_state": 0}
        losses[loss] = SegRNNForecaster(loss=loss, **told).fit(table).history_["loss"][0]
    assert losses["mae"] != losses["mse"]
