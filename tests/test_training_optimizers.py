"""The table of optimisers and the rules belong together; what a step of each looks like is in test_training_rules.py."""

from __future__ import annotations

import inspect

import keras
import numpy as np

from tabdl import MLPClassifier
from tabdl.training import rules
from tabdl.training.optimizers import OPTIMIZERS


def test_every_rule_is_listed_and_every_listed_rule_is_there():
    own = {name for name, value in vars(rules).items() if inspect.isfunction(value) and value.__module__ == rules.__name__}
    assert own == set(OPTIMIZERS) == set(MLPClassifier.fields["optimizer"].options)


def test_a_rule_gives_back_as_many_arrays_as_it_takes():
    for name, (count, first) in OPTIMIZERS.items():
        numbers = [keras.ops.convert_to_tensor(np.float32(x)) for x in (1.0, 0.9, 0.99)]  # step, momentum, second moment
        slots = [np.full(3, first, np.float32) for _ in range(count)]
        direction, moved = getattr(rules, name)(np.ones(3, np.float32), slots, *numbers)
        assert len(moved) == count, name
        assert direction.shape == (3,), name


def test_only_adagrad_starts_above_zero():
    """As in Keras: its first steps would be of any size otherwise."""
    assert {name: first for name, (_, first) in OPTIMIZERS.items() if first} == {"adagrad": 0.1}
