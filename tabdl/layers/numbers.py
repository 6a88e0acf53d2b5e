"""Scaled numbers -> vectors: piecewise-linear encodings with bins learned from the training rows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tabdl.quantiles import weighted_quantiles
from tabdl.spec import Inputs

NARROWEST = 1e-5  # bins below it drown in float32's rounding: x * slope + shift is a difference of large numbers


@keras.saving.register_keras_serializable("tabdl")
class PiecewiseLinear(keras.layers.Layer):
    """Piecewise-linear embedding, version B (Gorishniy et al., arXiv 2203.05556; zero-initialised as in TabM, arXiv 2410.24210).

    Each number x becomes u x + v + PLE(x) A with PLE(x)_i = (x - b_i) / (b_{i+1} - b_i) clipped to [0, 1]; the first
    component is not clipped below, the last not above. Input (rows, columns); output (rows, columns * width).
    The edges b come from the training rows (`bin_edges`): weights that `adapt_to` sets and no optimiser changes.
    """

    def __init__(self, bins: int, width: int, **options: Any):
        super().__init__(**options)
        self.bins, self.width = bins, width

    def build(self, input_shape: Any) -> None:
        columns = input_shape[-1]
        bound = self.width**-0.5
        uniform = keras.initializers.RandomUniform(-bound, bound)
        still = {"initializer": "zeros", "trainable": False}
        self.slope = self.add_weight(shape=(columns, self.bins), name="slope", **still)  # 1 / bin size, 0 for an unused bin
        self.shift = self.add_weight(shape=(columns, self.bins), name="shift", **still)  # - left edge / bin size
        self.low = self.add_weight(shape=(columns, self.bins), name="low", **still)  # clipping from below
        self.high = self.add_weight(shape=(columns, self.bins), name="high", **still)  # clipping from above
        self.kernel = self.add_weight(shape=(columns, self.bins, self.width), initializer="zeros", name="kernel")
        self.linear = self.add_weight(shape=(columns, self.width), initializer=uniform, name="linear")
        self.bias = self.add_weight(shape=(columns, self.width), initializer=uniform, name="bias")

    def call(self, x: Any) -> Any:
        parts = ops.expand_dims(x, -1) * self.slope + self.shift  # (rows, columns, bins)
        parts = ops.minimum(ops.maximum(parts, self.low), self.high)
        parts = ops.transpose(parts, (1, 0, 2))  # (columns, rows, bins)
        encoded = ops.transpose(ops.matmul(parts, self.kernel), (1, 0, 2))  # (rows, columns, width)
        embedded = encoded + ops.expand_dims(x, -1) * self.linear + self.bias
        return ops.reshape(embedded, (-1, x.shape[1] * self.width))  # (rows, columns * width)

    def adapt_to(self, values: np.ndarray, weight: np.ndarray | None, target: np.ndarray) -> None:
        """Set the edges from the training rows: values (rows, columns), target (rows, outputs)."""
        slope, shift, low, high = np.zeros((4, values.shape[1], self.bins), np.float32)
        for j in range(values.shape[1]):
            edges = bin_edges(values[:, j], weight, target, self.bins)
            used = len(edges) - 1
            if used < 1:
                continue
            size = np.diff(edges)
            slope[j, :used], shift[j, :used], high[j, :used] = 1 / size, -edges[:-1] / size, 1
            low[j, 0], high[j, used - 1] = -np.inf, np.inf
        far = np.float32(1e6)  # scaled numbers stay in (-3, 3): never reached, and finite in a file
        for variable, array in zip((self.slope, self.shift, self.low, self.high), (slope, shift, low, high), strict=True):
            variable.assign(np.clip(array, -far, far))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[1] * self.width)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"bins": self.bins, "width": self.width}


@keras.saving.register_keras_serializable("tabdl")
class Periodic(keras.layers.Layer):
    """Periodic embedding (PBLD of RealMLP, arXiv 2407.04491; after arXiv 2203.05556).

    Each number x becomes x itself and a linear map of cos(2 pi w x + b), w ~ N(0, sigma^2), b ~ U(-pi, pi).
    Input (rows, columns); output (rows, columns * width).
    """

    def __init__(self, width: int, frequencies: int = 16, sigma: float = 0.1, speed: float = 1.0, **options: Any):
        super().__init__(**options)
        self.width, self.frequencies, self.sigma, self.speed = width, frequencies, sigma, speed

    def build(self, input_shape: Any) -> None:
        columns, uniform = input_shape[-1], keras.initializers.RandomUniform
        normal, bound = keras.initializers.RandomNormal(stddev=self.sigma), self.frequencies**-0.5
        shape, inner = (columns, self.frequencies), self.width - 1
        self.frequency = self.add_weight(shape=shape, initializer=normal, name="frequency")
        self.phase = self.add_weight(shape=shape, initializer=uniform(-np.pi, np.pi), name="phase")
        self.linear = self.add_weight(shape=(*shape, inner), initializer=uniform(-bound, bound), name="linear")
        self.bias = self.add_weight(shape=(columns, inner), initializer=uniform(-bound, bound), name="bias")
        for weight in (self.frequency, self.phase, self.linear, self.bias):
            weight.rate_factor = self.speed

    def call(self, x: Any) -> Any:
        waves = ops.cos(2 * np.pi * ops.expand_dims(x, -1) * self.frequency + self.phase)  # (rows, columns, frequencies)
        mapped = ops.transpose(ops.matmul(ops.transpose(waves, (1, 0, 2)), self.linear), (1, 0, 2)) + self.bias
        joined = ops.concatenate([ops.expand_dims(x, -1), mapped], axis=-1)  # (rows, columns, width)
        return ops.reshape(joined, (-1, x.shape[1] * self.width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[1] * self.width)

    def get_config(self) -> dict[str, Any]:
        own = {"width": self.width, "frequencies": self.frequencies, "sigma": self.sigma, "speed": self.speed}
        return super().get_config() | own


def bin_edges(values: np.ndarray, weight: np.ndarray | None, target: np.ndarray, bins: int) -> np.ndarray:
    """Ascending edges of at most `bins` bins: half of them quantiles, half where a tree on this column alone splits.

    Quantiles follow the rows, splits the target: spikes such as a capital gain of 7,688 lie between two quantiles. On
    validation rows, two seeds, against 32 quantiles alone: adult AUC .9233 -> .9295, california RMSE unchanged at .460 with 48.
    """
    from sklearn.tree import DecisionTreeRegressor

    splits = bins // 2
    levels = np.linspace(0, 1, bins - splits + 1)
    quantiles = weighted_quantiles(values, levels, weight).astype(np.float64)
    tree = DecisionTreeRegressor(max_leaf_nodes=splits + 1, min_weight_fraction_leaf=0.002, random_state=0)
    nodes = tree.fit(values[:, None], target, weight).tree_
    edges = np.unique(np.concatenate([quantiles, nodes.threshold[nodes.feature >= 0]]))
    return edges[np.diff(edges, prepend=-np.inf) > NARROWEST]


def piecewise_linear(inputs: Inputs, bins: int, width: int) -> Any:
    """Piecewise-linear embedding of all numbers (rows, numbers * width), or None without numbers."""
    return None if inputs.numbers is None else PiecewiseLinear(bins, width)(inputs.numbers)


def periodic(inputs: Inputs, width: int, frequencies: int = 16, sigma: float = 0.1, speed: float = 1.0) -> Any:
    """Periodic embedding of all numbers (rows, numbers * width), or None without numbers."""
    return None if inputs.numbers is None else Periodic(width, frequencies, sigma, speed)(inputs.numbers)
