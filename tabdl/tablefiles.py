"""Tables on disk: CSV (also .gz, .bz2, .xz, .zip) and Parquet, read so that neither chunks nor leading zeros change a value."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from tabdl.errors import MissingDependency, SchemaError, one_line
from tabdl.parquet import NO_PYARROW, Parquet

if TYPE_CHECKING:
    import pandas as pd

_TABLE = re.compile(r"\.(csv|tsv|txt|parquet|pq)(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)
_DIALECT_LINES = 200  # of a CSV file, that tell how it is written
_SEPARATORS = ("\t", ";", "|")
_LEADING_ZERO = r"\s*0\d+\s*"


def is_table(path: str | Path) -> bool:
    """Whether the name of a file says that it holds a table."""
    return _TABLE.search(str(path)) is not None


def is_parquet(path: str | Path) -> bool:
    return Path(path).suffix.lower() in (".parquet", ".pq")


def read_table(path: str | Path, text: Iterable[str] | None = None) -> pd.DataFrame:
    """The whole table, row order kept.

    text: columns to read as text. None finds them: integers written with leading zeros (zip codes) stay text.
    """
    _check(path)
    if is_parquet(path):
        return Parquet(path).read().to_pandas()
    with _translated(path):
        dialect = _dialect(path)
        frame = _csv(path, dialect, dtype=dict.fromkeys(text or (), str))
        numbers = [c for c in frame.columns if frame[c].dtype.kind in "iuf"] if text is None else []
        return frame.assign(**_zero_padded(path, dialect, numbers))


def read_chunks(path: str | Path, text: Iterable[str], rows: int = 50_000) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Pairs (values, cells): the values of up to `rows` rows, and the same rows as they are written in the file."""
    _check(path)
    if is_parquet(path):
        for _, batch in Parquet(path).batches(rows=rows):
            values = batch.to_pandas()
            yield values, values
        return
    with _translated(path):
        dialect = _dialect(path)
        values = _csv(path, dialect, dtype=dict.fromkeys(text, str), chunksize=rows)
        cells = _csv(path, dialect, dtype=str, keep_default_na=False, chunksize=rows)
    with values, cells:
        while pair := _next(path, values, cells):
            yield pair


def _next(path: str | Path, values: Iterator[Any], cells: Iterator[Any]) -> tuple[Any, Any] | None:
    with _translated(path):
        found = next(values, None)
        return None if found is None else (found, next(cells))


def write_table(chunks: Iterable[pd.DataFrame], path: str | Path | TextIO) -> int:
    """Write the chunks below each other, at once or not at all; returns the rows. Parquet is held in memory, CSV is not."""
    if not isinstance(path, (str, Path)):
        return _write_csv(chunks, path)
    path = Path(path)
    with _replacing(path) as partial:
        if not is_parquet(path):
            with _opened(partial, "w", path.name) as stream:
                return _write_csv(chunks, stream)
        frame = _pandas().concat(list(chunks), ignore_index=True)
        try:
            frame.to_parquet(partial, index=False)
        except ImportError:
            raise MissingDependency(NO_PYARROW) from None
        except (TypeError, ValueError) as error:  # pyarrow's errors of a conversion are one or the other
            raise SchemaError(
                f"{path} cannot hold this table: {one_line(error)}; give each column a name of its own and one kind of value"
            ) from None
        return len(frame)


def _write_csv(chunks: Iterable[pd.DataFrame], stream: TextIO) -> int:
    rows = 0
    for chunk in chunks:
        chunk.to_csv(stream, index=False, header=rows == 0)
        rows += len(chunk)
    return rows


@contextmanager
def _opened(path: str | Path, mode: Literal["r", "w"], name: str) -> Iterator[TextIO]:
    """A CSV file as text, decompressed or compressed as the ending of its name says."""
    if name.lower().endswith(".zip"):
        with zipfile.ZipFile(path, mode, zipfile.ZIP_DEFLATED) as archive:
            member = archive.namelist()[0] if mode == "r" else name[:-4]
            with archive.open(member, mode, force_zip64=mode == "w") as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
                yield text
        return
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(Path(name).suffix.lower(), open)
    with opener(path, mode + "t", encoding="utf-8", errors="replace" if mode == "r" else "strict", newline="") as text:
        yield text


class _replacing:
    """A temporary file in the same folder, with the same ending, that takes the place of `path` when all went well."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> str:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the folder {self.path.parent} does not exist; create it first")
        handle, self.partial = tempfile.mkstemp(prefix=".", suffix=self.path.name, dir=self.path.parent)
        os.close(handle)
        os.chmod(self.partial, 0o666 & ~_umask())
        return self.partial

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            os.replace(self.partial, self.path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self.partial)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _pandas() -> Any:
    import pandas

    return pandas


def _check(path: str | Path) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not is_table(path):
        raise SchemaError(f"expected a .csv (also .gz, .bz2, .xz, .zip) or .parquet file, received {path}; rename or convert it")


def _csv(path: str | Path, dialect: dict[str, str], **options: Any) -> Any:
    return _pandas().read_csv(path, low_memory=False, index_col=False, **dialect, **options)


def _zero_padded(path: str | Path, dialect: dict[str, str], columns: list[str]) -> dict[str, pd.Series]:
    cells = _csv(path, dialect, dtype=str, usecols=columns) if columns else {}
    return {name: cells[name] for name in columns if cells[name].str.fullmatch(_LEADING_ZERO).any()}


def _dialect(path: str | Path) -> dict[str, str]:
    """A comma separates, unless another usual separator splits the header into more cells; then decimals may have commas."""
    with _opened(path, "r", str(path)) as text:
        lines = list(islice(text, _DIALECT_LINES))
    header = lines[0] if lines else ""
    separator = max((",", *_SEPARATORS), key=header.count)
    cells = [cell.strip().strip('"') for line in lines[1:] for cell in line.split(separator)]
    commas, points = (sum(bool(re.fullmatch(rf"-?\d+{mark}\d+", cell)) for cell in cells) for mark in (",", r"\."))
    return {"sep": separator, "decimal": "," if separator != "," and commas > points else "."}


@contextmanager
def _translated(path: str | Path) -> Iterator[None]:
    """What goes wrong in a CSV file, as a SchemaError in one sentence."""
    errors = _pandas().errors
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", errors.ParserWarning)  # rows with more cells than the header
            yield
    except errors.EmptyDataError:
        raise SchemaError(f"{path} is empty; expected a first line with the column names, then one line a row") from None
    except (errors.ParserError, errors.ParserWarning) as error:
        raise SchemaError(f"{path} is not a regular CSV: {one_line(error)}; quote cells that hold the separator") from None
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    except (gzip.BadGzipFile, zipfile.BadZipFile, lzma.LZMAError, EOFError, zlib.error, IndexError) as error:
        raise SchemaError(f"{path} is damaged or not compressed as its name says: {one_line(error)}; make it again") from None
