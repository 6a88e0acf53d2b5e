"""Any table a user may hold -> one plain form: a dict of 1-D NumPy arrays. Nothing is changed, or copied without need.

Canonical arrays: numbers and booleans without gaps as NumPy holds them; float64 with NaN for numbers with gaps; datetime64[us]
with NaT, in UTC when a time zone was known; seconds as float64 for durations; all else objects (text, booleans with gaps, series
as `tabdl.series` has them), None where missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.errors import SchemaError
from tabdl.series import holds_series, read_cells

if TYPE_CHECKING:
    from tabdl.times import TimeType

NUMERIC = (int, float, Decimal, np.number)
SERIES = (list, tuple, np.ndarray)
SPARSE = "Sparse data was passed, expected a dense table; convert it with `.toarray()`"
COMPLEX = "Complex data not supported\n{}; pass the real and the imaginary part as two columns"


@dataclass
class Frame:
    """A table in canonical form.

    columns: name -> 1-D array of `rows` cells. named: False when the names "x0", "x1", ... were made up for a positional input.
    orders: values of ordered categoricals, lowest first. categorical: names of columns of an unordered categorical type.
    steps: of a table whose columns were the steps of one series a row their names, or how many there were. times: how those of a
    long table were written.
    """

    columns: dict[str, np.ndarray]
    rows: int
    named: bool = True
    orders: dict[str, list] = field(default_factory=dict)
    categorical: frozenset[str] = frozenset()
    steps: tuple[str, ...] | int = ()
    times: TimeType | None = None

    @property
    def channels(self) -> list[str]:
        """Names of the columns that hold series."""
        return [name for name, cells in self.columns.items() if holds_series(cells)]

    def take(self, rows: Any) -> Frame:
        """Some rows (slice, mask or indices), in the given order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        kept = len(next(iter(columns.values())))
        return Frame(columns, kept, self.named, self.orders, self.categorical, self.steps, self.times)


def read_frame(X: Any, only: Sequence[str] | None = None) -> Frame:
    """Reads pandas, polars and pyarrow tables, 2-D arrays, lists of lists, lists of dicts or a dict of columns.

    `only` limits a table with named columns to those that it holds of these names: the rest is never touched.
    """
    if isinstance(X, Frame):
        return X
    frame = _reader(X)(X, only)
    if frame.rows == 0:
        raise SchemaError(f"Found array with 0 sample(s) (shape=(0, {len(frame.columns)})) while a minimum of 1 is required.")
    if not frame.columns and only is None:
        raise SchemaError(f"Found array with 0 feature(s) (shape=({frame.rows}, 0)) while a minimum of 1 is required.")
    return frame


def _reader(X: Any) -> Callable[[Any, Sequence[str] | None], Frame]:
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(X, pandas.DataFrame):
        return _from_pandas
    if isinstance(X, np.ndarray):
        return _from_array
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(SPARSE)
    if isinstance(X, Mapping):
        return _from_columns
    if isinstance(X, (list, tuple)):
        return _from_records if X and isinstance(X[0], Mapping) else _from_list
    if pandas is not None and isinstance(X, pandas.Series):
        raise _one_dimension(X.to_numpy())
    if _is_native_table(X):
        return _from_narwhals
    return lambda X, only: _from_array(np.asarray(X), only)


def _is_native_table(X: Any) -> bool:
    home = type(X).__module__.partition(".")[0]
    if home == "tabdl" and type(X).__name__ == "Parquet":
        raise TypeError(
            f"expected a table in memory, received {X!r}; read it with `.read()`, or some rows with `next(file.batches())[1]`"
        )
    if home == "polars" and type(X).__name__ == "LazyFrame":
        raise TypeError("expected a table, received a polars LazyFrame; call `.collect()` on it first")
    return home in ("polars", "pyarrow", "narwhals", "modin", "cudf") and len(getattr(X, "shape", (0, 0))) == 2


def _one_dimension(array: np.ndarray) -> SchemaError:
    return SchemaError(
        f"Expected 2D array, got 1D array instead:\narray={array}.\n"
        "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) "
        "if it contains a single sample."
    )


# --- one reader a source ------------------------------------------------------------------------------------------------


def _from_pandas(X: Any, only: Sequence[str] | None) -> Frame:
    names = unique_names(X.columns.tolist())  # a list: walking the index of a frame is slow
    frame = Frame({}, len(X))
    wanted = None if only is None else set(only)
    for name, (_, series) in zip(names, X.items(), strict=True):
        if wanted is None or name in wanted:
            frame.columns[name] = _from_series(name, series, frame)
    return frame


def _from_series(name: str, series: Any, frame: Frame) -> np.ndarray:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return canonical(series.to_numpy(), name)
    array = series.array
    if hasattr(array, "categories"):
        return _from_categorical(name, array, frame)
    if dtype.name in ("str", "string"):
        return array.to_numpy(dtype=object, na_value=None)
    if getattr(dtype, "tz", None) is not None:  # zoned times
        return canonical(array.tz_convert("UTC").tz_localize(None).to_numpy(), name)
    if hasattr(dtype, "pyarrow_dtype"):
        return _from_arrow(name, array.__arrow_array__(), frame)
    if hasattr(array, "_mask") or dtype.kind in "iufb":  # nullable and sparse numbers
        gaps = np.asarray(array.isna())
        if not gaps.any():
            return canonical(array.to_numpy(dtype=getattr(dtype, "numpy_dtype", None)), name)
        if dtype.kind != "b":
            return array.to_numpy(dtype=np.float64, na_value=np.nan)
        return array.to_numpy(dtype=object, na_value=None)
    return canonical(np.asarray(series.to_numpy(dtype=object)), name)  # periods, intervals, extensions of others


def _from_categorical(name: str, array: Any, frame: Frame) -> np.ndarray:
    """pandas categoricals keep their codes: only the categories are turned into objects."""
    values = canonical(np.asarray(array.categories), name).tolist()
    if array.ordered:
        frame.orders[name] = values
    else:
        frame.categorical |= {name}
    table = np.empty(len(values) + 1, dtype=object)  # code -1 lands on the last entry: None
    table[: len(values)] = values
    return table[array.codes]


def _from_arrow(name: str, array: Any, frame: Frame) -> np.ndarray:
    """A pyarrow Array or ChunkedArray."""
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if pa.types.is_dictionary(kind):
        if kind.ordered:
            frame.orders[name] = array.dictionary.to_pylist()
        else:
            frame.categorical |= {name}
        array = array.dictionary_decode()
    elif pa.types.is_temporal(kind) and not pa.types.is_time(kind) and not pa.types.is_interval(kind):
        unit = "timedelta64[us]" if pa.types.is_duration(kind) else "datetime64[us]"
        return canonical(array.to_numpy(zero_copy_only=False).astype(unit), name)
    elif pa.types.is_decimal(kind):
        array = array.cast(pa.float64())
    return canonical(array.to_numpy(zero_copy_only=False), name)


def _from_narwhals(X: Any, only: Sequence[str] | None) -> Frame:
    """polars, pyarrow, modin, cuDF: whatever narwhals knows."""
    if type(X).__name__ == "RecordBatch":
        X = sys.modules["pyarrow"].Table.from_batches([X])
    if type(X).__module__.startswith("pyarrow"):  # native columns keep time zones and dictionaries
        pick: Callable[[int], Any] = X.column
        names, rows = unique_names(X.column_names), X.num_rows
    else:
        import narwhals

        table = narwhals.from_native(X, eager_only=True, pass_through=False)
        names, rows = unique_names(table.columns), len(table)
        pick = lambda i: table[table.columns[i]]  # noqa: E731
    frame = Frame({}, rows)
    wanted = None if only is None else set(only)
    for i, name in enumerate(names):
        if wanted is None or name in wanted:
            column = pick(i)
            read = _from_arrow if hasattr(column, "type") else _from_eager
            frame.columns[name] = read(name, column, frame)
    return frame


def _from_eager(name: str, series: Any, frame: Frame) -> np.ndarray:
    """A narwhals Series."""
    kind = str(series.dtype)
    if kind.startswith(("Categorical", "Enum")):
        import narwhals

        frame.categorical |= {name}
        series = series.cast(narwhals.String)
    elif kind.startswith("Decimal"):
        import narwhals

        series = series.cast(narwhals.Float64)
    return canonical(series.to_numpy(), name)


def _from_array(X: np.ndarray, only: Sequence[str] | None) -> Frame:
    if X.dtype.names is not None:
        return _from_columns({name: X[name] for name in X.dtype.names}, only)
    if X.ndim < 2:
        raise _one_dimension(X)
    if X.ndim > 2:
        raise SchemaError(
            f"Found array with dim {X.ndim}, while dim <= 2 is required: a table has rows and columns, received shape {X.shape}; "
            "flatten it with array.reshape(len(array), -1)"
        )
    if isinstance(X, np.ma.MaskedArray):
        cells = X.data.astype(object)
        cells[np.ma.getmaskarray(X)] = None
        X = cells
    return Frame({f"x{j}": canonical(X[:, j], f"x{j}") for j in range(X.shape[1])}, len(X), named=False)


def _from_list(X: Sequence[Any], only: Sequence[str] | None) -> Frame:
    if len(X) == 0:
        raise SchemaError("Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required.")
    lengths = {len(row) for row in X if isinstance(row, (list, tuple))}
    if len(lengths) > 1:
        raise SchemaError(f"expected rows of equal length, received lengths {sorted(lengths)[:5]}; fill short rows with None")
    plain = np.asarray(X) if not lengths else None
    if plain is not None and (plain.dtype.kind in "fiubc" or plain.ndim < 2):
        return _from_array(plain, only)
    cells = np.empty((len(X), len(X[0])), dtype=object)  # objects: NumPy would turn [1, "a"] into text
    for i, row in enumerate(X):
        cells[i] = row
    return _from_array(cells, only)


def _from_records(X: Sequence[Mapping[Any, Any]], only: Sequence[str] | None) -> Frame:
    """Lists of dicts: a key that a record lacks is a gap."""
    for i, record in enumerate(X):
        if not isinstance(record, Mapping):
            raise SchemaError(f"expected a dict for each row, received {type(record).__name__} in row {i}; pass one dict a row")
    keys = list(dict.fromkeys(key for record in X for key in record))
    return _from_columns({key: [record.get(key) for record in X] for key in keys} or {}, only, rows=len(X))


def _from_columns(X: Mapping[Any, Any], only: Sequence[str] | None, rows: int | None = None) -> Frame:
    names = unique_names(X)
    for name, values in zip(names, X.values(), strict=True):
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise SchemaError(
                f"a dict must map each column to a list of cells, received {type(values).__name__} for column {name!r}; "
                "pass [record] for a single row"
            )
    lengths = {len(values) for values in X.values()}
    if len(lengths) > 1:
        raise SchemaError(f"expected columns of equal length, received lengths {sorted(lengths)[:5]}; fill with None")
    frame = Frame({}, lengths.pop() if lengths else rows or 0)
    wanted = None if only is None else set(only)
    for name, values in zip(names, X.values(), strict=True):
        if wanted is None or name in wanted:
            frame.columns[name] = canonical(values if isinstance(values, np.ndarray) else _objects(values), name)
    return frame


def unique_names(names: Iterable[Any]) -> list[str]:
    """Column names as text; two columns of one name are an error."""
    texts = [name if type(name) is str else str(name) for name in names]
    if len(set(texts)) < len(texts):
        twice = sorted({name for name in texts if texts.count(name) > 1})
        raise SchemaError(f"expected column names that differ, received more than one {', '.join(map(repr, twice))}; rename them")
    return texts


# --- one column ---------------------------------------------------------------------------------------------------------


def canonical(array: np.ndarray, name: str) -> np.ndarray:
    """A 1-D array of any dtype in canonical form; shares memory where nothing has to change."""
    dtype = array.dtype
    kind = dtype.kind
    if kind in "iub" or (kind == "f" and dtype.itemsize in (4, 8)):
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
    if kind == "O":
        return _settle(array, name)
    if kind == "f":
        return array.astype(np.float32 if dtype.itemsize < 4 else np.float64)
    if kind == "M":
        return array.astype("datetime64[us]", copy=False)
    if kind == "m":
        gaps = np.isnat(array)
        return np.where(gaps, np.nan, array.astype("timedelta64[us]").astype(np.int64) / 1e6)
    if kind == "c":
        raise SchemaError(COMPLEX.format(f"column {name!r} holds complex numbers"))
    if kind == "S":
        return np.char.decode(array, "utf-8", "replace").astype(object)
    return array.astype(object)


def _objects(values: Iterable[Any]) -> np.ndarray:
    """A 1-D object array, whatever the cells are (np.array would unpack lists)."""
    cells = list(values)
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _settle(array: np.ndarray, name: str) -> np.ndarray:
    """Objects -> numbers, booleans or times where all cells that are there agree, else objects with None for gaps."""
    types = set(map(type, array))
    if str in types and types <= {str, type(None)}:
        return array
    cells = array.tolist()
    if any(issubclass(t, (float, np.floating, Decimal, np.datetime64)) or t.__name__ in ("NAType", "NaTType") for t in types):
        cells = [None if _is_gap(value) else value for value in cells]
        types = set(map(type, cells))
    if any(issubclass(t, SERIES) or t.__name__ == "Series" for t in types):
        return read_cells(cells, name)
    present = types - {type(None)}
    gaps = len(present) < len(types)
    if present and all(issubclass(t, (bool, np.bool_)) for t in present):
        return _objects([v if v is None else bool(v) for v in cells]) if gaps else np.array(cells, dtype=bool)
    if all(issubclass(t, NUMERIC) for t in present):  # also when every cell is a gap
        return _numbers(cells, gaps, present, name)
    if all(issubclass(t, (date, np.datetime64)) for t in present):
        return np.array([np.datetime64("NaT") if v is None else moment_of(v) for v in cells], dtype="datetime64[us]")
    if all(issubclass(t, (timedelta, np.timedelta64)) for t in present):
        return canonical(np.array([np.timedelta64("NaT") if v is None else v for v in cells], dtype="timedelta64[us]"), name)
    if present == {bytes}:
        return _objects([v if v is None else v.decode("utf-8", "replace") for v in cells])
    if complex in present or any(issubclass(t, np.complexfloating) for t in present):
        raise SchemaError(COMPLEX.format(f"column {name!r} holds complex numbers"))
    return _objects(cells)


def _is_gap(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return bool(value != value) if isinstance(value, (float, np.floating, Decimal, np.datetime64)) else False


def _numbers(cells: list[Any], gaps: bool, present: set[type], name: str) -> np.ndarray:
    if any(issubclass(t, np.complexfloating) for t in present):
        raise SchemaError(COMPLEX.format(f"column {name!r} holds complex numbers"))
    if not gaps and all(issubclass(t, (int, np.integer)) for t in present):
        try:
            return np.array(cells, dtype=np.int64)
        except OverflowError:
            pass
    return np.array([np.nan if v is None else v for v in cells], dtype=np.float64)


def moment_of(value: Any) -> np.datetime64:
    """A date, a datetime or a NumPy time -> microseconds in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC)
        value = value.replace(tzinfo=None)
        if type(value) is not datetime:  # pandas.Timestamp
            value = value.to_pydatetime(warn=False)
    return np.datetime64(value, "us")
