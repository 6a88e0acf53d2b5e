"""Series in the cells of a table: one row a series, one column a channel, each cell a 1-D array over the steps.

A series of numbers is float64 with NaN where missing; one of text is an object array with None where missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.errors import ParameterError, SchemaError

if TYPE_CHECKING:
    from tabdl.times import TimeType

SHAPES = (
    "expected series as an array (rows, steps, channels), a list of arrays (steps, channels), a table whose cells hold arrays, "
    "or a long table with id= and time="
)

STEP = "log_step"  # name of the channel that tells irregular times


def is_series(cell: Any) -> bool:
    """Whether a cell holds a series: a list or a 1-D array of any library."""
    return isinstance(cell, (list, tuple, np.ndarray)) or (hasattr(cell, "__array__") and len(getattr(cell, "shape", ())) > 0)


def holds_series(array: np.ndarray) -> bool:
    """Whether a column in canonical form holds series."""
    return array.dtype == object and any(type(cell) is np.ndarray for cell in array)


def read_cells(cells: Iterable[Any], name: str) -> np.ndarray:
    """Cells that hold series, or None, -> canonical ones, in an object array (rows,)."""
    cells = list(cells)
    array = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        array[row] = None if cell is None else _read_cell(cell, name, row)
    return array


def _read_cell(cell: Any, name: str, row: int) -> np.ndarray:
    if not is_series(cell):
        raise SchemaError(
            f"column {name!r} should hold a series in each cell, received {cell!r} in row {row}; give a list of numbers, or None"
        )
    values = np.asarray(cell)
    if values.dtype.kind == "U":  # NumPy has made texts of numbers too
        values = np.array(cell, dtype=object)
    if values.ndim != 1:
        raise SchemaError(
            f"column {name!r} should hold series of one channel, received an array of shape {values.shape} in row {row}; "
            "give each channel a column of its own"
        )
    return canonical_steps(values, name, row)


def canonical_steps(values: np.ndarray, name: str, row: int) -> np.ndarray:
    """One channel of one series, (steps,), as float64 or as text."""
    if values.dtype.kind in "OUS":
        gaps = np.fromiter((v is None or v != v or type(v).__name__ in ("NAType", "NaTType") for v in values), bool, len(values))
        if not gaps.all() and all(isinstance(v, str) for v in values[~gaps]):
            texts = values.astype(object)
            texts[gaps] = None
            return texts
        values = np.where(gaps, np.nan, values) if gaps.any() else values
    try:
        if values.dtype.kind in "mMc":
            raise TypeError(values.dtype)
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as cause:
        raise SchemaError(
            f"column {name!r} should hold series of numbers or of text, received {cause} in row {row}; convert them"
        ) from cause
    if np.isinf(numbers).any():
        raise SchemaError(f"Input X contains infinity: column {name!r}, row {row}; replace it by a number, or NaN for a gap")
    return numbers


def parse_steps(cells: np.ndarray, gaps: Sequence[str], name: str) -> np.ndarray:
    """Series, where those of numbers written as text have become numbers; gaps: texts that stand for one."""
    from tabdl.cells import numbers_of

    texts = [row for row, cell in enumerate(cells) if type(cell) is np.ndarray and cell.dtype == object]
    parsed = cells.copy() if texts else cells
    for row in texts:
        try:
            numbers = numbers_of(cells[row].tolist(), gaps)
        except ValueError:  # other text stays
            continue
        parsed[row] = canonical_steps(numbers, name, row)
    return parsed


def from_array(X: np.ndarray, channels_first: bool) -> dict[str, np.ndarray]:
    """(rows, steps, channels), or (rows, channels, steps), -> a column a channel."""
    if X.dtype.kind == "c":
        raise SchemaError("Complex data not supported; pass the real and the imaginary part as two channels")
    X = np.moveaxis(X, 1, 2) if channels_first else X
    if len(X) == 0:
        raise SchemaError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
    if 0 in X.shape[1:]:
        raise SchemaError(
            f"{SHAPES}, received an array of shape {X.shape} without a step or a channel; give at least one of each"
        )
    return {f"x{c}": read_cells(list(X[:, :, c]), f"x{c}") for c in range(X.shape[2])}


def as_rows(X: Any) -> Any:
    """A 1-D array of arrays as a list of these."""
    return list(X) if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object and any(map(is_series, X)) else X


def is_list(X: Any) -> bool:
    """Whether these are rows of numbers in a list: series, where series are expected."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(map(is_series, X))


def is_list_of_series(X: Any) -> bool:
    """Whether a list holds a series a row, as arrays or tables (steps, channels), or as rows of unequal lengths."""
    if not isinstance(X, (list, tuple)):
        return False
    rows = [row for row in X if is_series(row)]
    return any(_depth(row) > 1 for row in rows) or (len(rows) == len(X) and len({len(row) for row in rows}) > 1)


def _depth(row: Any) -> int:
    return len(row.shape) if hasattr(row, "shape") else 1 + any(np.ndim(cell) > 0 for cell in row[:1])


def from_list(X: Sequence[Any], channels_first: bool) -> tuple[dict[str, np.ndarray], bool]:
    """One array a row, (steps, channels) or (steps,), of any lengths, -> a column a channel; whether tables named these.

    The channels of tables are found by their names, in the order of the first.
    """
    rows, names = [_array(row, i) for i, row in enumerate(X)], [_names(row) for row in X]
    named = not channels_first and any(names)
    first = next((i for i, own in enumerate(names) if own), 0)
    for i, own in enumerate(names if named else ()):
        if own and own != names[first]:
            if sorted(own) != sorted(names[first]) or len(set(own)) < len(own):
                raise SchemaError(
                    f"{SHAPES}; received a table with the columns {own} in row {i} beside {names[first]} in row {first}; "
                    "give all rows the same channels"
                )
            rows[i] = rows[i][:, [own.index(name) for name in names[first]]]
    rows = [row[:, None] if row.ndim == 1 else row.T if channels_first and row.ndim == 2 else row for row in rows]
    shapes = {row.shape[1:] for row in rows}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        odd = next(i for i, row in enumerate(rows) if row.ndim != 2 or row.shape[1:] != rows[0].shape[1:] or len(shapes) == 1)
        raise SchemaError(
            f"{SHAPES}; received an array of shape {np.shape(X[odd])} in row {odd} beside {np.shape(X[0])} in row 0; "
            "give all rows the same channels"
        )
    found = names[first] if named else [f"x{c}" for c in range(rows[0].shape[1])]
    return {name: read_cells([row[:, c] for row in rows], name) for c, name in enumerate(found)}, named


def _names(row: Any) -> list[str]:
    """Of the columns of a table; none of anything else, or where they are no text."""
    names = getattr(row, "column_names", getattr(row, "columns", ()))
    return [*names] if all(isinstance(name, str) for name in names) else []


def _array(row: Any, i: int) -> np.ndarray:
    try:
        return np.asarray(row)
    except ValueError as cause:
        raise SchemaError(f"{SHAPES}, received steps of unequal lengths in row {i}; give each step all channels") from cause


def collect(
    columns: dict[str, np.ndarray],
    id: str | Sequence[str],
    time: str | None,
    series: Iterable[str] | None = None,
    like: TimeType | None = None,
) -> tuple[dict[str, np.ndarray], list[Any], TimeType | None]:
    """A long table, one row a step, -> a row a series, in order of first appearance; their ids, tuples of several columns; times.

    columns: in canonical form. time: orders the steps; where it is irregular, a channel `log_step` has the logarithm of how far
    the last step lies back. series: columns that hold channels; None: those with two known values in an id;
    of the others each series keeps its first known cell. like: how times were written in `fit`.
    """
    from tabdl.panel import first_known, group_rows, name_series
    from tabdl.times import read_moments

    keys = [id] if isinstance(id, str) else [*id]
    _check_roles(columns, keys, time)
    ids = {key: columns[key] for key in keys}
    codes, first = group_rows(ids, len(columns[keys[0]]))
    moments, type = (np.arange(len(codes)), None) if time is None else read_moments(columns[time], time, like)
    order = np.lexsort((moments, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(moments[order]) == 0)
    if twice.any():
        row = order[int(np.argmax(twice)) + 1]
        raise SchemaError(
            f"time={time!r} expects one row a time and id, received two in "
            f"{name_series({key: cells[row] for key, cells in ids.items()})} (row {row}); drop one"
        )
    stops = np.flatnonzero(np.diff(codes[order])) + 1
    parts = np.split(order, stops)
    names = [name for name in columns if name not in (*keys, time)]
    found = {}
    for name in names:
        at, other = first_known(columns[name], codes, first)
        if other.any() if series is None else name in set(series):
            found[name] = read_cells([columns[name][part] for part in parts], name)
        else:
            found[name] = columns[name][at]
    if series is None and not any(map(holds_series, found.values())):
        raise SchemaError("expected a column that varies within an id beside id and time, received none; add the measured values")
    distances = [np.diff(moments[part].astype(np.float64)) for part in parts]
    if STEP in set(series) if series is not None else time is not None and _irregular(distances):
        found[STEP] = read_cells([np.log(np.append(np.nan, d)) for d in distances], STEP)
    named = [cells[first].tolist() for cells in ids.values()]
    return found, named[0] if isinstance(id, str) else list(zip(*named, strict=True)), type


def _check_roles(columns: dict[str, np.ndarray], keys: list[str], time: str | None) -> None:
    if not keys:
        raise ParameterError("id=() expects one column or more, received none; name one, or give id=None")
    for role, name in (*(("id", key) for key in keys), ("time", time)):
        if name is not None and name not in columns:
            raise SchemaError(
                f"{role}={name!r} expects a column of X, which has none of that name; name one of {list(columns)[:9]}"
            )
    if STEP in columns and STEP not in (*keys, time):
        raise SchemaError(f"column {STEP!r} has the name of the channel that tells irregular times; rename it")


def _irregular(distances: list[np.ndarray]) -> bool:
    """Whether steps lie at distances that differ by more than a tenth (months do by less than that)."""
    joined = np.concatenate(distances)
    return len(joined) > 0 and float(joined.max()) > 1.13 * max(float(joined.min()), 1e-300)


def warn_uneven(cells: dict[str, np.ndarray]) -> None:
    """Of a row whose channels have more or fewer steps than each other: they begin together, whatever was meant."""
    lengths = {name: np.array([*map(_length, own)]) for name, own in cells.items()}
    longest = np.max([*lengths.values()], axis=0)
    for name, own in lengths.items():
        rows = np.flatnonzero((own > 0) & (own < longest))
        if len(rows):
            row = rows[0]
            other = next(other for other, steps in lengths.items() if steps[row] == longest[row])
            warnings.warn(
                f"columns {name!r} and {other!r}: series of {own[row]} and {longest[row]} steps in row {row}; the channels of a "
                "row share its steps, so the shorter one ends in gaps; where that is wrong, bring both to the same steps",
                UserWarning,
                stacklevel=2,
            )
            return


def cut(cells: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """Column -> series; of rows with more steps than any had in `fit` the last ones. Gaps at the end of all channels are none."""
    channels = list(cells.values())
    longer = [row for row, parts in enumerate(zip(*channels, strict=True)) if max(map(_length, parts)) > steps]
    if not longer:
        return cells
    ends = {row: max(int(known_steps(channel[row]).max(initial=-1)) + 1 for channel in channels) for row in longer}
    shortened, late = {name: own.copy() for name, own in cells.items()}, [row for row in longer if ends[row] > steps]
    for own in shortened.values():
        for row in longer:
            if _length(own[row]):
                own[row] = own[row][max(ends[row] - steps, 0) : max(ends[row], 1)]
    if late:
        warnings.warn(
            f"columns {', '.join(map(repr, list(cells)[:5]))}: {len(late)} series are longer than the {steps} steps that the "
            f"model knows, such as that of row {late[0]}; their last {steps} are used",
            UserWarning,
            stacklevel=2,
        )
    return shortened


def _length(cell: Any) -> int:
    return len(cell) if type(cell) is np.ndarray else 0


def known_steps(cell: Any) -> np.ndarray:
    """Numbers of the steps of one channel of a row that have a value."""
    if not _length(cell):
        return np.zeros(0, int)
    return np.flatnonzero([value is not None for value in cell] if cell.dtype == object else np.isfinite(cell))
