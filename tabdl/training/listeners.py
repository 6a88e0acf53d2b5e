"""The user's Keras callbacks: copies of them hear every event and see a model with the current weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np


class Listeners:
    """Callbacks of one fit. `rate` is the learning rate they see; what they set it to scales the rest of the schedule."""

    def __init__(self, callbacks: list[Any], model: Any, rate: float, told: dict[str, int]):
        self.present, self.stopped, self.rate = bool(callbacks), False, rate
        if not callbacks:
            return
        import keras

        self.model = model
        self.variables = [*model.trainable_variables, *model.non_trainable_variables]
        self.model.optimizer, self.model.stop_training = keras.optimizers.SGD(rate), False
        self.list = keras.callbacks.CallbackList([copy.deepcopy(c) for c in callbacks], model=model, **told)

    def tell(self, arrays: list[np.ndarray], moment: str, *arguments: Any) -> tuple[bool, float]:
        """Show the weights, pass the event on; (whether weights were changed, factor of the learning rate).

        Changed weights are written into the list `arrays`.
        """
        for variable, array in zip(self.variables, arrays, strict=True):
            variable.assign(array)
        before = np.float32(self.rate)
        self.model.optimizer.learning_rate.assign(before)
        getattr(self.list, moment)(*arguments)
        after = float(self.model.optimizer.learning_rate.numpy())
        self.stopped = bool(self.model.stop_training)
        changed = False
        for i, variable in enumerate(self.variables):
            now = np.array(variable.numpy())
            if not np.array_equal(now, arrays[i], equal_nan=True):
                arrays[i], changed = now, True
        scale = after / before if after != before and before > 0 else 1.0
        self.rate *= scale
        return changed, float(scale)
