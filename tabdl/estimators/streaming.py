"""Rows that stay in a Parquet file: a sample to learn columns from, then all of them, piece by piece."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.estimators.rows import ALL_ZERO, Rows, cells_of, check_features, check_weight, derive, take_column
from tabdl.frames import Frame, read_frame
from tabdl.parquet import Parquet, stacked

if TYPE_CHECKING:
    from tabdl.training.blocks import Blocks

SAMPLE = 100_000  # rows from which columns are learned; a file of no more is read as a whole
HELD = 20_000  # most rows held out of it


@dataclass(frozen=True)
class Stream:
    """What rows a file has beyond those in memory.

    numbers: of the rows in memory, as they stand in the file, ascending; held: of those that are never trained on.
    rows: how many are trained on in a pass. counted: {class: weight of its rows}, empty for numbers.
    """

    table: Parquet
    y: str
    weight: str | None
    numbers: np.ndarray
    rows: int
    dtype: Any
    counted: dict[Any, float]
    held: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def classes(self) -> np.ndarray:
        """All distinct values of y in the file, ascending."""
        return np.unique(np.array(list(self.counted), dtype=self.dtype))

    def hold_out(self, rest: np.ndarray) -> Stream:
        """Without some of the rows in memory."""
        kept = np.delete(self.numbers, rest)
        return replace(self, numbers=kept, held=self.numbers[rest], rows=self.rows - len(rest))

    def pieces(self, seed: int, columns: list[str]) -> Iterator[tuple[str, Rows]]:
        """One pass over the training rows: (where they stand, some of them), shuffled; only these columns are read."""
        names = [*columns, self.y, *([] if self.weight is None else [self.weight])]
        for numbers, batch in self.table.shuffled(seed, names):
            rows, keep = read_targets(batch, self.y, self.weight)
            at = np.searchsorted(self.held, numbers)
            keep &= np.append(self.held, -1)[at] != numbers
            rows.y = rows.y.astype(self.dtype, copy=False)
            place = f"among rows {numbers[0]:,} to {numbers[-1]:,} of {self.table.path}"
            if keep.any():
                yield place, replace(rows if keep.all() else rows.take(np.flatnonzero(keep)), stream=self)


def read_targets(batch: Any, y: str, weight: str | None) -> tuple[Rows, np.ndarray]:
    """(rows with target and weight taken out of the columns, which of them have a weight above 0)."""
    frame, target, order = take_column(read_frame(batch), y, "y")
    if weight is None:
        return Rows(frame, target, None, order), np.ones(frame.rows, bool)
    frame, cells, _ = take_column(frame, weight, "sample_weight")
    checked = check_weight(cells, frame.rows)
    return Rows(frame, target, checked, order), checked > 0


def check_names(table: Parquet, y: Any, weight: Any) -> None:
    """y and sample_weight of a Parquet file are names of its columns."""
    header = _header(table)
    for role, name in (("y", y), ("sample_weight", weight)):
        if isinstance(name, str):
            header, _, _ = take_column(header, name, role)
        elif role == "y" or name is not None:
            raise ParameterError(
                f"{role} expects the name of a column where X is a tabdl.Parquet, received {type(name).__name__}; "
                f"write it into the file as a column, or read the file into memory"
            )
    check_features(header)


def _header(table: Parquet) -> Frame:
    return Frame(dict.fromkeys(table.columns, np.zeros(0)), 0)


def named_cells(estimator: Any, X: Any, cells: Any, role: str) -> Any:
    """`cells_of`, of a Parquet file too."""
    if isinstance(X, Parquet) and getattr(estimator, "id", None) is not None:
        X = X.read()
    elif isinstance(X, Parquet) and isinstance(cells, str):
        take_column(_header(X), cells, role)
        X = stacked([batch for _, batch in X.batches([cells])])
    return cells_of(estimator, X, cells, role)


def check_seed(table: Parquet, seed: int | None) -> int:
    """Only the X of `fit` may stay in a file."""
    if seed is None:
        raise ParameterError(
            f"expected rows that fit into memory in X_val and partial_fit, received {table.path} with {table.rows:,}, more than "
            f"{SAMPLE:,}; read a part of it"
        )
    return seed


def refuse_long(X_val: Any) -> None:
    """Before anything is read."""
    if isinstance(X_val, Parquet) and X_val.rows > SAMPLE:
        check_seed(X_val, None)


def check_options(estimator: Any, table: Parquet) -> None:
    """What a fit needs all rows in memory for; told before any is read."""
    for name, allowed in (("bagging", (1, "auto")), ("checkpoint", (None,)), ("id", (None,))):
        value = getattr(estimator, name, None)
        if value not in allowed:
            raise ParameterError(
                f"{name}={value!r} expects rows in memory, received {table.path} with more than {SAMPLE:,} rows; "
                f"leave {name} out, or read the file and fit the table"
            )


def begin(estimator: Any, table: Parquet, y: str, weight: str | None, seed: int | None) -> Rows:
    """A `sample` as the network reads it; what keeps the file from being one is told before."""
    seed = check_seed(table, seed)
    check_options(estimator, table)
    rows = sample(table, y, weight, estimator._check_y, hasattr(estimator, "predict_proba"), seed)
    return replace(rows, frame=estimator.as_series(rows.frame))


def sample(table: Parquet, y: str, weight: str | None, check_y: Callable[[Any], np.ndarray], classes: bool, seed: int) -> Rows:
    """`SAMPLE` rows drawn at random from those of a larger file that count, with the `Stream` of all; every y is checked.

    classes: whether y holds classes, all of which are found.
    """
    rng = np.random.default_rng(derive(seed, "sample"))
    total = _counted(table, weight)
    chosen = np.sort(rng.choice(total, min(SAMPLE, total), replace=False, shuffle=False))  # numbers among rows that count
    kept, numbers, counted, count = [], [], Counter(), 0
    for first, batch in table.batches():
        told, counts = read_targets(batch.select([name for name in batch.column_names if name in (y, weight)]), y, weight)
        place = np.flatnonzero(counts)
        own = place[chosen[slice(*np.searchsorted(chosen, (count, count + len(place))))] - count]
        kept.append(batch.take(own))
        numbers.append(first + own)
        target = _quietly(check_y, told.y)[counts]
        count += len(target)
        if classes:
            values, codes = np.unique(target, return_inverse=True)
            shares = np.bincount(codes, None if told.weight is None else told.weight[counts], len(values))
            counted.update(dict(zip(values.tolist(), shares.tolist(), strict=True)))
    if len(counted) > total / 2:
        warnings.warn(f"y={y!r} has {len(counted):,} classes in {total:,} rows; are these numbers? use a Regressor", stacklevel=2)
    rows, _ = read_targets(stacked(kept), y, weight)
    rows.y = _quietly(check_y, rows.y)
    return replace(rows, stream=Stream(table, y, weight, np.concatenate(numbers), total, rows.y.dtype, dict(counted)))


def _quietly(check_y: Callable[[Any], np.ndarray], y: np.ndarray) -> np.ndarray:
    """Some rows may have many classes, all rows few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_y(y)


def _counted(table: Parquet, weight: str | None) -> int:
    """Rows of weight above 0."""
    if weight is None:
        return table.rows
    cells = (take_column(read_frame(batch), weight, "sample_weight")[1] for _, batch in table.batches([weight]))
    total = sum(np.count_nonzero(check_weight(own, len(own))) for own in cells)
    if not total:
        raise ParameterError(ALL_ZERO)
    return int(total)


def make_blocks(estimator: Any, rows: Rows, encoder: TableEncoder, scale: float) -> Blocks | None:
    """Encoded blocks of all rows of the file; None for rows in memory. scale: mean weight of the rows in memory."""
    from tabdl.training import blocks

    stream = rows.stream
    if stream is None:
        return None
    columns = list(estimator.feature_names_in_) if estimator._from_steps else [column.name for column in encoder.columns]

    def pieces(seed: int) -> Iterator[dict[str, np.ndarray]]:
        for place, part in stream.pieces(seed, columns):
            try:
                arrays = encoder.encode(estimator.as_series(part.frame), owner=type(estimator).__name__)
                weight = estimator._row_weights(part)
                target = estimator.target_.encode(part.y)
            except (SchemaError, TargetError) as error:
                raise type(error)(f"{error} ({place})") from error
            weight = np.ones(len(part.y)) if weight is None else weight / scale
            yield arrays | {"target": target, "weight": weight.astype(np.float32)}

    return blocks.Blocks(stream.rows, blocks.SIZE, pieces)
