"""Columns -> tokens, one vector a column, and the attention that lets tokens talk (arXiv 2106.11959)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tabdl.layers import blocks, categories, numbers
from tabdl.spec import Inputs

FLAGS = 16  # flags up to which each is a token: text and gaps bring dozens, and attention costs their square


@keras.saving.register_keras_serializable("tabdl")
class Directions(keras.layers.Layer):
    """A number a column times a direction of its own: (rows, columns) -> (rows, columns, width)."""

    def __init__(self, width: int, **options: Any):
        super().__init__(**options)
        self.width = width

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1], self.width)
        self.linear = self.add_weight(shape=shape, initializer=_uniform(self.width), name="linear")

    def call(self, x: Any) -> Any:
        return ops.expand_dims(x, -1) * self.linear

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"width": self.width}


@keras.saving.register_keras_serializable("tabdl")
class Places(keras.layers.Layer):
    """Adds a vector a column, by which later layers know the columns apart; (rows, columns, width) both ways."""

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight(shape=input_shape[1:], initializer=_uniform(input_shape[-1]), name="bias")

    def call(self, x: Any) -> Any:
        return x + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@keras.saving.register_keras_serializable("tabdl")
class Summary(keras.layers.Layer):
    """Puts one learned token before the others: (rows, tokens, width) -> (rows, 1 + tokens, width)."""

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        self.token = self.add_weight(shape=(1, 1, width), initializer=_uniform(width), name="token")

    def call(self, x: Any) -> Any:
        first = ops.zeros_like(x[:, :1]) + self.token  # (rows, 1, width)
        return ops.concatenate([first, x], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        rows, steps, width = input_shape
        return (rows, steps + 1, width)


def _uniform(width: int) -> Any:
    return keras.initializers.RandomUniform(-(width**-0.5), width**-0.5)


def from_columns(inputs: Inputs, width: int, bins: int | None = None) -> Any:
    """A token a column: numbers, flags, categories (rows, columns, width); numbers piecewise linear if there are `bins`.

    More than `FLAGS` flags share one token, a linear map of all of them.
    """
    spec, parts = inputs.spec, []
    if inputs.numbers is not None and bins:
        encoded = numbers.piecewise_linear(inputs, bins, width)
        parts.append(ops.reshape(encoded, (-1, spec.numbers, width)))
    elif inputs.numbers is not None:
        parts.append(Directions(width)(inputs.numbers))
    if inputs.flags is not None and spec.flags > FLAGS:
        parts.append(ops.expand_dims(blocks.dense(inputs.flags, width), 1))
    elif inputs.flags is not None:
        parts.append(Directions(width)(inputs.flags))
    if inputs.categories is not None:
        parts.append(ops.reshape(categories.embed(inputs, width), (-1, len(spec.categories), width)))
    return Places()(parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1))  # (rows, columns, width)


def prepend_summary(x: Any) -> Any:
    """A learned token first, whose vector sums a row up: (rows, tokens, width) -> (rows, 1 + tokens, width)."""
    return Summary()(x)


def first(x: Any) -> Any:
    """The first token alone (rows, 1, width). Splitting has a cheap gradient, slicing has not."""
    return ops.split(x, [1], axis=1)[0]


def only(x: Any) -> Any:
    """A single token (rows, 1, width) as features (rows, width)."""
    return ops.squeeze(x, 1)


def attention(x: Any, heads: int, *, dropout: float = 0.0, asking: Any = None, mask: Any = None) -> Any:
    """Attention of the tokens `asking` (by default all) to the tokens x (rows, tokens, width), in `heads` subspaces.

    mask: (rows, tokens), 0 for tokens that nobody attends to.

    Written out, since a step is a quarter faster on two cores than with `keras.layers.MultiHeadAttention`.
    """
    asking = x if asking is None else asking
    width = x.shape[-1]
    size = max(1, width // heads)
    queries, keys, values = (_heads(blocks.dense(part, heads * size), heads) for part in (asking, x, x))
    scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * size**-0.5  # (rows, heads, asking, tokens)
    if mask is not None:
        scores = scores - 1e9 * (1 - ops.reshape(mask, (-1, 1, 1, x.shape[1])))
    shares = blocks.softmax(scores)
    shares = blocks.Dropout(dropout)(shares) if dropout else shares
    mixed = ops.transpose(ops.matmul(shares, values), (0, 2, 1, 3))  # (rows, asking, heads, size)
    return blocks.dense(ops.reshape(mixed, (-1, asking.shape[1], heads * size)), width)  # (rows, asking, width)


def _heads(x: Any, heads: int) -> Any:
    """(rows, tokens, heads * size) -> (rows, heads, tokens, size)."""
    split = ops.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads))
    return ops.transpose(split, (0, 2, 1, 3))


def gated_block(x: Any, hidden: int, *, dropout: float = 0.0) -> Any:
    """Linear(Dropout(Linear(x) * ReLU(Linear(x)))): ReGLU, arXiv 2002.05202."""
    h = blocks.dense(x, hidden) * keras.activations.relu(blocks.dense(x, hidden))  # (..., hidden)
    h = blocks.Dropout(dropout)(h) if dropout else h
    return blocks.dense(h, x.shape[-1])  # (..., width)


def attention_block(
    x: Any,
    heads: int,
    hidden: int,
    *,
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    norm: bool = True,
    summary: bool = False,
    mask: Any = None,
) -> Any:
    """Attention, then a gated block, each added to its input and normalised before it; `norm=False`: not before attention.

    summary: only the first token asks, and only it comes back, (rows, 1, width): all that the last block owes the head.
    mask: see `attention`.
    """
    known = blocks.normalize(x, "layer") if norm else x
    x, asking = (first(x), first(known)) if summary else (x, known)
    x = x + attention(known, heads, dropout=attention_dropout, asking=asking, mask=mask)
    return x + gated_block(blocks.normalize(x, "layer"), hidden, dropout=dropout)  # (rows, tokens or 1, width)
