"""Votes of the training rows that lie near a row in a learned space."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

FAR = -1e9  # log weight of an empty place in the memory


@keras.saving.register_keras_serializable("tabdl")
class SoftVote(keras.layers.Layer):
    """Average of the neighbours' targets, weighted by softmax(-distance) (ModernNCA, arXiv 2407.03257).

    In training the last `context` rows of a step are the neighbours of the rows before them, and get votes of zero; else the
    rows in memory are. Input z (rows, width), targets (rows, outputs), weight (rows,); output (rows, outputs).
    """

    def __init__(self, context: int, memory: int, **options: Any):
        super().__init__(**options)
        self.context, self.memory = context, memory

    def build(self, z_shape: Any, targets_shape: Any, weight_shape: Any) -> None:
        still = {"initializer": "zeros", "trainable": False}
        self.keys = self.add_weight(shape=(self.memory, z_shape[-1]), name="keys", **still)
        self.votes = self.add_weight(shape=(self.memory, targets_shape[-1]), name="votes", **still)
        self.log_weight = self.add_weight(shape=(self.memory,), name="log_weight", **still)

    def call(self, z: Any, targets: Any, weight: Any, training: bool = False) -> Any:
        if not training:
            return self._vote(z, self.keys, self.votes, self.log_weight)
        n = ops.shape(z)[0] - self.context
        near = self._vote(z[:n], z[n:], targets[n:], ops.log(ops.maximum(weight[n:], 1e-9)))
        return ops.concatenate([near, ops.zeros_like(targets[n:])], axis=0)

    def _vote(self, z: Any, keys: Any, votes: Any, log_weight: Any) -> Any:
        squared = ops.sum(z * z, axis=1, keepdims=True) + ops.sum(keys * keys, axis=1) - 2 * ops.matmul(z, ops.transpose(keys))
        distance = ops.sqrt(ops.maximum(squared, 1e-6))  # (rows, keys)
        return ops.matmul(ops.softmax(log_weight - distance, axis=1), votes)

    def remember(self, z: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
        """Values of the layer's variables that keep these rows."""
        keys, votes = np.zeros((self.memory, z.shape[1]), np.float32), np.zeros((self.memory, targets.shape[1]), np.float32)
        log_weight = np.full(self.memory, FAR, np.float32)
        keys[: len(z)], votes[: len(z)], log_weight[: len(z)] = z, targets, np.log(np.maximum(weight, 1e-9))
        return {"keys": keys, "votes": votes, "log_weight": log_weight}

    def compute_output_shape(self, z_shape: Any, targets_shape: Any, weight_shape: Any) -> Any:
        return (z_shape[0], targets_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"context": self.context, "memory": self.memory}


def vote(z: Any, inputs: Any, context: int, memory: int) -> Any:
    """Logits (rows, outputs) of the neighbours' vote."""
    head, target = inputs.head, inputs.target
    if head.link == "softmax":
        target = ops.one_hot(ops.cast(target[:, 0], "int32"), head.outputs)
    votes = SoftVote(context, memory)(z, target, inputs.weight)
    if head.link == "identity":
        return votes
    sure = 1e-3
    p = sure / 2 + votes * (1 - sure)
    return ops.log(p) - ops.log1p(-p) if head.link == "sigmoid" else ops.log(p)
