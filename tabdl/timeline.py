"""The steps of a long table: which rows share a time, which belong to one series, and their values on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.cells import text_of
from tabdl.errors import SchemaError
from tabdl.frames import read_frame
from tabdl.times import TimeType, read_times, zone_of

if TYPE_CHECKING:
    import pandas as pd


def as_pandas(table: Any) -> pd.DataFrame:
    """The table itself when it is a pandas one, else a new one of the same columns."""
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    found = pd.DataFrame(read_frame(table).columns)
    for name in found.select_dtypes("datetime"):
        zone = zone_of(table, name)
        if zone is not None:
            found[name] = found[name].dt.tz_localize("UTC").dt.tz_convert(zone)
    return found


def with_index(table: Any, time: str) -> Any:
    """A pandas table whose index has the times as a table that has them as a column."""
    names = getattr(getattr(table, "index", None), "names", None)
    if names is not None and time in names and time not in table.columns:
        return table.reset_index()
    return table


def as_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Column names as they are passed: none, one or several."""
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise `SchemaError` for the first of `names` that the table lacks."""
    for name in names:
        if name not in table.columns:
            raise SchemaError(
                f"expected a column {name!r}, received a table with {', '.join(map(str, table.columns))}; "
                "add it, or pass the name that it has"
            )


def positions_of(times: Any, name: str) -> np.ndarray:
    """(rows,) int64 in the order of the times of a pandas Series or Index: microseconds since 1970 in UTC, or whole numbers."""
    import pandas as pd

    return read_times(pd.DataFrame({name: times}), name)[0]


@dataclass(frozen=True)
class Timeline:
    """Places of the rows of a long table in a grid of series x steps; a step is one distinct time of the table.

    series, step: (rows,) of whole numbers. names: (series,) tuples of texts, in order of appearance. times: (steps,), ascending,
    as `read_times` has them, and type how they are written.

    >>> from tabdl.datasets import make_sales
    >>> timeline = Timeline.read(make_sales(stores=2, days=60), time="date", id="store")
    >>> timeline.shape, timeline.names
    ((2, 60), [('store-1',), ('store-2',)])
    """

    series: np.ndarray
    step: np.ndarray
    names: list[tuple[str | None, ...]]
    times: np.ndarray
    type: TimeType

    @classmethod
    def read(cls, table: pd.DataFrame, time: str, id: str | Sequence[str] | None = None) -> Timeline:
        """Raises `SchemaError` for a missing column, an unreadable time, and two rows of one series at one time."""
        check_columns(table, [*as_names(id), time])
        values, type = read_times(table, time)
        times, step = np.unique(values, return_inverse=True)
        keys = series_names(table, id)
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        timeline = cls(np.array([number[key] for key in keys]), step, list(number), times, type)
        cells = timeline.series * len(times) + step
        if len(np.unique(cells)) < len(cells):
            order = np.argsort(cells, kind="stable")
            row = int(order[1:][np.diff(cells[order]) == 0].min())
            raise SchemaError(
                f"expected one row a series and time, received a second one for {table[time].iloc[row]} in row {row}; "
                "drop or add up such rows, or name the columns that tell the series apart with id="
            )
        return timeline

    def locate(self, table: pd.DataFrame, time: str, id: str | Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Series and step of each row of another table; both -1 for a row that has no place in this grid."""
        number = {key: i for i, key in enumerate(self.names)}
        series = np.array([number.get(key, -1) for key in series_names(table, id)], int)
        times = read_times(table, time, self.type)[0]
        step = np.minimum(np.searchsorted(self.times, times), len(self.times) - 1)
        outside = (self.times[step] != times) | (series < 0)
        return np.where(outside, -1, series), np.where(outside, -1, step)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.names), len(self.times)

    def grid(self, values: np.ndarray) -> np.ndarray:
        """(rows,) -> (series, steps) in float64; NaN where the table has no row."""
        grid = np.full(self.shape, np.nan)
        grid[self.series, self.step] = values
        return grid

    def rows(self) -> np.ndarray:
        """(series, steps) number of the row; -1 where the table has none."""
        rows = np.full(self.shape, -1)
        rows[self.series, self.step] = np.arange(len(self.step))
        return rows


def series_names(table: pd.DataFrame, id: str | Sequence[str] | None) -> list[tuple[str | None, ...]]:
    """The series of each row as texts; one empty name for all when there is no id."""
    columns = [[text_of(cell) for cell in table[name].tolist()] for name in as_names(id)]
    return list(zip(*columns, strict=True)) if columns else [()] * len(table)


def numbers_in(table: pd.DataFrame, name: str) -> np.ndarray:
    """(rows,) float64 of a column of numbers or truth values, NaN for gaps; `SchemaError` for any other column."""
    values = read_frame(table[[name]]).columns[str(name)]
    if values.dtype == object and all(cell is None or isinstance(cell, bool) for cell in values):
        values = np.array([np.nan if cell is None else cell for cell in values], np.float64)
    if values.dtype.kind not in "iufb":
        raise SchemaError(f"expected numbers in column {name!r}, received {values.tolist()[0]!r}; convert it, or leave it out")
    return values.astype(np.float64)
