"""What forecasting networks share: pieces of the past, pieces of what is to come, one number a step ahead."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tabdl.layers import blocks, categories
from tabdl.spec import Inputs


def as_channel(mask: Any) -> Any:
    """(rows, steps) -> (rows, steps, 1)."""
    return ops.expand_dims(mask, -1)


def known_of_series(inputs: Inputs) -> Any:
    """What stays the same for a series, (rows, columns), or None."""
    parts = [part for part in (inputs.numbers, inputs.flags, categories.embed(inputs)) if part is not None]
    return blocks.join(*parts) if parts else None


def add_future(found: Any, inputs: Inputs) -> Any:
    """Features of the past with what is known of the steps ahead and of the series: (rows, width) both ways."""
    future = inputs.future
    ahead = blocks.dense_block(ops.reshape(future, (-1, future.shape[1] * future.shape[2])), found.shape[-1])
    return blocks.dense_block(blocks.join(found, ahead, known_of_series(inputs)), found.shape[-1])


def past_pieces(x: Any, mask: Any, size: int) -> Any:
    """Pieces of `size` steps that end with the last step: (rows, steps, channels) -> (rows, pieces, size * (channels + 1)).

    The mask (rows, steps) is the last channel.
    """
    steps, channels = x.shape[1:]
    pieces = -(-steps // size)
    x = ops.pad(blocks.join(x, as_channel(mask)), ((0, 0), (pieces * size - steps, 0), (0, 0)))
    return ops.reshape(x, (-1, pieces, size * (channels + 1)))


def future_pieces(future: Any, size: int) -> Any:
    """Pieces of `size` steps ahead: (rows, horizon, future) -> (rows, pieces, size * future), the last filled with zeros."""
    horizon, width = future.shape[1:]
    pieces = -(-horizon // size)
    future = ops.pad(future, ((0, 0), (0, pieces * size - horizon), (0, 0)))
    return ops.reshape(future, (-1, pieces, size * width))


def unfold(pieces: Any, horizon: int) -> Any:
    """Numbers of each piece as steps ahead: (rows, pieces, size) -> (rows, horizon)."""
    return ops.reshape(pieces, (-1, pieces.shape[1] * pieces.shape[2]))[:, :horizon]


def repeat(x: Any, count: int) -> Any:
    """(rows, width) -> (rows, count, width)."""
    return ops.repeat(ops.expand_dims(x, 1), count, axis=1)


def dense_relu(x: Any, units: int) -> Any:
    return keras.activations.relu(blocks.dense(x, units))


def transpose(x: Any) -> Any:
    """(rows, steps, channels) -> (rows, channels, steps)."""
    return ops.transpose(x, (0, 2, 1))


def flatten(x: Any) -> Any:
    """(rows, steps, channels) -> (rows, steps * channels)."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2]))


def along_steps(first: Any, second: Any) -> Any:
    """One after the other: (rows, a, width) and (rows, b, width) -> (rows, a + b, width)."""
    return ops.concatenate([first, second], axis=1)


def average(*forecasts: Any) -> Any:
    """The mean of arrays of one shape."""
    return sum(forecasts[1:], forecasts[0]) / len(forecasts)
