"""Columns of a long table by what they are to a forecaster -> a panel: targets and covariates on one grid a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.errors import SchemaError
from tabdl.frames import Frame, read_frame
from tabdl.inference import parse_numbers
from tabdl.panel import Panel, make_panel
from tabdl.schema import Schema
from tabdl.times import Calendar, read_times

MOST_PLACES = 40  # values of a category that have a covariate each


def names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """None, one name or several -> a tuple."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True)
class Roles:
    """Names of the columns of a long table."""

    time: str
    ids: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @classmethod
    def of(cls, estimator: Any) -> Roles:
        """As the parameters of a forecaster say; a column has one role."""
        told = {role: names(getattr(estimator, role)) for role in ("time", "id", "target", "known", "past", "static")}
        every = [name for columns in told.values() for name in columns]
        twice = next((name for name in every if every.count(name) > 1), None)
        if twice is not None:
            both = [role for role, columns in told.items() if twice in columns]
            raise SchemaError(f"expected one role a column, received {twice!r} as {' and '.join(both)}; name it once")
        if not told["target"]:
            raise SchemaError("target=() expects a column to forecast, received none; name one")
        return cls(estimator.time, told["id"], told["target"], told["known"], told["past"], told["static"])

    def read(self, table: Any, columns: Sequence[str], what: str = "the table") -> Frame:
        """These columns of the table and those of time and ids; what is missing is named."""
        wanted = [*self.ids, self.time, *columns]
        frame = read_frame(table, only=wanted)
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise SchemaError(f"expected columns that {what} lacks: {missing}; add them, or name others in the parameters")
        return frame

    def ids_of(self, frame: Frame) -> dict[str, np.ndarray]:
        return {name: frame.columns[name] for name in self.ids}


def read_targets(frame: Frame, targets: Sequence[str]) -> np.ndarray:
    """(rows, targets) float64, NaN for gaps."""
    columns = []
    for name in targets:
        cells = frame.columns[name]
        cells = cells if cells.dtype.kind in "iufb" else parse_numbers(name, cells, None)[0]
        if np.isinf(cells).any():
            raise SchemaError(f"column {name!r} contains infinity in row {int(np.argmax(np.isinf(cells)))}; give NaN for a gap")
        columns.append(cells.astype(np.float64))
    return np.column_stack(columns)


class Covariates:
    """Columns of any kind -> numbers (rows, width): scaled numbers, flags, one-hot categories."""

    def __init__(self, encoder: TableEncoder) -> None:
        self.encoder = encoder

    @classmethod
    def fit(cls, frame: Frame, columns: Sequence[str]) -> Covariates | None:
        """None without such columns."""
        if not columns:
            return None
        part = _part(frame, columns)
        schema = Schema.infer(part)
        return cls(TableEncoder(schema).fit(schema.read(part)))

    @property
    def width(self) -> int:
        spec = self.encoder.spec
        return spec.numbers + spec.flags + sum(min(codes - 2, MOST_PLACES) for codes in spec.categories)

    def encode(self, frame: Frame) -> np.ndarray:
        """float64 (rows, width)."""
        arrays = self.encoder.encode(_part(frame, self.encoder.schema.names))
        parts = [arrays[kind] for kind in ("numbers", "flags") if kind in arrays]
        for j, codes in enumerate(self.encoder.spec.categories):
            parts.append(arrays["categories"][:, j : j + 1] == np.arange(2, 2 + min(codes - 2, MOST_PLACES)))
        return np.concatenate(parts, axis=1).astype(np.float64)


def _part(frame: Frame, columns: Sequence[str]) -> Frame:
    kept = {name: frame.columns[name] for name in columns}
    return Frame(kept, frame.rows, frame.named, frame.orders, frame.categorical)


def read_panel(
    roles: Roles, table: Any, known: Covariates | None, calendar: Calendar | None = None, what: str = "the table"
) -> tuple[Panel, Frame]:
    """Panel of the targets and the encoded known covariates, up to the last step with a target; and the frame it is from."""
    frame = roles.read(table, [*roles.targets, *roles.known], what)
    numbers = read_targets(frame, roles.targets)
    last = np.isfinite(numbers).any(axis=1)
    if not last.any():
        raise SchemaError(f"column {roles.targets[0]!r} expects numbers to learn from, received gaps only; check the column")
    if known is not None:
        numbers = np.column_stack([numbers, known.encode(frame)])
    times, type = read_times(table, roles.time)
    columns = [*roles.targets, *(f"known {i}" for i in range(numbers.shape[1] - len(roles.targets)))]
    panel = make_panel(times, type, roles.ids_of(frame), numbers, columns, calendar)
    return _cut_ends(panel, len(roles.targets)), frame


def _cut_ends(panel: Panel, targets: int) -> Panel:
    """Without the steps after the last one that has a target: these are to be forecast."""
    from dataclasses import replace

    values = []
    for series, grid in enumerate(panel.values):
        there = np.flatnonzero(np.isfinite(grid[:, :targets]).any(axis=1))
        if not len(there):
            raise SchemaError(f"expected a number in {panel.name(series)}, received gaps only; drop it, or fill it")
        values.append(grid[: there[-1] + 1])
    return replace(panel, values=values)
