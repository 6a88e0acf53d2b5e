"""The steps of a long table: which rows share a time, which belong to one series, and their values on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.cells import text_of
from tabdl.errors import SchemaError
from tabdl.frames import read_frame
from tabdl.panel import place_rows
from tabdl.times import Calendar, read_times, zone_of

if TYPE_CHECKING:
    import pandas as pd


def as_pandas(table: Any) -> pd.DataFrame:
    """The table itself when it is a pandas one, else a new one of the same columns; of a pandas Series, its only one."""
    import pandas as pd

    if isinstance(table, (pd.DataFrame, pd.Series)):
        return table if isinstance(table, pd.DataFrame) else table.to_frame()
    found = pd.DataFrame(read_frame(table).columns)
    for name in found.select_dtypes("datetime"):
        zone = zone_of(table, name)
        if zone is not None:
            found[name] = found[name].dt.tz_localize("UTC").dt.tz_convert(zone)
    return found


def with_index(table: Any, *names: str | None) -> Any:
    """A pandas table or Series whose index has columns of these names, such as the times, as a table that has them as columns."""
    table = table.to_frame() if getattr(table, "ndim", 0) == 1 and hasattr(table, "to_frame") else table
    index = getattr(getattr(table, "index", None), "names", ())
    return table.reset_index() if any(name in index and name not in table.columns for name in names if name) else table


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
    """Places of the rows of a long table in a grid of series x steps of their calendar, from the first row of the table on.

    series, step, axis: (rows,) of whole numbers; axis is the position on the calendar. starts: (series,) axis position of each
    first row; series that stand between the steps of others share their numbers. names: (series,) tuples of texts, in order of
    appearance.

    >>> from tabdl.datasets import make_sales
    >>> timeline = Timeline.read(make_sales(stores=2, days=60), time="date", id="store")
    >>> timeline.shape, timeline.names
    ((2, 60), [('store-1',), ('store-2',)])
    """

    series: np.ndarray
    step: np.ndarray
    axis: np.ndarray
    starts: np.ndarray
    names: list[tuple[str | None, ...]]
    calendar: Calendar

    @classmethod
    def read(cls, table: pd.DataFrame, time: str, id: str | Sequence[str] | None = None) -> Timeline:
        """Raises `SchemaError` for a missing column, times that cannot be read or are not regular, and one twice in a series."""
        check_columns(table, [*as_names(id), time])
        ids = read_frame(table, only=as_names(id)).columns if id else {}
        found = place_rows(*read_times(table, time), ids)
        step = (found.axis - found.starts.min()) // found.calendar.frequency.step
        names = series_names(table, id)
        first = np.unique(found.series, return_index=True)[1]
        return cls(found.series, step, found.axis, found.starts, [names[row] for row in first], found.calendar)

    def locate(self, table: pd.DataFrame, time: str, id: str | Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Series and step of each row of another table; both -1 for a row that has no place in this grid."""
        number, frequency = {key: i for i, key in enumerate(self.names)}, self.calendar.frequency
        series = np.array([number.get(key, -1) for key in series_names(table, id)], int)
        clock = self.calendar.type.to_clock(read_times(table, time, self.calendar.type)[0])
        axis = frequency.nearest(clock)
        step = (axis - self.starts.min()) // frequency.step
        off = (frequency.from_axis(axis) != clock) | ((axis - self.starts[series]) % frequency.step != 0)
        outside = off | (series < 0) | (step < 0) | (step >= self.shape[1])
        return np.where(outside, -1, series), np.where(outside, -1, step)

    def write(self, steps: np.ndarray) -> Any:
        """Times of steps as a pandas array of the user's type."""
        return self.calendar.write(self.starts.min() + self.calendar.frequency.step * steps)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.names), int(self.step.max()) + 1

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
