"""What a user passes as `random_state`, and the random numbers that come of it."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from tabdl.errors import ParameterError


def generator(random_state: Any) -> np.random.Generator:
    """A generator of our own: an int seeds it, a given Generator is used, a given RandomState gives it a seed."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31, size=4, dtype=np.int64))
    if random_state is None or (isinstance(random_state, Integral) and int(random_state) >= 0):
        return np.random.default_rng(None if random_state is None else int(random_state))
    raise ParameterError(
        "random_state should be None, a whole number >= 0, a numpy Generator or a RandomState, "
        f"received {random_state!r}; pass for example random_state=0"
    )


def check_count(name: str, value: Any, unit: str) -> int:
    """A whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ParameterError(f"{name} should be a whole number of {unit}, 1 or more, received {value!r}")
    return int(value)
