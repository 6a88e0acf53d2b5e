"""Parquet files that need not fit into memory: read a few rows at a time, in the order of the file or shuffled."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tabdl.errors import MissingDependency, SchemaError, TabdlError, one_line
from tabdl.frames import unique_names

NO_PYARROW = 'Parquet files need pyarrow: pip install "tabdl[parquet]"'
BATCH = 16_384  # rows at a time, in the order of the file
PIECE = 16_384  # rows at a time of one of the row groups that shuffled reading has open
TURN = 4_096  # rows that a turn of a row group should give: a larger group has several turns in a pass ...
TURNS = 8  # ... but not more, for each reads the group anew: a second for a million rows of 50 columns
BUFFER = 65_536  # bytes of a column chunk read at a time: else a whole row group would be held, however large
OPEN_BYTES = 32 * 2**20  # that the open row groups may take, uncompressed
OPEN_GROUPS = (2, 16)  # fewest and most open ones, whatever they take: of huge ones only a page a column is held


@dataclass(frozen=True)
class Parquet:
    """A Parquet file, or a folder of them, that `fit` and `predict` read piece by piece: it need not fit into memory.

    Parameters
    ----------
    path : str or Path
        A file, or a folder whose files `*.parquet` and `*.pq` have the same columns and stand below each other by name. Where
        they differ in the width of a type (int32 and double, categories and text), all are read as the wider one.

    Notes
    -----
    Any estimator takes it as X, with the name of a column as y: `fit(tabdl.Parquet("sales.parquet"), y="bought")`. A file of up
    to 100,000 rows is read as a whole and fitted like a table in memory. Of a larger one

    - one pass draws 100,000 rows at random and finds all classes of y; with weights, one over their column comes before it, and
      no row of weight zero is drawn. From these rows come the schema, the encoder, the scale of y, the initial weights, up to
      20,000 held-out rows and what a network of neighbours remembers;
    - training reads the file again and again, in blocks of 65,536 rows, each row once a pass. `epochs` and `patience` count
      passes, an entry of `history_` is a block, and so is `best_epoch_`. epochs="auto" makes about 2,000 steps, 800 for
      `Neighbors`, and at least one pass: fewer than the 12 epochs that a table of more than 170,000 rows in memory has;
    - rows are shuffled in bounded memory: 2 to 16 row groups are open at a time, in random order, a group of more than 4,096 rows
      has up to 8 turns a pass, each with other rows drawn at random from all of it, and a block is drawn from a pool of 196,608
      rows. So a file sorted by date or by y trains about as well as a shuffled one, if it has many row groups: write it with
      groups of 10,000 to 100,000 rows.

    What a table in memory allows and this does not: `bagging`, `checkpoint`, `partial_fit`, several columns of y.

    Examples
    --------
    >>> import tempfile, tabdl
    >>> from pathlib import Path
    >>> X, y = tabdl.datasets.make_conversion(500, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "customers.parquet"
    ...     X.assign(bought=y).to_parquet(path, row_group_size=100)
    ...     table = tabdl.Parquet(path)
    ...     model = tabdl.MLPClassifier(epochs=1, random_state=0).fit(table, y="bought")
    ...     table.rows, model.predict_proba(table).shape
    (500, (500, 2))
    """

    path: str | Path

    @property
    def rows(self) -> int:
        """Rows of the file, or of all files of the folder."""
        return sum(group.rows for group in self._groups())

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without those that pandas keeps as an index."""
        with _readable(self.path), _open(self._files()[0]) as file:
            return _columns(file)

    def read(self) -> Any:
        """The whole table, as one of pyarrow."""
        return stacked([batch for _, batch in self.batches()])

    def batches(self, columns: Sequence[str] | None = None, rows: int | None = None) -> Iterator[tuple[int, Any]]:
        """(number of the first row, pyarrow table of up to 16,384 rows, or so many), in the order of the file."""
        for group in self._groups():
            yield from group.read(rows or BATCH, columns)

    def shuffled(self, seed: int, columns: Sequence[str] | None = None) -> Iterator[tuple[np.ndarray, Any]]:
        """(numbers of some rows, pyarrow table of these), each row once, from several row groups by turns."""
        rng, groups = np.random.default_rng(seed), self._groups()
        import pyarrow  # after `_groups`, which tells of a missing one

        turns = [(group, turn) for group in groups for turn in range(group.turns)]
        waiting = [turns[i] for i in rng.permutation(len(turns))]
        most = int(np.clip(OPEN_BYTES // max(1, *(group.size for group in groups)), *OPEN_GROUPS))
        reading: list[Any] = []
        try:
            while waiting or reading:
                while waiting and len(reading) < most:
                    group, turn = waiting.pop()
                    reading.append(group.draw(turn, seed, columns))
                place = int(rng.integers(len(reading)))
                piece = next(reading[place], None)
                if piece is None:
                    reading.pop(place)
                else:
                    yield piece
        finally:
            for drawing in reading:
                drawing.close()
            pyarrow.default_memory_pool().release_unused()  # 200 MB that it would keep for the next pass

    def _files(self) -> list[Path]:
        path = Path(self.path)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".parquet", ".pq"))
            if not files:
                raise FileNotFoundError(f"there is no .parquet file in the folder {path}; name one, or its folder")
            return files
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return [path]

    def _groups(self) -> list[_Group]:
        groups, first, footers, types = [], 0, {}, {}
        with _readable(self.path):
            for path in self._files():
                with _open(path) as file:
                    footers[path] = file.metadata
                    found = {name: file.schema_arrow.field(name).type for name in _columns(file)}
                types = _unified(types, found, path) if types else {name: (kind, path) for name, kind in found.items()}
        kinds = {name: kind for name, (kind, _) in types.items()}
        for path, footer in footers.items():
            for number in range(footer.num_row_groups):
                group = footer.row_group(number)
                groups.append(_Group(path, footer, number, first, group.num_rows, group.total_byte_size, kinds))
                first += group.num_rows
        if not first:
            raise SchemaError(f"expected rows in {self.path}, received a file without any; write some")
        return groups


def stacked(tables: list[Any]) -> Any:
    """Tables of pyarrow below each other; values of categories, which each row group numbers on its own, are numbered anew."""
    import pyarrow

    return pyarrow.concat_tables(tables).unify_dictionaries()


@dataclass(frozen=True)
class _Group:
    """A row group: `first` is the number of its first row in the whole table, `size` its uncompressed bytes.

    types: of the columns of the table, in their order; other files of a folder may have made them wider.
    """

    path: Path
    footer: Any
    number: int
    first: int
    rows: int
    size: int
    types: dict[str, Any]

    def read(self, rows: int, columns: Sequence[str] | None) -> Generator[tuple[int, Any], None, None]:
        """(number of the first row, pyarrow table of up to `rows` rows), in order."""
        import pyarrow

        first = self.first
        with _readable(self.path), _open(self.path, self.footer) as file:
            names = [name for name in self.types if columns is None or name in columns]
            for batch in file.iter_batches(rows, row_groups=[self.number], columns=names, use_threads=False):
                if batch.num_rows:
                    yield first, self._widened(pyarrow.Table.from_batches([batch]).select(names))
                    first += batch.num_rows

    def _widened(self, table: Any) -> Any:
        for place, name in enumerate(table.column_names):
            if table.field(place).type != self.types[name]:
                table = table.set_column(place, name, table.column(place).cast(self.types[name]))
        return table

    @property
    def turns(self) -> int:
        return int(np.clip(self.rows // TURN, 1, TURNS))

    def draw(self, turn: int, seed: int, columns: Sequence[str] | None) -> Iterator[tuple[np.ndarray, Any]]:
        """(numbers, pyarrow table) of the rows that chance gives to one of the turns, in order."""
        given = np.random.default_rng((seed, self.first)).integers(self.turns, size=self.rows, dtype=np.int8)
        with closing(self.read(PIECE, columns)) as pieces:
            for first, piece in pieces:
                own = np.flatnonzero(given[first - self.first : first - self.first + piece.num_rows] == turn)
                if len(own):
                    yield first + own, piece if len(own) == piece.num_rows else piece.take(own)


def _open(path: Path, footer: Any = None) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path, metadata=footer, buffer_size=BUFFER, pre_buffer=False)


def _columns(file: Any) -> list[str]:
    """Names of the columns that are no index of pandas."""
    told = file.schema_arrow.pandas_metadata or {}
    index = {name for name in told.get("index_columns", []) if isinstance(name, str)}
    return [name for name in unique_names(file.schema_arrow.names) if name not in index]


def _unified(types: dict[str, Any], found: dict[str, Any], path: Path) -> dict[str, Any]:
    """{column: (type, file that it is from)} of the files so far, wide enough for those of the file `path`, too."""
    first = next(iter(types.values()))[1]
    for one, other, here, there in ((types, found, path, first), (found, types, first, path)):
        lacking = [name for name in one if name not in other]
        if lacking:
            raise SchemaError(
                f"{here} lacks the column {lacking[0]!r}, which {there} has; write all files of the folder with the same columns"
            )
    wider = {}
    for name, (kind, source) in types.items():
        both = _wider(kind, found[name])
        if both is None:
            raise SchemaError(
                f"column {name!r} holds {found[name]} in {path} and {kind} in {source}; write one type into all files"
            )
        wider[name] = both, source if both == kind else path
    return wider


def _wider(one: Any, other: Any) -> Any:
    """The type of pyarrow that holds the values of both, None where they mean different things."""
    import pyarrow

    if one == other:
        return one
    plain = [kind.value_type if pyarrow.types.is_dictionary(kind) else kind for kind in (one, other)]
    if (plain[0] == one) != (plain[1] == other):  # numbered values and plain ones
        return _wider(*plain)
    try:
        schemas = [pyarrow.schema([("column", kind)]) for kind in (one, other)]
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pyarrow.ArrowTypeError:
        return None


@contextmanager
def _readable(path: Any) -> Iterator[None]:
    """What goes wrong in reading a Parquet file, in one sentence."""
    try:
        yield
    except ImportError:
        raise MissingDependency(NO_PYARROW) from None
    except (ValueError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
        if isinstance(error, TabdlError) or getattr(error, "errno", None) is not None or isinstance(error, FileNotFoundError):
            raise
        raise SchemaError(f"{path} is not a readable Parquet file: {one_line(error)}; write it again") from None
