"""Layers whose weights start at data and move at rates of their own: RealMLP's parametrisation (arXiv 2407.04491).

A weight's `rate_factor` and `decay_factor` scale the learning rate and the weight decay, see `training.step.Layout`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tabdl.layers.blocks import Dropout

SLOW = 0.1  # rate factor of biases and activations
DRAWN = 5  # training rows that a bias lies between
FAR = 1e6  # standardised targets stay below: no limit before training
FLATTEST = 1e-4  # a unit that varies less is left as it is: dividing by its spread would only enlarge rounding


@keras.saving.register_keras_serializable("tabdl")
class FrontScale(keras.layers.Layer):
    """One factor a column, 1 at the start and quick to learn: a soft choice of columns."""

    def __init__(self, speed: float = 6.0, **options: Any):
        super().__init__(**options)
        self.speed = speed

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", name="scale")
        self.scale.rate_factor, self.scale.decay_factor = self.speed, self.speed**2

    def call(self, x: Any) -> Any:
        return x * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"speed": self.speed}


@keras.saving.register_keras_serializable("tabdl")
class NTKDense(keras.layers.Layer):
    """Linear map in the NTK parametrisation: x W / sqrt(width) + b, so that one learning rate suits all widths.

    `adapt_to` makes every unit's spread 1 on training rows and puts its zero between some of them (the paper's 'std' and 'he+5').
    """

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units
        self.normal = keras.initializers.RandomNormal(stddev=1.0)

    def build(self, input_shape: Any) -> None:
        self.factor = input_shape[-1] ** -0.5
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer=self.normal, name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.bias.rate_factor = SLOW

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.kernel * self.factor) + self.bias

    def adapt_to(self, values: np.ndarray, weight: np.ndarray | None, target: np.ndarray) -> None:
        """Set kernel and bias from what training rows show here: values (rows, width)."""
        kernel = ops.convert_to_numpy(self.kernel)
        before = values.astype(np.float64) @ kernel * self.factor  # (rows, units), without bias
        center = np.average(before, axis=0, weights=weight)
        spread = np.sqrt(np.average((before - center) ** 2, axis=0, weights=weight))
        spread = np.where(spread > FLATTEST, spread, 1.0)
        rng = np.random.default_rng(self.normal.seed)  # drawn from the seed of the fit, like the kernel
        share = None if weight is None else weight / weight.sum()
        rows = rng.choice(len(values), (DRAWN, self.units), p=share)
        parts = rng.dirichlet(np.ones(DRAWN), self.units).T  # (drawn, units), each unit's sum to 1
        self.kernel.assign(kernel / spread)
        self.bias.assign(-(parts * np.take_along_axis(before, rows, axis=0)).sum(axis=0) / spread)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("tabdl")
class ParametricActivation(keras.layers.Layer):
    """x + alpha (f(x) - x) with an alpha a unit, 1 at the start: each unit learns how far from linear it is."""

    def __init__(self, activation: str, **options: Any):
        super().__init__(**options)
        self.function = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        self.alpha = self.add_weight(shape=input_shape[-1:], initializer="ones", name="alpha")
        self.alpha.rate_factor, self.alpha.decay_factor = SLOW, SLOW**2

    def call(self, x: Any) -> Any:
        return x + self.alpha * (self.function(x) - x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": keras.activations.serialize(self.function)}


@keras.saving.register_keras_serializable("tabdl")
class Clamp(keras.layers.Layer):
    """Predictions stay in the range of the training rows' target; in training all is let through."""

    def build(self, input_shape: Any) -> None:
        for name, far in (("low", -FAR), ("high", FAR)):
            start = keras.initializers.Constant(far)
            setattr(self, name, self.add_weight(shape=input_shape[-1:], initializer=start, trainable=False, name=name))

    def call(self, x: Any, training: bool = False) -> Any:
        return x if training else ops.minimum(ops.maximum(x, self.low), self.high)

    def adapt_to(self, values: np.ndarray, weight: np.ndarray | None, target: np.ndarray) -> None:
        """Set the range to that of the target (rows, outputs)."""
        self.low.assign(target.min(axis=0))
        self.high.assign(target.max(axis=0))

    def widen(self, target: np.ndarray) -> None:
        """Let the range hold further training rows' target (rows, outputs) too."""
        self.low.assign(np.minimum(ops.convert_to_numpy(self.low), target.min(axis=0)))
        self.high.assign(np.maximum(ops.convert_to_numpy(self.high), target.max(axis=0)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def scaled_block(x: Any, units: int, *, activation: str, dropout: float) -> Any:
    """NTK linear map -> parametric activation -> dropout."""
    x = ParametricActivation(activation)(NTKDense(units)(x))  # (rows, units)
    return Dropout(dropout)(x) if dropout else x
