"""Rules of the optimisers, on all weights as one array: a dozen operations a step, however many layers there are.

A rule turns (gradient, slots, step, momentum, second) into (direction, slots): the weights then move by rate * direction.
Arrays have any shape; `step` counts from 1; `momentum` is the first moment's share of the past, `second` the second moment's.
"""

from __future__ import annotations

from typing import Any

from keras import ops

EPSILON = 1e-7


def adam(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    m, v = slots
    m, v = m + (g - m) * (1 - b1), v + (g * g - v) * (1 - b2)
    scale = ops.sqrt(1 - b2**t) / (1 - b1**t)
    return -scale * m / (ops.sqrt(v) + EPSILON), [m, v]


def nadam(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    """Adam that looks one step ahead (Dozat 2016)."""
    m, v = slots
    m, v = m + (g - m) * (1 - b1), v + (g * g - v) * (1 - b2)
    ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
    return -ahead / (ops.sqrt(v / (1 - b2**t)) + EPSILON), [m, v]


def adamax(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    m, u = slots
    m, u = m + (g - m) * (1 - b1), ops.maximum(b2 * u, ops.abs(g))
    return -m / ((1 - b1**t) * (u + EPSILON)), [m, u]


def sgd(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    velocity = b1 * slots[0] - g
    return velocity, [velocity]


def nesterov(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    velocity = b1 * slots[0] - g
    return b1 * velocity - g, [velocity]


def rmsprop(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    velocity, v = slots
    v = v + (g * g - v) * (1 - b2)
    velocity = b1 * velocity - g / (ops.sqrt(v) + EPSILON)
    return velocity, [velocity, v]


def adagrad(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    total = slots[0] + g * g
    return -g / (ops.sqrt(total) + EPSILON), [total]


def lion(g: Any, slots: list[Any], t: Any, b1: Any, b2: Any) -> Any:
    """Sign of the interpolated momentum (arXiv 2302.06675)."""
    m = slots[0]
    return -ops.sign(b1 * m + (1 - b1) * g), [b2 * m + (1 - b2) * g]
