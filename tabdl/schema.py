"""What the columns of a table are: inferred once, told by the user where needed, checked at every prediction."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from tabdl.cells import EPOCH, ISO, dates_of
from tabdl.errors import SchemaError
from tabdl.frames import Frame, read_frame
from tabdl.inference import KINDS, TO_DATES, Cells, Column, check_finite, gaps_of, infer_column, odd_texts, parse_numbers
from tabdl.series import parse_steps
from tabdl.times import TimeType

__all__ = ["KINDS", "Column", "Schema"]
SMALL = 64  # rows up to which checks are done over all columns at once
MOST_ENUM = 100  # values that a JSON Schema lists


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in their order.

    named: False for positional inputs (arrays, lists of lists). times: how those of a long table are written.

    Examples
    --------
    >>> import pandas as pd, tabdl
    >>> table = pd.DataFrame({"zip": [1234, 8001, 8001], "size": ["S", "L", "M"]})
    >>> schema = tabdl.Schema.infer(table, kinds={"zip": "category", "size": ["S", "M", "L"]})
    >>> [(column.name, column.kind) for column in schema.columns]
    [('zip', 'category'), ('size', 'ordered')]
    """

    columns: tuple[Column, ...]
    named: bool = True
    times: TimeType | None = None

    @classmethod
    def infer(
        cls,
        X: Any,
        kinds: Mapping[str, str | Sequence[Any]] | None = None,
        private: Iterable[str] = (),
        weight: np.ndarray | None = None,
    ) -> Schema:
        """Looks at the cells of each column.

        kinds: column -> kind, for columns that inference would get wrong; a list of values declares an ordered column.
        private: columns of which no value is kept, only salted hashes. weight: of the rows, so that a row of weight 2
        counts as two. Identifiers and constants are dropped with a warning; declare their kind to keep them.
        """
        frame = read_frame(X)
        kinds, private = dict(kinds or {}), {private} if isinstance(private, str) else set(private)
        _check_declared(frame, kinds, private)
        weight = even_weight(weight, frame.rows)

        def column(name: str, kind: str | Sequence[Any] | None) -> Column:
            cells = Cells(name, frame.columns[name], weight, frame.orders.get(name), name in frame.categorical)
            return infer_column(cells, kind, name in private)

        columns = [column(name, kinds.get(name)) for name in frame.columns]
        if not any(c.used for c in columns):
            _refuse_single_row(frame)
            spare = {c.name for c in columns if c.kind == "identifier" and c.dtype == "int"} - set(kinds)
            columns = [column(c.name, "number") if c.name in spare else c for c in columns]  # a numbering is better than nothing
        _warn_dropped([c for c in columns if not c.used and c.name not in kinds])
        _warn_odd([c for c in columns if c.kind == "category" and c.name not in {*kinds, *frame.categorical}])
        schema = cls(tuple(columns), frame.named, frame.times)
        if not schema.used:
            raise SchemaError(
                f"expected at least one column that varies, received only constants or identifiers: {_names(frame.columns)}; "
                "add columns, or declare the kind of one with Schema.infer(X, kinds={...})"
            )
        return schema

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns a model sees, in order."""
        return tuple(c for c in self.columns if c.used)

    @property
    def channels(self) -> list[str]:
        """Names of the columns that hold series."""
        return [c.name for c in self.used if c.kind == "series"]

    @property
    def dropped(self) -> list[str]:
        return [c.name for c in self.columns if not c.used]

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    # --- checking ---

    def read(self, X: Any, owner: str = "this model") -> Frame:
        """The used columns of `X`, checked and converted: float64 for numbers, datetime64[us] for dates, the rest as it came.

        Columns are found by name, extra ones ignored; inputs without names are matched by position.
        owner: name of the estimator, for messages.
        """
        frame = self._select(X, owner)
        for column in self.used:
            array = frame.columns[column.name]
            if column.kind in ("number", "count"):
                if array.dtype.kind not in "iufb":
                    frame.columns[column.name] = parse_numbers(column.name, array, column.values, column.private)[0]
            elif column.kind == "date" and array.dtype.kind != "M":
                frame.columns[column.name] = _read_dates(column, array)
            elif column.kind == "series":
                if column.dtype != "str":
                    array = frame.columns[column.name] = parse_steps(array, column.values, column.name)
                _check_series(column, array)
        self._check_finite(frame)
        return frame

    def _select(self, X: Any, owner: str) -> Frame:
        names = [c.name for c in self.used]
        frame = read_frame(X, only=names if self.named else None)
        if self.named and frame.named:
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise SchemaError(
                    f"{owner} expects columns that the table lacks: {_names(missing)}; "
                    "add them (with gaps where unknown), or fit without them"
                )
            chosen = {name: frame.columns[name] for name in names}
        else:
            if len(frame.columns) != len(self.columns):
                raise SchemaError(
                    f"X has {len(frame.columns)} features, but {owner} is expecting {len(self.columns)} features as input; "
                    "columns without names are matched by position"
                )
            pairs = zip(self.columns, frame.columns.values(), strict=True)
            chosen = {column.name: array for column, array in pairs if column.used}
        return Frame(chosen, frame.rows, self.named)

    def _check_finite(self, frame: Frame) -> None:
        floats = [a for a in frame.columns.values() if a.dtype.kind == "f"]
        if frame.rows <= SMALL and len(floats) > 1 and not np.isinf(np.concatenate(floats)).any():
            return
        for column in self.used:
            if column.kind in ("number", "count"):
                check_finite(column.name, frame.columns[column.name])

    # --- showing ---

    def describe(self) -> str:
        """A table: one line a column."""
        rows = [("column", "kind", "gaps", "values")] + [_row(c) for c in self.columns]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)

    __str__ = describe

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in ("column", "kind", "gaps", "values"))
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in _row(c)) for c in self.columns)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in cells)}</tbody></table>"

    # --- storing ---

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` turns back into an equal schema."""
        columns = [asdict(c) | {"values": list(c.values)} for c in self.columns]
        return {"named": self.named, "columns": columns} | ({"times": asdict(self.times)} if self.times else {})

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Schema:
        known = {f.name for f in fields(Column)}
        columns = []
        for entry in state["columns"]:
            if not isinstance(entry.get("name"), str) or entry.get("kind") not in KINDS or not set(entry) <= known:
                raise SchemaError(
                    f"expected a column in JSON (name, kind, ...), received {str(entry)[:80]}; write it with to_json"
                )
            columns.append(Column(**{**entry, "values": tuple(map(str, entry.get("values", ())))}))
        times = state.get("times")
        return cls(tuple(columns), bool(state["named"]), TimeType(**times) if times else None)

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of one record (a dict of cells), for services. Observed ranges are annotations, never limits."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {c.name: _cell_schema(c) for c in self.used},
            "required": [c.name for c in self.used],
            "additionalProperties": True,
        }


def even_weight(weight: np.ndarray | None, rows: int) -> np.ndarray | None:
    """float64 weights, or None where all are equal: equal weights are no weights."""
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise SchemaError(f"expected one weight a row, shape ({rows},), received shape {weight.shape}; pass one number a row")
    return None if (weight == weight[0]).all() else weight


def _check_declared(frame: Frame, kinds: Mapping[str, Any], private: set[str]) -> None:
    unknown = [str(name) for name in [*kinds, *private] if name not in frame.columns]
    if unknown:
        raise SchemaError(f"declared columns that the table lacks: {_names(unknown)}; it has {_names(frame.columns)}")
    for name, kind in kinds.items():
        if isinstance(kind, str) and kind not in KINDS:
            raise SchemaError(f"column {name!r}: expected a kind among {', '.join(KINDS)}, received {kind!r}; correct it")


def _refuse_single_row(frame: Frame) -> None:
    if frame.rows == 1:
        raise SchemaError(
            "expected at least 2 rows to learn from, received 1 sample; columns must vary to tell anything; add rows"
        )


def _warn_dropped(columns: list[Column]) -> None:
    if columns:
        listed = ", ".join(f"{c.name!r} ({c.kind})" for c in columns)
        remedy = f"Schema.infer(X, kinds={{{columns[0].name!r}: 'category'}})"
        warnings.warn(
            f"columns dropped: {listed}; to keep one, declare its kind, for example {remedy}",
            UserWarning,
            stacklevel=3,
        )


def _warn_odd(columns: list[Column]) -> None:
    """Of categories that are numbers but for a few cells."""
    for column in columns:
        odd = [] if column.private or column.dtype != "str" else odd_texts(column.values)
        if odd:
            warnings.warn(
                f"column {column.name!r} is read as a category: most of its {len(column.values)} values are numbers, but not "
                f"{_names(odd, 3)}; where numbers are meant, clean these cells, as pandas.to_numeric(..., errors='coerce') does, "
                f"else declare it with Schema.infer(X, kinds={{{column.name!r}: 'category'}})",
                UserWarning,
                stacklevel=3,
            )


def _names(names: Iterable[str], most: int = 20) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read_dates(column: Column, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "iufb":
        if array.dtype.kind == "f" and np.isnan(array).all():
            return np.full(len(array), np.datetime64("NaT"), dtype="datetime64[us]")
        raise SchemaError(
            f"column {column.name!r} should hold dates, received numbers; {TO_DATES}, "
            f"or declare it with Schema.infer(X, kinds={{{column.name!r}: 'number'}})"
        )
    dates = dates_of(array.tolist(), column.format)
    lost = np.isnat(dates) & ~gaps_of(array)
    if lost.any():
        such = "" if column.private else f" such as {array[lost][0]!r}"
        form = column.format or ISO
        warnings.warn(
            f"column {column.name!r}: {lost.sum()} cells{such} are no dates written as {form}, taken as gaps; clean them",
            UserWarning,
            stacklevel=4,
        )
    return dates


def _check_series(column: Column, array: np.ndarray) -> None:
    """Series of text where text was seen in `fit`, and of numbers where numbers were; a column of gaps is one of either."""
    for row, cell in enumerate(array):
        number = type(cell) is np.ndarray and cell.dtype != object
        known = type(cell) is np.ndarray and (
            number == (column.dtype != "str") or len(cell) == 0 or (number and np.isnan(cell).all())
        )
        if not known and cell is not None and not (isinstance(cell, float) and np.isnan(cell)):
            what = "series of numbers" if number else "series of text" if type(cell) is np.ndarray else str(cell)
            wanted = "text" if column.dtype == "str" else "numbers"
            raise SchemaError(f"column {column.name!r} should hold series of {wanted}, received {what} in row {row}; correct it")


def _row(column: Column) -> tuple[str, str, str, str]:
    return column.name, column.kind, "yes" if column.missing else "", _values(column)


def _values(column: Column) -> str:
    if column.kind in ("category", "ordered", "boolean"):
        between = " < " if column.kind == "ordered" else ", "
        shown = "(private)" if column.private else between.join(v if len(v) <= 24 else v[:21] + "..." for v in column.values[:5])
        return f"{len(column.values)}: {shown}" + (" ..." if len(column.values) > 5 and not column.private else "")
    if column.private:
        return "(private)"
    if column.low is None or column.high is None:
        return ""
    if column.kind == "date":
        return f"{_day(column.low)} to {_day(column.high)}" + (f" as {column.format}" if column.format else "")
    return f"{column.low:g} to {column.high:g}"


def _day(seconds: float) -> str:
    return str((EPOCH + timedelta(seconds=seconds)).isoformat(" ")).removesuffix(" 00:00:00")


def _cell_schema(column: Column) -> dict[str, Any]:
    kind = column.kind
    schema: dict[str, Any] = {"type": {"int": "integer", "float": "number", "bool": "boolean"}.get(column.dtype, "string")}
    if kind == "series":
        item = {"type": ["string" if column.dtype == "str" else "number", "null"]}
        return {"type": ["array", "null"], "items": item, "x-kind": kind}
    if kind == "date":
        iso = column.format in (None, ISO)
        schema["description"] = f"a date written as {'ISO 8601, with or without a time' if iso else column.format}"
        schema["examples"] = ["2024-05-31" if iso else datetime(2024, 5, 31).strftime(str(column.format))]
    elif column.private and kind in ("category", "ordered"):
        schema = {"type": ["string", "number", "boolean"]}
    elif kind in ("category", "ordered", "boolean") and len(column.values) <= MOST_ENUM:
        schema["enum"] = column.typed_values
    if column.low is not None and kind in ("number", "count"):
        schema["x-observed"] = {"minimum": column.low, "maximum": column.high}
    if column.missing:
        schema["type"] = [*(schema["type"] if isinstance(schema["type"], list) else [schema["type"]]), "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema | {"x-kind": kind}
