"""Will it happen within the next h steps? A long table of series becomes windows to classify."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.timeline import Timeline, as_names, as_pandas, check_columns, numbers_in, with_index

if TYPE_CHECKING:
    import pandas as pd


def event_windows(
    table: Any,
    event: str,
    *,
    time: str,
    id: str | Sequence[str] | None = None,
    within: int,
    lookback: int,
    columns: str | Sequence[str] | None = None,
    step: int = 1,
) -> tuple[pd.DataFrame, pd.Series]:
    """Windows of the past, and whether an event follows: what a classifier of series needs to warn ahead.

    Steps have the frequency that the times of the table have. For each origin, a row with a full lookback behind it, X holds the
    last `lookback` steps up to and with the origin, and y whether the event happens in one of the `within` steps after it. An
    origin with a step ahead that is not known (a gap, a missing row, the end of the table) is left out. Cross-validate with
    `RollingOrigin(horizon, gap=within, time=time)`: y of an origin is known only `within` steps later. Where series have their
    rows at other times (one at full hours, one at half), a gap counts the times of all of them: give so many times more.

    Parameters
    ----------
    table : table of rows with a time (pandas, polars, pyarrow, dict of columns)
    event : str
        Column of truth values (or 0 and 1): whether it happens in this step. NaN is not known.
    time : str
        Column of dates or numbers.
    id : str, sequence of str or None, default=None
        Columns that tell the series apart; None when there is one series.
    within, lookback : int
        Steps ahead and steps behind, 1 or more.
    columns : str, sequence of str or None, default=None
        Channels; all columns of numbers or truth values, the event among them, when None.
    step : int, default=1
        Steps between the origins of a series; the last usable one is always among them when all rows are known.

    Returns
    -------
    X : pandas.DataFrame
        One row an origin, one column a channel; cells are float64 arrays (lookback,), NaN for gaps. The index holds id and time
        of the origin.
    y : pandas.Series
        True or False, with the index of X.

    Raises `SchemaError` for columns that are missing or no numbers and for times that are not regular, `TargetError` for an event
    that is not true or false, `ParameterError` for a number out of range and for series too short for any window.

    >>> from tabdl import event_windows
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=2, days=60, random_state=0)
    >>> table["rush"] = table["sales"] > 1.5 * table["sales"].mean()
    >>> X, y = event_windows(table, "rush", time="date", id="store", within=3, lookback=14, columns=["visitors", "promo"])
    >>> X.shape, list(X.index.names), X["visitors"].iloc[0].shape, y.dtype
    ((44, 2), ['store', 'date'], (14,), dtype('bool'))
    """
    import pandas as pd

    for name, value in (("within", within), ("lookback", lookback), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ParameterError(f"event_windows({name}={value!r}): expected a whole number of steps, 1 or more")
    table, keys = with_index(as_pandas(table), time), [*as_names(id), time]
    channels = _channels(table, keys) if columns is None else as_names(columns)
    check_columns(table, [event, *channels])
    line = Timeline.read(table, time, id)
    happens = _known_ahead(line.grid(_truth(table, event)), within)  # (series, steps)
    series, origin = _origins(line, happens, lookback, step)
    if not len(origin):
        longest = np.bincount(line.series).max()
        raise ParameterError(
            f"expected a series of at least {lookback + within} steps with a known event ahead, received {longest} rows in the "
            "longest series; take a shorter lookback or within"
        )
    windows = origin[:, None] + np.arange(1 - lookback, 1)  # (origins, lookback)
    cells = {name: list(line.grid(numbers_in(table, name))[series[:, None], windows]) for name in channels}
    rows = line.rows()[series, origin]
    index = pd.MultiIndex.from_frame(table[keys].iloc[rows]) if len(keys) > 1 else pd.Index(table[time].iloc[rows], name=time)
    X = pd.DataFrame({name: pd.Series(values, index=index, dtype=object) for name, values in cells.items()}, index=index)
    return X, pd.Series(happens[series, origin] == 1, index=index, name=event)


def _truth(table: pd.DataFrame, event: str) -> np.ndarray:
    values = numbers_in(table, event)
    wrong = ~np.isnan(values) & (values != 0) & (values != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise TargetError(
            f"expected an event that is true or false, received {values[row]:g} in row {row} of {event!r}; "
            "pass a condition such as table[column] > limit"
        )
    return values


def _known_ahead(happens: np.ndarray, within: int) -> np.ndarray:
    """(series, steps): 1 where one of the next `within` steps has the event, 0 where none has, NaN where one is not known."""
    ahead = np.full(happens.shape, np.nan)
    if happens.shape[1] > within:
        windows = np.lib.stride_tricks.sliding_window_view(happens[:, 1:], within, axis=1)
        ahead[:, : windows.shape[1]] = windows.max(axis=-1)
    return ahead


def _origins(line: Timeline, happens: np.ndarray, lookback: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Series and step of each origin, every `step` steps back from the last with a known future."""
    here = line.rows() >= 0
    first = np.where(here.any(axis=1), here.argmax(axis=1), line.shape[1])[:, None]
    at = np.arange(line.shape[1])
    full = here & ~np.isnan(happens) & (at >= first + lookback - 1)
    if not full.any():
        return np.array([], int), np.array([], int)
    latest = at[full.any(axis=0)].max()
    series, origin = np.nonzero(full & ((latest - at) % step == 0))
    return series, origin


def _channels(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    import pandas as pd

    kinds = pd.api.types
    found = [n for n in table.columns if n not in keys and (kinds.is_numeric_dtype(table[n]) or kinds.is_bool_dtype(table[n]))]
    if not found:
        raise SchemaError("expected columns of numbers beside time and id, received none; name them with columns=")
    return found
