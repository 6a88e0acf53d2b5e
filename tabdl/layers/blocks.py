"""Dense blocks: a linear map, a norm, an activation, dropout."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

MASKS = 1_024


@cache
def _masks(units: int) -> np.ndarray:
    """Levels 0 to 255 in random order, uint8 (MASKS, units): each column has every level equally often."""
    levels = np.tile((np.arange(MASKS) % 256).astype(np.uint8), (units, 1))
    return np.ascontiguousarray(np.random.default_rng(units).permuted(levels, axis=1).T)


@keras.saving.register_keras_serializable("tabdl")
class Dropout(keras.layers.Layer):
    """Dropout whose rate, to 1/256, is a weight, so that networks differing only in it share their compiled functions.

    Each row draws one of `MASKS` fixed random masks: drawing every unit took half of a step of a 3 x 128 MLP.

    shared: whether a channel is switched off in all steps of a series (rows, steps, channels) at once.
    """

    def __init__(self, rate: float, shared: bool = False, **options: Any):
        super().__init__(**options)
        self.initial_rate, self.shared = rate, shared
        self.seed_generator = keras.random.SeedGenerator()
        self.supports_masking = True  # the steps that a recurrent layer skips stay skipped

    def build(self, input_shape: Any) -> None:
        start = keras.initializers.Constant(self.initial_rate)
        self.rate = self.add_weight(shape=(), initializer=start, trainable=False, name="rate")

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        drawn = keras.random.randint((ops.shape(x)[0],), 0, MASKS, seed=self.seed_generator)
        units = x.shape[2:] if self.shared else x.shape[1:]
        masks = ops.take(ops.convert_to_tensor(_masks(math.prod(units))), drawn, axis=0)
        level = ops.round(self.rate * 256.0)
        shape = (-1, 1, *units) if self.shared else (-1, *units)
        dropped = ops.reshape(masks, shape) < ops.cast(level, "uint8")
        return ops.where(dropped, 0.0, x * (256.0 / (256.0 - level)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.initial_rate, "shared": self.shared}


def join(*parts: Any) -> Any:
    """Concatenate the parts that exist along the last axis."""
    present = [part for part in parts if part is not None]
    return present[0] if len(present) == 1 else ops.concatenate(present, axis=-1)


def softmax(x: Any, axis: int = -1) -> Any:
    """Shares along an axis; where it has one place, that has it all, without a warning of Keras."""
    return 0 * x + 1 if x.shape[axis] == 1 else ops.softmax(x, axis=axis)


def dense(x: Any, units: int, *, initializer: str = "glorot_uniform", l1: float = 0.0, l2: float = 0.0) -> Any:
    """Linear map of the last axis, with optional penalties on its kernel."""
    penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
    return keras.layers.Dense(units, kernel_initializer=initializer, kernel_regularizer=penalty)(x)


def normalize(x: Any, norm: str | None) -> Any:
    """Batch or layer normalisation of the last axis; None leaves x as it is."""
    if norm is None:
        return x
    return keras.layers.BatchNormalization()(x) if norm == "batch" else keras.layers.LayerNormalization()(x)


def dense_block(
    x: Any,
    units: int,
    *,
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    initializer: str = "glorot_uniform",
    l1: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """Linear -> norm -> activation -> dropout; maxout takes the larger of two linear maps (arXiv 1302.4389)."""
    pieces = 2 if activation == "maxout" else 1
    x = dense(x, units * pieces, initializer=initializer, l1=l1, l2=l2)  # (..., pieces * units)
    x = normalize(x, norm)
    return activate(
        ops.maximum(*ops.split(x, 2, axis=-1)) if pieces == 2 else x, "linear" if pieces == 2 else activation, dropout
    )


def activate(x: Any, activation: str, dropout: float) -> Any:
    """Activation -> dropout."""
    x = x if activation == "linear" else keras.layers.Activation(activation)(x)
    return Dropout(dropout)(x) if dropout else x


def residual_block(x: Any, hidden: int, *, dropout: float, norm: str | None) -> Any:
    """x + Linear(Dropout(ReLU(Linear(norm(x))))): the block of arXiv 2106.11959."""
    width = x.shape[-1]
    h = dense_block(normalize(x, norm), hidden, dropout=dropout, initializer="he_normal")  # (rows, hidden)
    return x + dense(h, width)  # (rows, width)


def cross(start: Any, x: Any, rank: int | None = None) -> Any:
    """start * Linear(x) + x, the cross layer of DCN V2, arXiv 2008.13535; (rows, width) all three.

    rank: the map goes through as many units, where that takes fewer weights than a full kernel.
    """
    width = start.shape[-1]
    low = x if rank is None or 2 * rank >= width else keras.layers.Dense(rank, use_bias=False)(x)  # (rows, rank)
    return start * dense(low, width) + x


def normalize_relu(x: Any, norm: str | None) -> Any:
    """ReLU(norm(x)): what follows the last residual block."""
    return keras.activations.relu(normalize(x, norm))
