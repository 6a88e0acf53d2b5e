"""One update of a network's weights, written once for all backends, for one copy of the network or several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from tabdl.training import rules
from tabdl.training.optimizers import OPTIMIZERS

KNOBS = ("weight_decay", "clip_norm", "momentum", "second_moment")  # numbers that a step takes at run time
DECAYED = ("kernel", "recurrent_kernel", "embeddings", "table")  # first part of the names of weights that decay
FADING = "rate"  # name of the weights that follow the schedule's `fade`: shares of dropout


class Layout:
    """The trainable weights of a model as one vector, so that an update costs a dozen operations instead of a dozen a layer."""

    def __init__(self, model: Any):
        variables = model.trainable_variables
        self.shapes = [tuple(v.shape) for v in variables]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.size = sum(self.sizes)
        self.decay = self._spread([getattr(v, "decay_factor", float(decays(v))) for v in variables])
        self.speed = self._spread([getattr(v, "rate_factor", 1.0) for v in variables])

    def _spread(self, values: list[float]) -> np.ndarray:
        """One number a variable -> one a weight (weights,)."""
        return np.repeat(np.array(values, np.float32), self.sizes)

    def join(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Arrays of one model -> (weights,)."""
        return np.concatenate([np.zeros(0, np.float32), *(np.ravel(a) for a in arrays)])

    def split(self, flat: Any) -> list[Any]:
        """(weights,) -> arrays or tensors in their shapes."""
        cuts = np.cumsum(self.sizes)[:-1].tolist()
        parts = np.split(flat, cuts) if isinstance(flat, np.ndarray) else ops.split(flat, cuts)
        reshape = np.reshape if isinstance(flat, np.ndarray) else ops.reshape
        return [reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]


def decays(variable: Any) -> bool:
    """Kernels and embedding tables decay; biases, norms and scales do not."""
    return variable.name.split("_")[0] in DECAYED or variable.name in DECAYED


class Step:
    """What a compiled training function repeats; layers may set `rate_factor` and `decay_factor` on their weights.

    fused: whether TensorFlow compiles it with XLA.
    """

    ran: Any = None  # the plan and the rows that it was last compiled for

    knobs = KNOBS

    def __init__(self, model: Any, optimizer: str, loss: Callable[[Any, Any], Any], fused: bool = False):
        self.fused = fused
        self.model, self.loss, self.layout = model, loss, Layout(model)
        self.rule, (self.slots, self.start) = getattr(rules, optimizer), OPTIMIZERS[optimizer]
        self.fading = [v.name == FADING for v in model.non_trainable_variables]

    def initial_state(self, copies: int) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """(flat (copies, weights), slots and count of steps, other variables (copies, ...)), with weights of zero."""
        flat = np.zeros((copies, self.layout.size), np.float32)
        slots = [np.full_like(flat, self.start) for _ in range(self.slots)]
        fixed = [np.zeros((copies, *v.shape), np.array(v.numpy()).dtype) for v in self.model.non_trainable_variables]
        return flat, [*slots, np.zeros((), np.float32)], fixed

    def objective(self, flat: Any, fixed: list[Any], batch: dict[str, Any], keep: Any, fade: Any) -> tuple[Any, Any, list[Any]]:
        """(loss with penalties, loss, other variables) of one copy: flat (weights,), batch of one step, keep (rows,)."""
        shown = [v * fade if fading else v for v, fading in zip(fixed, self.fading, strict=True)]
        inputs = {k: batch[k] for k in self.model.input}
        logits, new, penalties = self.model.stateless_call(
            self.layout.split(flat), shown, inputs, training=True, return_losses=True
        )
        rows = self.loss(batch["target"], logits) * batch["weight"] * keep
        value = ops.sum(rows) / ops.maximum(ops.sum(keep), 1.0)
        new = [old if fading else v for old, v, fading in zip(fixed, new, self.fading, strict=True)]
        return value + sum(penalties), value, new

    def update(self, flat: Any, slots: list[Any], gradient: Any, rate: Any, fade: Any, knobs: Any) -> tuple[Any, list[Any]]:
        """Weights (copies, weights) after one step; each copy's gradient is clipped on its own."""
        norm = ops.sqrt(ops.sum(gradient * gradient, axis=1, keepdims=True))
        gradient = gradient * ops.minimum(1.0, knobs[1] / ops.maximum(norm, 1e-12))
        step = slots[-1] + 1.0
        direction, moved = self.rule(gradient, slots[:-1], step, knobs[2], knobs[3])
        decay, speed = ops.convert_to_tensor(self.layout.decay), ops.convert_to_tensor(self.layout.speed)
        return flat * (1.0 - decay * (rate * fade * knobs[0])) + speed * rate * direction, [*moved, step]
