"""Optimisers by name. The learning rate of each step and the weight decay are given at run time."""

from __future__ import annotations

from typing import Any

OPTIMIZERS = ("adam", "nadam", "adamax", "sgd", "nesterov", "rmsprop", "adagrad", "lion")


def make_optimizer(name: str, momentum: float, clip_norm: float | None) -> Any:
    """A Keras optimizer; `momentum` is beta_1 of the Adam family and of Lion."""
    import keras

    kinds = keras.optimizers
    own = {
        "adam": lambda **o: kinds.Adam(beta_1=momentum, beta_2=0.99, **o),
        "nadam": lambda **o: kinds.Nadam(beta_1=momentum, **o),
        "adamax": lambda **o: kinds.Adamax(beta_1=momentum, **o),
        "sgd": lambda **o: kinds.SGD(momentum=momentum, **o),
        "nesterov": lambda **o: kinds.SGD(momentum=momentum, nesterov=True, **o),
        "rmsprop": lambda **o: kinds.RMSprop(momentum=momentum, **o),
        "adagrad": lambda **o: kinds.Adagrad(**o),
        "lion": lambda **o: kinds.Lion(beta_1=max(momentum, 1e-7), **o),  # Keras refuses zero
    }
    return own[name](learning_rate=0.001, global_clipnorm=clip_norm)
