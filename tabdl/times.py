"""Times as a user holds them <-> whole numbers on a regular axis, and the frequency with which they follow each other."""

from __future__ import annotations

import re
import warnings
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from tabdl.cells import ISO, dates_of, days_of, find_date_format, number_of, offset_of, text_of
from tabdl.errors import SchemaError
from tabdl.frames import read_frame

DAY = 86_400_000_000  # microseconds
UNITS = (("week", 7 * DAY), ("day", DAY), ("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000))
ISO_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m")
SHORTEST_MONTH = 28 * DAY
CLEARLY = 1.5  # times as many steps left out, and an order of day and month is wrong
TO_TIMES = "convert it with pandas.to_datetime(..., format=...)"
EXAMPLE = datetime(2024, 5, 31, 8)
WHOLE_DATES = {"%Y%m%d": lambda numbers: numbers, "%Y%m": lambda numbers: 100 * numbers + 1}  # form -> numbers as 20240531


@dataclass(frozen=True)
class Frequency:
    """From step to step: `step` microseconds ("fixed"), calendar months ("month"), working days ("workday"), or units ("number").

    day: of the month; 31 is each month's last. offset: microseconds since midnight, of months and working days.
    """

    kind: str
    step: int
    day: int = 1
    offset: int = 0

    def to_axis(self, values: np.ndarray) -> np.ndarray:
        """Microseconds since 1970 -> months, working days, or the same; raises ValueError(row) for the first off the axis."""
        axis = self.nearest(values)
        wrong = self.from_axis(axis) != values
        if wrong.any():
            raise ValueError(int(np.argmax(wrong)))
        return axis

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """As `to_axis`; a time off the axis has the position of one beside it."""
        if self.kind in ("fixed", "number"):
            return values
        moments = values.astype("datetime64[us]")
        if self.kind == "month":
            return moments.astype("datetime64[M]").astype(np.int64)
        return np.busday_count("1970-01-01", moments.astype("datetime64[D]"))

    def from_axis(self, axis: np.ndarray) -> np.ndarray:
        """The opposite of `to_axis`."""
        if self.kind in ("fixed", "number"):
            return axis
        if self.kind == "month":
            months = axis.astype("datetime64[M]")
            length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
            days = months.astype("datetime64[D]").astype(np.int64) + np.minimum(self.day, length) - 1
        else:
            days = np.busday_offset("1970-01-01", axis, roll="forward").astype(np.int64)
        return days * DAY + self.offset

    def __str__(self) -> str:
        if self.kind in ("number", "workday"):
            return "working days" if self.kind == "workday" else f"steps of {self.step}"
        if self.kind == "month":
            many, unit = (self.step // 12, "year") if self.step % 12 == 0 else (self.step, "month")
        else:
            fits = [(self.step // size, name) for name, size in UNITS if self.step % size == 0]
            many, unit = fits[0] if fits else (self.step, "microsecond")
        return f"{many} {unit}s" if many > 1 else f"1 {unit}"


@dataclass(frozen=True)
class TimeType:
    """How a column of times is written. kind: datetime, text, whole (20240531 for a date) or number.

    zone: name of the time zone. local: steps follow the wall clock there, as days and months do; hours do not. Without a zone, it
    is that of texts whose offsets from UTC change. unit: of the datetimes. form: strftime of texts and whole dates, None where
    they come back as datetimes. period: frequency of pandas periods. reading: the format (of `cells.DATE_FORMATS`) in which texts
    were read, and are to be read again.
    """

    kind: str
    zone: str | None = None
    local: bool = False
    unit: str = "us"
    form: str | None = None
    period: str | None = None
    reading: str | None = None

    @property
    def follows_texts(self) -> bool:
        """Whether texts with an offset are read without it."""
        return self.local and self.zone is None

    def to_clock(self, values: np.ndarray) -> np.ndarray:
        """Microseconds in UTC -> on the clock that steps follow."""
        return _move(values, self.zone, to_wall=True) if self.local and self.zone else values

    def to_wall(self, values: np.ndarray) -> np.ndarray:
        """The clock that steps follow -> the one on the wall."""
        return values if self.local or self.zone is None else _move(values, self.zone, to_wall=True)

    def place(self, values: np.ndarray) -> np.ndarray:
        """Numbers on the clock that steps follow -> what a picture can place: datetime64 of the wall clock, or numbers."""
        return values if self.kind == "number" else self.to_wall(values).astype("datetime64[us]")

    def write(self, values: np.ndarray) -> Any:
        """Numbers on that clock -> a pandas array of the user's type."""
        import pandas as pd

        if self.kind == "number":
            return pd.array(values.astype(np.int64), dtype="int64")
        if self.local and self.zone:
            values = _move(values, self.zone, to_wall=False)
        moments = pd.DatetimeIndex(values.astype("datetime64[us]").astype(f"datetime64[{self.unit}]"))
        if self.form is not None:
            texts = [moment.strftime(self.form) for moment in moments.to_pydatetime()]
            return pd.Series(texts, dtype="str").array if self.kind == "text" else pd.array(list(map(int, texts)), dtype="int64")
        if self.period is not None:
            return moments.to_period(self.period).array
        return (moments if self.zone is None else moments.tz_localize("UTC").tz_convert(self.zone)).array

    def show(self, value: int) -> str:
        """One time, for messages."""
        return str(self.write(np.array([value]))[0])


def _move(values: np.ndarray, zone: str, to_wall: bool) -> np.ndarray:
    import pandas as pd

    moments = pd.DatetimeIndex(values.astype("datetime64[us]"))
    if to_wall:
        moved = moments.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    else:  # an hour that a change of the clock leaves out, or has twice
        twice = np.ones(len(moments), bool)
        moved = moments.tz_localize(zone, ambiguous=twice, nonexistent="shift_forward").tz_convert("UTC").tz_localize(None)
    return moved.as_unit("us").asi8


@dataclass(frozen=True)
class Calendar:
    """The times of a panel: how they are written, and how they follow each other."""

    type: TimeType
    frequency: Frequency

    def write(self, axis: np.ndarray) -> Any:
        """Positions on the axis -> a pandas array of the user's type."""
        return self.type.write(self.frequency.from_axis(axis))

    def show(self, axis: int) -> str:
        return str(self.write(np.array([axis]))[0])

    def to_json(self) -> dict[str, Any]:
        return {"type": asdict(self.type), "frequency": asdict(self.frequency)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Calendar:
        return cls(TimeType(**state["type"]), Frequency(**state["frequency"]))


# --- reading ------------------------------------------------------------------------------------------------------------


def read_times(table: Any, name: str, like: TimeType | None = None) -> tuple[np.ndarray, TimeType]:
    """int64 (rows,), microseconds since 1970 in UTC or whole numbers, and how they are written.

    like: of an earlier table; texts must have the form that they had there, and whole numbers mean what they meant.
    """
    column = _periods_of(_native_column(table, name))
    found = re.fullmatch(r"period\[(.+)\]", str(getattr(column, "dtype", "")))
    period = found[1] if found else None
    if found:
        table = {name: column.dt.to_timestamp().to_numpy()}
    cells = read_frame(table, only=[name]).columns[name]
    if cells.dtype.kind == "M":
        _refuse_gaps(name, np.isnat(cells))
        values, zone = cells.astype("datetime64[us]").astype(np.int64), _zone_of(column)
        if zone is not None and like is not None and like.follows_texts:
            return _move(values, zone, to_wall=True), like
        return values, TimeType("datetime", zone, unit=_unit_of(column), period=period)
    if cells.dtype.kind in "iuf":
        return _read_numbers(name, cells, like)
    return _read_texts(name, cells, like)


def read_moments(cells: np.ndarray, name: str, like: TimeType | None = None) -> tuple[np.ndarray, TimeType]:
    """As `read_times` of one column, but numbers may have parts, such as seconds do."""
    if cells.dtype.kind == "f" and (cells % 1 > 0).any():
        _refuse_gaps(name, np.isnan(cells))
        return cells, TimeType("number")
    return read_times({name: cells}, name, like)


def _native_column(table: Any, name: str) -> Any:
    if isinstance(table, (list, tuple)):
        return [row.get(name) for row in table if isinstance(row, dict)]
    try:
        return table[name]
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def _periods_of(column: Any) -> Any:
    """Objects that are periods of pandas as a Series of these, any other column as it is."""
    if str(getattr(column, "dtype", "")) != "object" or not any(type(cell).__name__ == "Period" for cell in column[:1]):
        return column
    import pandas as pd

    return pd.Series(list(column)).infer_objects()


def zone_of(table: Any, name: str) -> str | None:
    """Name of the time zone of a column of any table."""
    return _zone_of(_native_column(table, name))


def _zone_of(column: Any) -> str | None:
    dtype: Any = getattr(column, "dtype", getattr(column, "type", None))
    dtype = getattr(dtype, "pyarrow_dtype", dtype)
    zone = getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None)
    if zone is None and column is not None and (isinstance(column, list) or str(dtype) == "object"):
        first = next((cell for cell in column if isinstance(cell, datetime)), None)
        zone = None if first is None else first.tzinfo
    if zone is None:
        return None
    text = str(zone)
    return text if "/" in text or text.startswith(("+", "-")) else text.replace("UTC+", "+").replace("UTC-", "-")


def _unit_of(column: Any) -> str:
    text = str(getattr(column, "dtype", ""))
    found = [unit for unit in ("ns", "us", "ms", "s") if f"[{unit}" in text]
    return found[0] if found else "us"


def _refuse_gaps(name: str, gaps: np.ndarray) -> None:
    if gaps.any():
        raise SchemaError(
            f"column {name!r}: expected a time in every row, received none in row {int(np.argmax(gaps))}; drop such rows"
        )


def _read_numbers(name: str, cells: np.ndarray, like: TimeType | None) -> tuple[np.ndarray, TimeType]:
    if cells.dtype.kind == "f":
        _refuse_gaps(name, np.isnan(cells))
        wrong = cells != np.floor(cells)
        if wrong.any():
            raise SchemaError(
                f"column {name!r}: expected dates or whole numbers as times, received {cells[np.argmax(wrong)]} in row "
                f"{int(np.argmax(wrong))}; number the steps, or {TO_TIMES}"
            )
    numbers = cells.astype(np.int64)
    for form, dates in () if like is not None and like.kind == "number" else WHOLE_DATES.items():
        days = days_of(dates(numbers))
        if days is not None:
            return days * DAY, TimeType("whole", form=form)
    return numbers, TimeType("number")


def _read_texts(name: str, cells: np.ndarray, like: TimeType | None) -> tuple[np.ndarray, TimeType]:
    texts = [text_of(cell) if isinstance(cell, str) else None for cell in cells]
    _refuse_gaps(
        name, np.array([cell is None or (isinstance(cell, str) and t is None) for cell, t in zip(cells, texts, strict=True)])
    )
    known = list(dict.fromkeys(text for text in texts if text is not None))
    if known and all(text.strip().lstrip("+-").isdigit() for text in known):
        values, type = _read_numbers(name, np.array([number_of(cell) for cell in cells]), like)
        return values, type if type.kind == "number" else replace(type, kind="text")
    form = None if like is None else like.reading
    form = form or (_in_order(name, known, find_date_format(known, share=0.5)) if known else None)
    moments = dates_of(cells.tolist(), form) if form else np.full(len(cells), np.datetime64("NaT", "us"))
    lost = np.isnat(moments)
    if lost.any():
        row, example = int(np.argmax(lost)), EXAMPLE.strftime("%Y-%m-%d %H:%M" if form in (None, ISO) else form)
        raise SchemaError(f"column {name!r}: expected times such as {example}, received {cells[row]!r} in row {row}; {TO_TIMES}")
    values = moments.astype("datetime64[us]").astype(np.int64)
    offsets = {text: offset_of(text) for text in known} if form == ISO else {}
    if any(offset is not None for offset in offsets.values()):
        wall = values + np.array([offsets.get(text or "") or 0 for text in texts])
        if like.follows_texts if like is not None else _is_evener(wall, than=values):
            return wall, TimeType("text", local=True, reading=form)
        return values, TimeType("text", "UTC", reading=form)
    return values, TimeType("text", form=_written_as(known[:50], form), reading=form)


def _in_order(name: str, texts: list[str], form: str | None) -> str | None:
    """Of month first and day first, where both fit all texts, the order that leaves fewer steps out between first and last."""
    if form is None or not form.startswith(("%m/%d", "%m-%d")):
        return form
    day_first = form.replace("%m", "%M?").replace("%d", "%m").replace("%M?", "%d")
    read = [dates_of(texts, order).astype("datetime64[us]") for order in (form, day_first)]
    if np.isnat(read).any() or (read[0] == read[1]).all():
        return form
    apart = [np.diff(np.unique(moments)).astype(np.int64) for moments in read]
    sparse = [own.sum() / np.median(own) if len(own) else 1.0 for own in apart]
    if max(sparse) < CLEARLY * min(sparse):
        warnings.warn(
            f"column {name!r}: times such as {texts[-1]!r} were read month first, although day first fits them as well; "
            f"if that is wrong, {TO_TIMES}",
            stacklevel=2,
        )
        return form
    return form if sparse[0] < sparse[1] else day_first


def _is_evener(values: np.ndarray, than: np.ndarray) -> bool:
    """Whether distinct times share a longer step."""
    step, other = (np.gcd.reduce(np.diff(np.unique(times))) for times in (values, than))
    return bool(step > other)


def _written_as(texts: list[str], form: str | None) -> str | None:
    """The strftime format that writes all these texts again."""
    moments = dates_of(texts, form).tolist()
    for candidate in ISO_FORMATS if form == ISO else (form,):
        if candidate is not None and [moment.strftime(candidate) for moment in moments] == texts:
            return candidate
    return None


# --- frequency ----------------------------------------------------------------------------------------------------------


def find_calendar(values: np.ndarray, codes: np.ndarray, type: TimeType) -> Calendar:
    """From the times (rows,) of `read_times` and the number of the series of each row."""
    order = np.lexsort((values, codes))
    values, codes = values[order], codes[order]
    step = _commonest(values, codes)
    if not step:
        raise SchemaError(
            f"expected at least one series with two rows that differ in time, received {len(values)} rows in "
            f"{codes.max() + 1} series; add rows, or check the columns of id and time"
        )
    if type.kind == "number":
        return Calendar(type, Frequency("number", step))
    if type.zone is not None and (step >= DAY or not _is_regular(values, codes, step)):
        local = replace(type, local=True)
        wall = local.to_clock(values)
        if step >= DAY or _is_regular(wall, codes, _commonest(wall, codes)):
            type, values, step = local, wall, _commonest(wall, codes)
    return Calendar(type, _find_frequency(values, codes, step))


def _commonest(values: np.ndarray, codes: np.ndarray) -> int:
    """The commonest distance of neighbours in a series, of equally common ones the shortest, 0 without any; both are sorted."""
    distance = _distances(values, codes)
    found, count = np.unique(distance[distance > 0], return_counts=True)
    return int(found[np.argmax(count)]) if len(found) else 0


def _distances(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Of neighbours in a series."""
    return np.diff(values)[np.diff(codes) == 0]


def _is_regular(values: np.ndarray, codes: np.ndarray, step: int) -> bool:
    """Whether neighbours in a series are whole steps apart."""
    return not (_distances(values, codes) % step).any()


def _find_frequency(clock: np.ndarray, codes: np.ndarray, step: int) -> Frequency:
    moments = clock.astype("datetime64[us]")
    days = moments.astype("datetime64[D]")
    offset = clock - days.astype(np.int64) * DAY
    if step % DAY or (offset != offset[0]).any():
        return Frequency("fixed", step)
    if step >= SHORTEST_MONTH:
        months = moments.astype("datetime64[M]")
        day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
        ends = ((months + 1).astype("datetime64[D]") - days).astype(np.int64) == 1
        anchor, axis = 31 if ends.all() else int(day.max()), months.astype(np.int64)
        found = Frequency("month", _commonest(axis, codes), anchor, int(offset[0]))
        if found.step and (found.from_axis(axis) == clock).all():
            return found
        apart = _distances(axis, codes)
        if apart.min() > 0 and _is_regular(axis, codes, found.step) and not _is_regular(clock, codes, step):
            raise SchemaError(
                f"expected times {found} apart on one day of the month, or on its last, received days {day.min()} to "
                f"{day.max()}; make months of them with pandas.Series.dt.to_period('M')"
            )
    weekday = (days.astype(np.int64) + 3) % 7  # 0: Monday
    over_weekend = (np.diff(codes) == 0) & (np.diff(clock) >= 3 * DAY)
    if step == DAY and weekday.max() < 5 and over_weekend.any():
        return Frequency("workday", 1, offset=int(offset[0]))
    return Frequency("fixed", step)
