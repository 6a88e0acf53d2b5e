"""Long tables as a forecaster reads them: the columns by their roles, and the series in them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tabdl.anomalies import find_closures, find_spikes
from tabdl.encoding.covariates import Covariates
from tabdl.encoding.windows import fill_gaps
from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.frames import Frame, read_frame
from tabdl.inference import parse_numbers
from tabdl.panel import Panel, group_rows, make_panel, only_known
from tabdl.timeline import as_names, with_index
from tabdl.times import Calendar, TimeType, read_times

OUTPUT = re.compile(r"mean|q(0(\.\d+)?|1)")  # columns of forecasts
Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Roles:
    """Names of columns by what they are for."""

    time: str
    ids: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @classmethod
    def of(cls, time: str | None, id: Names, target: Names, known: Names, past: Names, static: Names) -> Roles:
        if time is None:
            raise ParameterError(
                "time=None: expected the name of the column of times; give it as time='date', and an index of times as "
                "a column with DataFrame.reset_index()"
            )
        roles = cls(time, *map(as_names, (id, target, known, past, static)))
        if not roles.targets:
            raise ParameterError(f"target={target!r}: expected the name of the column to forecast, or several; name one")
        names = roles.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ParameterError(
                f"column {twice[0]!r} has two roles, expected one of time, id, target, known, past, static; choose"
            )
        taken = [n for n in (roles.time, *roles.ids) if OUTPUT.fullmatch(n) or (n == "target" and len(roles.targets) > 1)]
        if taken:
            raise ParameterError(
                f"column {taken[0]!r}: expected another name for a column of times or ids, forecasts have a column of that name; "
                "rename it"
            )
        return roles

    @property
    def names(self) -> list[str]:
        return [self.time, *self.ids, *self.targets, *self.known, *self.past, *self.static]


@dataclass(frozen=True)
class History:
    """A table that was read. whole: from the first known target on, its columns are targets, known and past features.

    panel: up to the last known target. features: of each series (steps, known and past features), without gaps. static: a row
    for each series.
    """

    whole: Panel
    panel: Panel
    covariates: Covariates
    features: list[np.ndarray]
    static: Frame | None = None

    @classmethod
    def of(cls, whole: Panel, targets: int, covariates: Covariates, static: Frame | None = None) -> History:
        whole = whole.since_known(targets)
        panel = whole.until_known(targets)
        return cls(whole, panel, covariates, [without_gaps(part[:, targets:]) for part in panel.values], static)

    def take(self, series: Sequence[int]) -> History:
        """Some series, by number."""
        static, whole = None if self.static is None else self.static.take(series), self.whole.take(series)
        return replace(
            self, whole=whole, panel=self.panel.take(series), features=[self.features[i] for i in series], static=static
        )

    def last_steps(self, lookback: int, horizon: int) -> Panel:
        """Of each series the last `lookback` steps up to a known target, and of the `horizon` after it those in the table.

        From a step earlier on where targets have a gap there: what a gap takes is before it.
        """
        ends, targets = self.panel.steps, len(self.panel.columns) - self.covariates.width
        asked = np.maximum(ends - lookback, 0)
        begins = np.array([_known_before(p[:, :targets], b) for p, b in zip(self.panel.values, asked, strict=True)])
        values = [part[b : e + horizon].copy() for part, b, e in zip(self.whole.values, begins, ends, strict=True)]
        return replace(self.whole, starts=self.whole.starts + begins * self.whole.calendar.frequency.step, values=values)


def _known_before(targets: np.ndarray, begin: int) -> int:
    """The latest step up to `begin` since which each target, (steps, targets), that has a value until then has one."""
    known = (np.flatnonzero(column) for column in np.isfinite(targets[: begin + 1]).T)
    return min((int(found[-1]) for found in known if len(found)), default=begin)


def read_rows(
    table: Any, roles: Roles, names: Sequence[str], calendar: Calendar | None, what: str, others: Sequence[str] = ()
) -> tuple[Frame, np.ndarray, TimeType]:
    """The frame of the named columns and of others that are there, and its times.

    calendar: of an earlier table. what: the table's name in messages.
    """
    table = with_index(table, roles.time)
    if getattr(table, "shape", (1,))[0] == 0:
        raise SchemaError(f"{what}: expected one row a step, received a table without rows")
    frame = read_frame(table, only=[*names, *others])
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise SchemaError(
            f"{what}: expected the columns {', '.join(map(repr, names))}, the table lacks {', '.join(map(repr, missing))}; "
            "add them, or correct the names"
        )
    return frame, *read_times(table, roles.time, None if calendar is None else calendar.type)


def read_targets(frame: Frame, names: Sequence[str]) -> np.ndarray:
    """(rows, targets) float64, NaN for gaps."""
    parts = []
    for name in names:
        cells = frame.columns[name]
        if cells.dtype.kind == "M":
            raise TargetError(f"target {name!r}: expected numbers, received times; name another column, or give numbers")
        try:
            numbers = cells.astype(np.float64) if cells.dtype.kind in "iufb" else parse_numbers(name, cells, None)[0]
        except SchemaError as error:
            found = str(error).partition(";")[0]
            raise TargetError(f"target: {found}; make its cells numbers, decimal commas by read_csv(..., decimal=',')") from None
        if np.isinf(numbers).any():
            raise TargetError(
                f"target {name!r}: received infinity in row {int(np.argmax(np.isinf(numbers)))}; give NaN for a gap"
            )
        parts.append(numbers)
    return np.stack(parts, axis=1)


def read_history(
    table: Any, roles: Roles, covariates: Covariates | None, calendar: Calendar | None, what: str, anomalies: bool = False
) -> History:
    """covariates, calendar: of an earlier table, which this one must fit; None: learned from this one.

    anomalies: leave them in the targets.
    """
    names = [name for name in roles.names if calendar is None or name not in roles.static]
    frame, times, type = read_rows(table, roles, names, calendar, what, roles.static)
    targets = read_targets(frame, roles.targets)
    known = np.flatnonzero(np.isfinite(targets).any(axis=1))
    learned = covariates or Covariates.learn(frame.take(known) if len(known) else frame, [*roles.known, *roles.past])
    features = learned.encode(frame, what)
    if covariates is None:
        _check_known(roles.known, learned.owners, features[known])
    numbers = np.concatenate([targets, features], axis=1)
    ids = {name: frame.columns[name] for name in roles.ids}
    panel = make_panel(times, type, ids, numbers, [*roles.targets, *learned.owners], calendar)
    if not anomalies:
        panel = _without_anomalies(panel, roles, learned.first(len(roles.known)).width, what)
    static = read_static(frame, roles, frame.rows)
    kept = _with_values(panel, roles.targets, what)
    if len(kept) < len(panel):
        panel, static = panel.take(kept), None if static is None else static.take(kept)
    return History.of(panel, len(roles.targets), learned, static)


def _check_known(names: Sequence[str], owners: Sequence[str], features: np.ndarray) -> None:
    """features: (steps with a known target, features), each of a column in `owners`; an error where a column has no value."""
    for name in names:
        if np.isnan(features[:, [owner == name for owner in owners]]).all() and len(features):
            raise SchemaError(
                f"known column {name!r}: expected values where the target is known, received only gaps; fill them, or fit "
                f"without known={name!r}"
            )


def _without_anomalies(panel: Panel, roles: Roles, known: int, what: str) -> Panel:
    """Gaps in the place of spikes and closures of the targets, but for those that known features, `known` columns, may tell of.

    A spike of a hundred times the others, squared, would be all that a linear kernel learns. what: the table's name in a warning.
    """
    values: list[np.ndarray] = []
    gone: dict[str, list[tuple[int, int, float]]] = {"spikes": [], "closures": []}
    for i, part in enumerate(panel.values):
        told, cleaned = part[:, len(roles.targets) : len(roles.targets) + known], part.copy()
        for k in range(len(roles.targets)):
            for kind, find in (("spikes", find_spikes), ("closures", find_closures)):
                there = find(part[:, k])
                usual = np.isfinite(part[:, k]) & ~there & ((part[:, k] != 0) | (kind == "spikes"))
                there[there] = ~_tells(told[there], told[usual])
                cleaned[there, k] = np.nan
                gone[kind] += [(i, int(step), float(part[step, k])) for step in np.flatnonzero(there)]
        values.append(cleaned)
    for kind, cells in gone.items():
        if cells:
            _tell_anomalies(panel, len(roles.targets), kind, cells, what)
    return replace(panel, values=values) if any(gone.values()) else panel


def _tells(told: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(steps,) bool: where known features are what they are at none of the usual steps; both (steps, features)."""
    low, high = np.fmin.reduce(usual, initial=np.nan), np.fmax.reduce(usual, initial=np.nan)
    gaps, usual_gaps = np.isnan(told), np.isnan(usual)
    other = (told < low) | (told > high) | (gaps & ~usual_gaps.any(axis=0)) | (~gaps & usual_gaps.all(axis=0))
    return other.any(axis=1)


def _tell_anomalies(panel: Panel, targets: int, kind: str, cells: list[tuple[int, int, float]], what: str) -> None:
    i, step, value = cells[0]
    time = panel.calendar.show(int(panel.starts[i] + panel.calendar.frequency.step * step))
    reason, example = {
        "spikes": ("as they stand alone far beyond the others of their series", f"{value:g} at"),
        "closures": ("as so many zeros on end are nowhere else in their series", "from"),
    }[kind]
    warnings.warn(
        f"{what}: takes {len(cells)} of {int(panel.steps.sum()) * targets} values of the target for gaps, {reason}: {example} "
        f"{time} of {panel.name(i)}{', ...' if len(cells) > 1 else ''}; if such values will come again, name a column that tells "
        "of them in known=",
        UserWarning,
        stacklevel=6,  # whoever calls fit or predict
    )


def _with_values(panel: Panel, targets: Sequence[str], what: str) -> list[int]:
    """Series with a known value of each target; a warning names the others, an error where there is none."""
    empty = np.array([np.isnan(part[:, : len(targets)]).all(axis=0) for part in panel.values])  # (series, targets)
    gone = np.flatnonzero(empty.any(axis=1))
    if len(gone) == len(panel):
        raise TargetError(
            f"{what}: expected known values of {targets[int(np.argmax(empty[0]))]!r} in {panel.name(0)}, received only gaps; "
            "name another column, or give numbers"
        )
    if len(gone):
        warnings.warn(
            f"{what}: {len(gone)} of {len(panel)} series are left out, as they have no known value of "
            f"{' or '.join(map(repr, targets))}: {', '.join(map(panel.name, gone[:3]))}{', ...' if len(gone) > 3 else ''}",
            UserWarning,
            stacklevel=5,  # whoever calls fit or predict
        )
    return [i for i in range(len(panel)) if not empty[i].any()]


def read_static(frame: Frame, roles: Roles, rows: int) -> Frame | None:
    """The static columns with one row a series, in the order in which series first appear; None where these are not told."""
    if not roles.static or not set(roles.static) <= {*frame.columns}:
        return None
    ids, columns = {name: frame.columns[name] for name in roles.ids}, {}
    remedy = "give it as known= or past= where it changes"
    for name in roles.static:
        cells = frame.columns[name]
        columns[name] = cells[only_known(f"static column {name!r}", cells, ids, remedy)[1]]
    return replace(frame.take(group_rows(ids, rows)[1]), columns=columns)


def without_gaps(values: np.ndarray) -> np.ndarray:
    """(steps, features): a gap takes the last known value."""
    if not np.isnan(values).any():
        return values
    return np.stack([fill_gaps(column, 1) for column in values.T], axis=1)


def read_future(table: Any, roles: Roles, past: History, horizon: int) -> np.ndarray:
    """Known features of the next steps of each series, (series, horizon, features); complete, or an error that names a gap.

    table: None, or with rows that `past` does not have after the last known targets.
    """
    known, panel, targets = past.covariates.first(len(roles.known)), past.panel, len(roles.targets)
    found = np.full((len(panel), horizon, known.width), np.nan)
    there = np.zeros((len(panel), horizon), bool)
    for i, (part, end) in enumerate(zip(past.whole.values, panel.steps, strict=True)):
        late = part[end : end + horizon, targets : targets + known.width]
        found[i, : len(late)], there[i, : len(late)] = late, True
    if table is not None:
        frame, times, type = read_rows(table, roles, [roles.time, *roles.ids, *roles.known], panel.calendar, "future")
        ids = {name: frame.columns[name] for name in roles.ids}
        rows = make_panel(times, type, ids, known.encode(frame, "future"), known.owners, panel.calendar)
        number = {key: i for i, key in enumerate(panel.keys)}
        for key, start, values in zip(rows.keys, rows.starts, rows.values, strict=True):
            if key not in number:
                continue
            i = number[key]
            offset = (start - panel.axis_after(i, 1)[0]) / panel.calendar.frequency.step
            steps = offset + np.arange(len(values))
            inside = (steps >= 0) & (steps < horizon) & (steps == np.floor(steps))
            at = steps[inside].astype(int)
            found[i, at] = np.where(np.isnan(values[inside]), found[i, at], values[inside])
            there[i, at] = True
    _check_future(found, there, panel, known)
    return found


def _check_future(found: np.ndarray, there: np.ndarray, panel: Panel, known: Covariates) -> None:
    gaps = np.isnan(found).any(axis=2)
    if not gaps.any():
        return
    i, step = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
    time = panel.calendar.show(int(panel.axis_after(int(i), int(step) + 1)[-1]))
    lacks = [owner for owner, gap in zip(known.owners, np.isnan(found[i, step]), strict=True) if gap]
    row = f"a gap in {lacks[0]!r}" if there[i, step] else "no row"
    raise SchemaError(
        f"future: expected {', '.join(map(repr, known.names))} for each of the next {found.shape[1]} steps, received {row} at "
        f"{time} of {panel.name(int(i))}; add it, leave out the series in history= if it has ended, or fit without "
        f"known={lacks[0]!r}"
    )
