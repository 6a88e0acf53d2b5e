"""Tables on disk: every format, awkward cells, damaged files, chunks."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tabdl.errors import MissingDependency, SchemaError
from tabdl.tablefiles import is_parquet, is_table, read_chunks, read_table, write_table

FRAME = pd.DataFrame({"zip": ["01234", "10115", None], "n": [1, 2, 3], "x": [0.1, None, 1e-3], "text": ['a, "b"', "ü", "x\ny"]})


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.zip", "t.csv.xz", "T.CSV", "t.parquet"])
def test_reads_what_it_wrote(tmp_path: Path, name: str) -> None:
    assert write_table([FRAME[:2], FRAME[2:]], tmp_path / name) == 3
    read = read_table(tmp_path / name)
    assert list(read.columns) == list(FRAME.columns)
    assert read["zip"].tolist()[:2] == ["01234", "10115"]
    assert read["text"].tolist() == FRAME["text"].tolist()
    np.testing.assert_array_equal(read["x"], FRAME["x"])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_finds_the_separator(tmp_path: Path, separator: str) -> None:
    FRAME.to_csv(tmp_path / "t.csv", sep=separator, index=False)
    assert read_table(tmp_path / "t.csv").shape == (3, 4)


@pytest.mark.parametrize("cell, value", [("12,5", 12.5), ("-0,5", -0.5), ("12.5", 12.5)])
def test_decimal_commas(tmp_path: Path, cell: str, value: float) -> None:
    (tmp_path / "t.csv").write_text(f"x;text;n\n{cell};a, b;1\n{cell};c;2\n")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"x": [value] * 2, "text": ["a, b", "c"], "n": [1, 2]}
    (values, cells), *_ = read_chunks(tmp_path / "t.csv", ["text"])
    assert values["x"].tolist() == [value] * 2
    assert cells["x"].tolist() == [cell] * 2


def test_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("\ufeffa,b\n1,2\n".encode())
    assert list(read_table(tmp_path / "t.csv").columns) == ["a", "b"]


def test_named_text_columns_keep_their_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("code,n\n1.0,1\n2.50,2\n")
    assert read_table(tmp_path / "t.csv", text=["code"])["code"].tolist() == ["1.0", "2.50"]
    assert read_table(tmp_path / "t.csv")["code"].tolist() == [1.0, 2.5]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_chunks_are_the_table(tmp_path: Path, name: str) -> None:
    write_table([FRAME], tmp_path / name)
    chunks = list(read_chunks(tmp_path / name, ["zip"], rows=2))
    assert [len(values) for values, _ in chunks] == [2, 1]
    assert [len(cells) for _, cells in chunks] == [2, 1]
    assert pd.concat([values for values, _ in chunks])["zip"].tolist()[:2] == ["01234", "10115"]


def test_cells_of_chunks_are_as_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,x\n001,1.50\nNA,\n")
    _, cells = next(read_chunks(tmp_path / "t.csv", ()))
    assert cells.to_numpy().tolist() == [["001", "1.50"], ["NA", ""]]


def test_writes_to_a_stream() -> None:
    stream = io.StringIO()
    assert write_table([FRAME[["n"]], FRAME[["n"]]], stream) == 6
    assert stream.getvalue() == "n\n1\n2\n3\n1\n2\n3\n"


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def chunks():
        yield FRAME
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_table(chunks(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_what_parquet_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"t\.parquet cannot hold this table: .*'x'.*; give each column .* one kind of value"):
        write_table([pd.DataFrame({"a": [1, "x", b"z"]})], tmp_path / "t.parquet")
    assert not os.listdir(tmp_path)


def test_chunks_of_parquet_have_no_index(tmp_path: Path) -> None:
    FRAME.set_index("zip").to_parquet(tmp_path / "t.parquet")
    assert [list(values.columns) for values, _ in read_chunks(tmp_path / "t.parquet", (), rows=2)] == [["n", "x", "text"]] * 2


def test_names_of_tables() -> None:
    assert all(map(is_table, ["a.csv", "a.CSV.gz", "a.tsv", "a.parquet", "dir/a.pq"]))
    assert not any(map(is_table, ["a.tabdl", "a.xlsx", "csv", "a.zip"]))
    assert is_parquet("a.parquet")
    assert not is_parquet("a.csv.gz")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(FileNotFoundError, match="does not exist; create it"):
        write_table([FRAME], tmp_path / "no" / "t.csv")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.xlsx", b"x", "expected a .csv"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n1,2\n3,4,5,6\n", "regular CSV"),
        ("t.csv", b'a,b\n1,"2\n', "regular CSV"),
        ("t.csv", b"name\n\xff\xfe\xfa\n", "not UTF-8"),
        ("t.parquet", b"nonsense" * 10, "not a readable Parquet"),
        ("t.csv.gz", b"nonsense", "damaged"),
        ("t.csv.zip", b"nonsense", "damaged"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SchemaError, match=message):
        read_table(tmp_path / name)
    with pytest.raises(SchemaError, match=message):
        list(read_chunks(tmp_path / name, ()))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for use in (read_table, lambda path: list(read_chunks(path, ())), lambda path: write_table([FRAME], path)):
        with pytest.raises(MissingDependency, match=r'pip install "tabdl\[parquet\]"'):
            use(tmp_path / "t.parquet")


def test_columns_of_one_name(tmp_path: Path) -> None:
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"])
    pyarrow.parquet.write_table(twice, tmp_path / "t.parquet")
    for read in (read_table, lambda path: list(read_chunks(path, ()))):
        with pytest.raises(SchemaError, match="column names that differ, received more than one 'a'"):
            read(tmp_path / "t.parquet")
