"""Optimisers by name: how many arrays of the size of the weights they keep, and where those start."""

from __future__ import annotations

OPTIMIZERS = {  # name -> (arrays, their first value); the rules are in `training.rules`
    "adam": (2, 0.0),
    "nadam": (2, 0.0),
    "adamax": (2, 0.0),
    "sgd": (1, 0.0),
    "nesterov": (1, 0.0),
    "rmsprop": (2, 0.0),
    "adagrad": (1, 0.1),
    "lion": (1, 0.0),
}
