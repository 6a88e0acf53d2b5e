"""Layers with a member axis: x is (rows, members, width), every member has weights of its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("tabdl")
class Scale(keras.layers.Layer):
    """One random sign or normal scale a feature and member, the only difference between TabM-mini's members.

    Input (rows, width); output (rows, members, width). `groups` gives the width of each feature's block: one draw is
    repeated over it, as TabM does (arXiv 2410.24210).
    """

    def __init__(self, members: int, groups: tuple[int, ...], normal: bool = True, **options: Any):
        super().__init__(**options)
        self.members, self.groups, self.normal = members, tuple(groups), normal

    def build(self, input_shape: Any) -> None:
        def initial(shape: Any, dtype: Any = None) -> Any:
            drawn = keras.initializers.RandomNormal(stddev=1.0)((shape[0], len(self.groups)))
            drawn = drawn if self.normal else ops.sign(drawn)
            return ops.take(drawn, np.repeat(np.arange(len(self.groups), dtype="int32"), self.groups), axis=1)

        self.scale = self.add_weight(shape=(self.members, input_shape[-1]), initializer=initial, name="scale")

    def call(self, x: Any) -> Any:
        return ops.expand_dims(x, 1) * self.scale  # (rows, members, width)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.members, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"members": self.members, "groups": self.groups, "normal": self.normal}


@keras.saving.register_keras_serializable("tabdl")
class MemberDense(keras.layers.Layer):
    """An independent linear map a member: (rows, members, width) -> (rows, members, units)."""

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: Any) -> None:
        _, members, width = input_shape
        bound = width**-0.5
        uniform = keras.initializers.RandomUniform(-bound, bound)
        self.kernel = self.add_weight(shape=(members, width, self.units), initializer=uniform, name="kernel")
        self.bias = self.add_weight(shape=(members, self.units), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        if self.units == 1:  # a sum of products: the batched matrix product of one column is slower
            return ops.sum(x * self.kernel[:, :, 0], axis=-1, keepdims=True) + self.bias
        return ops.transpose(ops.matmul(ops.transpose(x, (1, 0, 2)), self.kernel), (1, 0, 2)) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("tabdl")
class EnsembleDense(keras.layers.Layer):
    """One linear map for all members, scaled a member at its inputs and outputs (BatchEnsemble, arXiv 2002.06715).

    (rows, members, width) -> (rows, members, units); the scales start at one, the biases at zero.
    """

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: Any) -> None:
        _, members, width = input_shape
        self.before = self.add_weight(shape=(members, width), initializer="ones", name="before")
        self.kernel = self.add_weight(shape=(width, self.units), initializer="he_uniform", name="kernel")
        self.after = self.add_weight(shape=(members, self.units), initializer="ones", name="after")
        self.bias = self.add_weight(shape=(members, self.units), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        return ops.matmul(x * self.before, self.kernel) * self.after + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


def head(features: Any, outputs: int) -> Any:
    """Last layer: one linear map, or one a member when features are (rows, members, width)."""
    return MemberDense(outputs)(features) if len(features.shape) == 3 else keras.layers.Dense(outputs)(features)
