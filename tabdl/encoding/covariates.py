"""Columns beside the target of a series -> numbers: scaled numbers, a column of 0 and 1 for each value of a category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tabdl.encoding.columns import UNSEEN, codes_of, lookup_of
from tabdl.errors import SchemaError
from tabdl.frames import Frame
from tabdl.inference import Cells, Column, gaps_of, infer_column, parse_numbers
from tabdl.schema import Schema

MOST_VALUES = 32  # of a category; the rest are zeros, as unseen values are
NUMBERS = ("number", "count", "date")


@dataclass(frozen=True)
class Covariates:
    """columns: what they are. centre, scale: (columns,), of those that are numbers."""

    columns: tuple[Column, ...] = ()
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @classmethod
    def learn(cls, frame: Frame, names: Sequence[str]) -> Covariates:
        columns, centres, scales = [], [], []
        for name in names:
            cells = Cells(name, frame.columns[name], None, frame.orders.get(name), name in frame.categorical)
            column = infer_column(cells)
            one = column.kind == "boolean" and column.missing and len(cells.frequencies()) == 1  # true, or nothing
            if one or column.kind in ("identifier", "constant", "text"):
                column = infer_column(cells, "category" if frame.columns[name].dtype == object else "number")
            columns.append(column)
            codes = _codes(column, frame.columns[name])
            known = codes[~np.isnan(codes)] if column.kind in NUMBERS else np.zeros(0)
            centres.append(float(known.mean()) if len(known) else 0.0)
            deviation = float(known.std()) if len(known) else 0.0
            scales.append(deviation if deviation > 1e-9 * abs(centres[-1]) else 1.0)
        return cls(tuple(columns), tuple(centres), tuple(scales))

    def first(self, count: int) -> Covariates:
        """The first columns alone."""
        return Covariates(self.columns[:count], self.centre[:count], self.scale[:count])

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def valued_gaps(self) -> list[str]:
        """Columns in which a gap is a value."""
        return [column.name for column in self.columns if column.kind == "category" and column.missing]

    @property
    def owners(self) -> list[str]:
        """The column that each number comes from."""
        return [column.name for column in self.columns for _ in range(_width(column))]

    @property
    def width(self) -> int:
        return len(self.owners)

    def encode(self, frame: Frame, owner: str) -> np.ndarray:
        """(rows, width) float64; gaps are NaN in all numbers of their column.

        In a category that had gaps in fit, such as the name of an event, a gap is a value: that of days without one.
        """
        parts = [np.zeros((frame.rows, 0))]
        read = Schema(self.columns).read(frame, owner).columns if any(c.used for c in self.columns) else {}
        for column, centre, scale in zip(self.columns, self.centre, self.scale, strict=True):
            codes = _codes(column, read[column.name])
            if column.kind in NUMBERS:
                parts.append(((codes - centre) / scale)[:, None])
            elif column.kind in ("boolean", "ordered"):
                _check_seen(column, read[column.name], codes, owner)
                parts.append(codes[:, None])
            else:
                codes = np.where(np.isnan(codes) & (column.name in self.valued_gaps), UNSEEN, codes)
                one_hot = (codes[:, None] == np.arange(_width(column))).astype(np.float64)
                parts.append(np.where(np.isnan(codes)[:, None], np.nan, one_hot))
        return np.concatenate(parts, axis=1)

    def to_json(self) -> dict[str, Any]:
        columns = [asdict(column) | {"values": list(column.values)} for column in self.columns]
        return {"columns": columns, "centre": list(self.centre), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Covariates:
        columns = Schema.from_json({"named": True, "columns": state["columns"]}).columns
        return cls(columns, tuple(map(float, state["centre"])), tuple(map(float, state["scale"])))


def _codes(column: Column, array: np.ndarray) -> np.ndarray:
    """Cells -> codes as in a table (rows,)."""
    if column.kind in ("number", "count") and array.dtype.kind not in "iufb":
        array = parse_numbers(column.name, array, column.values)[0]
    return np.asarray(codes_of(column, array, lookup_of(column)), dtype=np.float64)


def _check_seen(column: Column, array: np.ndarray, codes: np.ndarray, owner: str) -> None:
    """An error for a cell that has no code and is no gap."""
    strange = np.isnan(codes) & ~gaps_of(array)
    if strange.any():
        row = int(np.argmax(strange))
        words = " or ".join(map(repr, column.values[:5]))
        raise SchemaError(
            f"{owner}: expected a value that fit has seen in column {column.name!r}, such as {words}, received {array[row]!r} in "
            f"row {row}; correct it, or fit with such rows"
        )


def _width(column: Column) -> int:
    return min(len(column.values), MOST_VALUES) if column.kind == "category" else 1
