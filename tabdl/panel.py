"""A long table of series -> regular grids: one row a step, NaN where a step is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tabdl.cells import text_of
from tabdl.errors import SchemaError
from tabdl.times import Calendar, TimeType, find_calendar

MOST_GAPS = 20  # steps a row, on average, before a table is taken for a mistake
ENOUGH_STEPS = 10_000  # below which it never is
EVEN = 1.13  # of the shortest distance in a series; months differ by less
FEWEST_EVEN = 4  # distances that tell of a frequency
LONG = 12  # distances on end that are no chance
GOOD_PART = 0.1  # of the time of a series


@dataclass(frozen=True)
class Panel:
    """Series on regular grids, in the order in which they first appear.

    ids: id column -> cells (series,), empty without id columns. starts: axis position of each series' first step, int64.
    values: arrays (steps, columns), float64.
    """

    calendar: Calendar
    ids: dict[str, np.ndarray]
    starts: np.ndarray
    values: list[np.ndarray]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def steps(self) -> np.ndarray:
        """Of each series."""
        return np.array([len(part) for part in self.values], dtype=np.int64)

    @property
    def keys(self) -> list[tuple[str | None, ...]]:
        """The id of each series as texts, which are the same in every table and file."""
        return list(zip(*(map(text_of, cells) for cells in self.ids.values()), strict=True)) if self.ids else [()] * len(self)

    def name(self, series: int) -> str:
        """Of a series, for messages."""
        return name_series({column: cells[series] for column, cells in self.ids.items()})

    def column(self, name: str) -> list[np.ndarray]:
        """One column of every series, (steps,)."""
        at = self.columns.index(name)
        return [part[:, at] for part in self.values]

    def since_known(self, count: int) -> Panel:
        """From the first step of each series at which one of its first `count` columns is known."""
        begins = np.array([np.flatnonzero(np.isfinite(part[:, :count]).any(axis=1))[0] for part in self.values])
        starts = self.starts + begins * self.calendar.frequency.step
        return replace(self, starts=starts, values=[part[begin:] for part, begin in zip(self.values, begins, strict=True)])

    def until_known(self, count: int) -> Panel:
        """Up to the last step of each series at which one of its first `count` columns is known."""
        ends = [np.flatnonzero(np.isfinite(part[:, :count]).any(axis=1))[-1] + 1 for part in self.values]
        return replace(self, values=[part[:end] for part, end in zip(self.values, ends, strict=True)])

    def channels(self, count: int) -> list[np.ndarray]:
        """Each of the first `count` columns of each series from its first known cell on, (steps,)."""
        columns = (column for part in self.values for column in part[:, :count].T.copy())
        return [column[np.argmax(np.isfinite(column)) :] for column in columns]

    def take(self, series: Sequence[int]) -> Panel:
        """Some series, by number."""
        at = np.asarray(series, dtype=np.int64)
        ids = {column: cells[at] for column, cells in self.ids.items()}
        return replace(self, ids=ids, starts=self.starts[at], values=[self.values[i] for i in at])

    def axis_after(self, series: int, horizon: int) -> np.ndarray:
        """Axis positions of the next `horizon` steps of a series."""
        size = self.calendar.frequency.step
        return self.starts[series] + size * (len(self.values[series]) + np.arange(horizon))

    def places(self, series: int, horizon: int = 0) -> np.ndarray:
        """Times of a series for a picture; of the next `horizon` steps, where that is not 0."""
        steps = self.calendar.frequency.step * np.arange(len(self.values[series]))
        axis = self.axis_after(series, horizon) if horizon else self.starts[series] + steps
        return self.calendar.type.place(self.calendar.frequency.from_axis(axis))


def name_series(cells: Mapping[str, Any]) -> str:
    """For messages."""
    return "series " + ", ".join(f"{column}={_show(cell)}" for column, cell in cells.items()) if cells else "the series"


def _show(cell: Any) -> str:
    return repr(str(cell)) if isinstance(cell, str) else str(cell)


def group_rows(ids: Mapping[str, np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the series of each row, by first appearance, and the row in which each series first appears."""
    import pandas as pd

    codes = np.zeros(rows, dtype=np.int64)
    for column, cells in ids.items():
        own, found = pd.factorize(cells)
        if (own < 0).any():
            row = int(np.argmax(own < 0))
            raise SchemaError(f"column {column!r}: expected an id in every row, received none in row {row}; drop such rows")
        same = pd.factorize(np.array([text_of(cell) for cell in found], object), use_na_sentinel=False)[0]  # 1 and "1"
        codes = pd.factorize(codes * len(found) + same[own])[0]
    _, first = np.unique(codes, return_index=True)
    return codes, first


def first_known(cells: np.ndarray, codes: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of the first known cell of each series, its first row where it has none; and which rows have another value, bool.

    codes, first: from `group_rows`.
    """
    import pandas as pd

    if cells.dtype == object:
        cells = np.array([str(cell) if type(cell) is np.ndarray else text_of(cell) for cell in cells], dtype=object)
    values, at = pd.factorize(cells)[0], first.copy()
    known = np.flatnonzero(values >= 0)
    own, where = np.unique(codes[known], return_index=True)
    at[own] = known[where]
    return at, (values >= 0) & (values != values[at[codes]])


def only_known(what: str, cells: np.ndarray, ids: Mapping[str, np.ndarray], remedy: str) -> tuple[np.ndarray, np.ndarray]:
    """Number of the series of each row, and for each series a row with its known cell; an error where a series has several.

    what: the column, in the message, which ends with the remedy.
    """
    codes, first = group_rows(ids, len(cells))
    at, other = first_known(cells, codes, first)
    if other.any():
        row = int(np.argmax(other))
        found = name_series({name: column[row] for name, column in ids.items()})
        received = f"{_show(cells[at[codes[row]]])} and {_show(cells[row])}"
        raise SchemaError(f"{what}: expected one value a series, received {received} in {found}; {remedy}")
    return codes, at


@dataclass(frozen=True)
class Places:
    """Of rows in any order on the grids of their series.

    ids: id column -> cells (series,). series, axis: number and axis position of each row. order: of the rows, by these. starts,
    steps: axis position of the first step of each series, and how many it has.
    """

    calendar: Calendar
    ids: dict[str, np.ndarray]
    series: np.ndarray
    axis: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    steps: np.ndarray


def place_rows(times: np.ndarray, type: TimeType, ids: Mapping[str, np.ndarray], calendar: Calendar | None = None) -> Places:
    """Put rows on the grids of their series.

    times, type: from `read_times`. ids: id column -> cells (rows,). calendar: of an earlier table, which these rows must fit.
    """
    codes, first = group_rows(ids, len(times))
    cells = {column: values[first] for column, values in ids.items()}
    if calendar is None:
        calendar = find_calendar(times, codes, type)
    elif (calendar.type.zone, calendar.type.kind == "number") != (type.zone, type.kind == "number"):
        raise SchemaError(
            f"expected times {_zoned(calendar.type)} as in fit, received times {_zoned(type)}; convert the column of times"
        )
    clock = calendar.type.to_clock(times)
    try:
        axis = calendar.frequency.to_axis(clock)
    except ValueError as error:
        row = error.args[0]
        name = name_series({column: values[row] for column, values in ids.items()})
        raise _irregular(calendar, name, calendar.type.show(int(clock[row]))) from None
    order = np.lexsort((axis, codes))
    _check_regular(calendar, axis[order], codes[order], cells)
    ends = np.flatnonzero(np.r_[np.diff(codes[order]) > 0, True])
    starts = axis[order][np.r_[0, ends[:-1] + 1]]
    steps = (axis[order][ends] - starts) // calendar.frequency.step + 1
    _check_density(calendar, steps, len(axis), cells)
    return Places(calendar, cells, codes, axis, order, starts, steps)


def make_panel(
    times: np.ndarray,
    type: TimeType,
    ids: Mapping[str, np.ndarray],
    numbers: np.ndarray,
    columns: Sequence[str],
    calendar: Calendar | None = None,
) -> Panel:
    """Rows in any order -> grids. numbers: (rows, columns) float64, NaN for gaps; the others as in `place_rows`."""
    found = place_rows(times, type, ids, calendar)
    grids = [np.full((count, len(columns)), np.nan) for count in found.steps]
    position = (found.axis - found.starts[found.series]) // found.calendar.frequency.step
    for grid, rows in zip(grids, np.split(found.order, np.flatnonzero(np.diff(found.series[found.order])) + 1), strict=True):
        grid[position[rows]] = numbers[rows]
    return Panel(found.calendar, found.ids, found.starts, grids, tuple(columns))


def _zoned(type: TimeType) -> str:
    if type.kind == "number":
        return "as whole numbers"
    return "without a time zone" if type.zone is None else f"in the time zone {type.zone}"


def _irregular(calendar: Calendar, name: str, time: str) -> SchemaError:
    zoned = "convert such texts to their time zone with pandas.to_datetime(..., utc=True).dt.tz_convert(...), or "
    where, remedy = (" in UTC", zoned) if calendar.type.kind == "text" and calendar.type.zone else ("", "")
    return SchemaError(
        f"expected times in steps of {calendar.frequency}, received {time} between two of them{where} in {name}; {remedy}"
        "aggregate to one row a step, for example with pandas.DataFrame.resample"
    )


def _check_regular(calendar: Calendar, axis: np.ndarray, codes: np.ndarray, cells: Mapping[str, np.ndarray]) -> None:
    """Sorted positions and series: no time twice, whole steps only, and the same frequency in all series."""
    size = calendar.frequency.step
    same, distance = np.diff(codes) == 0, np.diff(axis)

    def name(series: int) -> str:
        return name_series({column: values[series] for column, values in cells.items()})

    twice = same & (distance == 0)
    if twice.any():
        at = int(np.argmax(twice))
        raise SchemaError(
            f"expected each time once in a series, received {calendar.show(int(axis[at]))} twice in {name(codes[at])}; "
            "aggregate these rows, or name the columns that tell series apart as id="
        )
    others = np.union1d(*(find(size, codes[1:][same], distance[same]) for find in (_other_steps, _other_stretches)))
    if len(others):
        raise SchemaError(
            f"expected steps of {calendar.frequency} throughout, received others in {', '.join(map(name, others[:3]))}; resample "
            "to one frequency, fit a model for each, or add rows with gaps where steps are missing"
        )
    wrong = same & (distance % size != 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise _irregular(calendar, name(codes[at]), calendar.show(int(axis[at + 1])))


def _other_steps(size: int, codes: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Series that have steps of their own, as even as months are, rather than gaps between steps of `size`."""
    shortest = np.full(codes.max(initial=0) + 1, np.iinfo(np.int64).max)
    np.minimum.at(shortest, codes, distance)
    even = np.bincount(codes, distance <= EVEN * shortest[codes], len(shortest))
    other = np.maximum(shortest / size, size / shortest) > EVEN
    return np.flatnonzero(other & (even >= FEWEST_EVEN) & (even > np.bincount(codes, minlength=len(shortest)) / 2))


def _other_stretches(size: int, codes: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Series with a long stretch of even steps other than `size`, at their end or over a good part of their time."""
    if not len(distance):
        return codes
    other = np.maximum(distance / size, size / distance) > EVEN
    even = np.maximum(distance[1:], distance[:-1]) <= EVEN * np.minimum(distance[1:], distance[:-1])
    ends = np.flatnonzero(np.r_[~(even & other[1:] & other[:-1] & (np.diff(codes) == 0)), True])
    begins = np.r_[0, ends[:-1] + 1]
    part = np.add.reduceat(distance, begins) / np.bincount(codes, distance)[codes[ends]]
    last = np.r_[np.diff(codes[ends]) > 0, True]
    return np.unique(codes[ends[other[ends] & (ends - begins + 1 >= LONG) & (last | (part >= GOOD_PART))]])


def _check_density(calendar: Calendar, steps: np.ndarray, rows: int, cells: Mapping[str, np.ndarray]) -> None:
    if steps.sum() > max(MOST_GAPS * rows, ENOUGH_STEPS):
        at = int(np.argmax(steps))
        raise SchemaError(
            f"expected rows for most steps of {calendar.frequency}, received {rows} rows for {steps.sum()} steps, the longest in "
            f"{name_series({c: v[at] for c, v in cells.items()})}; aggregate to longer steps, or check the column of times"
        )
