"""Categories -> vectors. Code 0 is a missing cell, code 1 a value not seen in fit; both start at zero."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tabdl.spec import Inputs, Spec

NARROW = 40  # codes up to which a column is one-hot: on validation rows better than vectors, in one comparison
HIDDEN = 0.2  # share of the cells of wide columns that a training step hides
NEARLY_ONE = 1 - 2.0**-20


def embedding_width(codes: int) -> int:
    """Width of an entity embedding: 1.6 * codes^0.56, between 2 and 32 (the rule of fastai's tabular learner)."""
    return int(np.clip(round(1.6 * codes**0.56), 2, 32))


@keras.saving.register_keras_serializable("tabdl")
class Unseen(keras.layers.Layer):
    """Cells of columns with more than `NARROW` codes become code 1; int (rows, columns) both ways.

    High cardinality invites learning by heart. A training step hides a share of the cells: on validation rows R2 of
    employee_salaries .906 -> .928. With share None, `give_up` hides codes of too few rows, in predictions too.
    """

    def __init__(self, share: float | None, codes: tuple[int, ...], **options: Any):
        super().__init__(**options)
        self.fixed, self.codes = share, tuple(codes)
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        self.starts = np.concatenate([[0], np.cumsum(self.codes)[:-1]]).astype("int32")
        start = np.repeat([HIDDEN if self.fixed is None else self.fixed] * len(self.codes), self.codes)
        start[np.repeat(self.codes, self.codes) <= NARROW] = 0.0
        shape = (len(start),)  # of all codes, one column after the other; 1: given up
        self.share = self.add_weight(shape=shape, initializer=lambda *_, **__: start, trainable=False, name="share")

    def call(self, codes: Any, training: bool = False) -> Any:
        share = ops.take(self.share, codes + self.starts)  # (rows, columns)
        drawn = keras.random.uniform(ops.shape(codes), seed=self.seed_generator) if training else NEARLY_ONE
        return ops.where(drawn < share, ops.ones_like(codes), codes)

    def give_up(self, supported: dict[int, np.ndarray]) -> None:
        """Hide all but the supported codes for good, bool (codes,) by place of a wide column, unless the share is given."""
        share = ops.convert_to_numpy(self.share).copy()
        for j, kept in supported.items():
            always = np.where(kept, HIDDEN, 1.0)
            share[self.starts[j] :][: self.codes[j]] = always if self.fixed is None else self.fixed
        self.share.assign(share)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"share": self.fixed, "codes": self.codes}


@keras.saving.register_keras_serializable("tabdl")
class Embeddings(keras.layers.Layer):
    """Entity embeddings of all category columns in one table: one gather, one gradient (arXiv 1604.06737).

    Input int (rows, columns); output float32 (rows, sum of widths).
    """

    def __init__(self, codes: tuple[int, ...], widths: tuple[int, ...], scale: float = 0.1, **options: Any):
        super().__init__(**options)
        self.codes, self.widths, self.scale = tuple(codes), tuple(widths), scale

    def build(self, input_shape: Any) -> None:
        """One table a distinct width; columns of the same width share it, each with its own rows."""
        self.groups = []  # (columns, offsets, table)
        for width in sorted(set(self.widths)):
            columns = [j for j, w in enumerate(self.widths) if w == width]
            sizes = [self.codes[j] for j in columns]
            offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("int32")
            normal = keras.initializers.RandomNormal(stddev=self.scale)  # one a table: a shared one repeats its values

            def initial(shape: Any, dtype: Any = None, offsets: Any = offsets, normal: Any = normal) -> Any:
                keep = np.ones(shape[:1] + (1,), "float32")
                keep[np.concatenate([offsets, offsets + 1])] = 0.0
                return normal(shape, dtype=dtype) * keep

            table = self.add_weight(shape=(int(sum(sizes)), width), initializer=initial, name=f"table_{width}")
            self.groups.append((columns, offsets, table))

    def call(self, codes: Any) -> Any:
        parts: dict[int, Any] = {}
        for columns, offsets, table in self.groups:
            picked = ops.take(codes, np.array(columns, "int32"), axis=1) + offsets  # (rows, columns of this width)
            vectors = ops.take(table, picked, axis=0)  # (rows, columns of this width, width)
            parts |= {j: vectors[:, i] for i, j in enumerate(columns)}
        if len(self.groups) == 1:
            return ops.reshape(vectors, (-1, sum(self.widths)))
        return ops.concatenate([parts[j] for j in range(len(self.widths))], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], sum(self.widths))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"codes": self.codes, "widths": self.widths, "scale": self.scale}


def embed(inputs: Inputs, width: int | None = None) -> Any:
    """All category columns as vectors (rows, sum of widths), or None without such columns."""
    if inputs.categories is None:
        return None
    codes = inputs.spec.categories
    widths = tuple(width or embedding_width(n) for n in codes)
    return Embeddings(codes, widths)(inputs.categories)


def one_hot(inputs: Inputs) -> Any:
    """Columns of up to `NARROW` codes one-hot, then wider ones embedded; unseen is all zeros, a gap has a place of its own."""
    if inputs.categories is None:
        return None
    codes = inputs.spec.categories
    narrow, wide = _by_width(codes)
    column = np.repeat(narrow, [codes[j] - 1 for j in narrow]).astype("int32")
    value = np.concatenate([[0, *range(2, codes[j])] for j in narrow] or [[]]).astype("int32")
    parts = []
    if narrow:
        parts.append(ops.cast(ops.equal(ops.take(inputs.categories, column, axis=1), value), "float32"))  # (rows, places)
    if wide:
        picked = ops.take(inputs.categories, np.array(wide, "int32"), axis=1)
        parts.append(embed(Inputs(Spec(categories=tuple(codes[j] for j in wide)), categories=picked)))
    return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def signs_or_vectors(inputs: Inputs, most: int, width: int) -> Any:
    """RealMLP's categories (arXiv 2407.04491): two values are one column of -1 and 1, up to `most` one-hot, more are embedded.

    A gap or an unseen value is zeros. Output (rows, places), or None where no column has a place.
    """
    codes, nothing = inputs.spec.categories, 0
    places = []  # (column, code that is 1, code that is -1)
    for j, n in enumerate(codes):
        if n <= most + 2:
            places += [(j, 3, 2)] if n == 4 else [(j, code, nothing) for code in range(2, n)]
    wide = [j for j, n in enumerate(codes) if n > most + 2]
    parts = []
    if places:
        column, up, down = np.array(places, "int32").T
        picked = ops.take(inputs.categories, column, axis=1)  # (rows, places)
        below = ops.logical_and(ops.equal(picked, down), down > nothing)
        parts.append(ops.cast(ops.equal(picked, up), "float32") - ops.cast(below, "float32"))
    if wide:
        picked = ops.take(inputs.categories, np.array(wide, "int32"), axis=1)
        parts.append(Embeddings(tuple(codes[j] for j in wide), (width,) * len(wide), scale=1.0)(picked))
    return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0] if parts else None


def one_hot_widths(codes: tuple[int, ...]) -> tuple[int, ...]:
    """Width of each column's block in the output of `one_hot`, in its order."""
    narrow, wide = _by_width(codes)
    return tuple(codes[j] - 1 for j in narrow) + tuple(embedding_width(codes[j]) for j in wide)


def _by_width(codes: tuple[int, ...]) -> tuple[list[int], list[int]]:
    narrow = [j for j, n in enumerate(codes) if n <= NARROW]
    return narrow, [j for j, n in enumerate(codes) if n > NARROW]
