"""Parquet files as tables: what is read, in which order, in how much memory, and what is refused."""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow
import pyarrow.parquet
import pytest
from longfiles import FAST, ROWS, SAMPLE, TABLE, Classifier, shrink, written

import tabdl
from tabdl import parquet
from tabdl.errors import MissingDependency, ParameterError, SchemaError, TargetError
from tabdl.estimators import streaming
from tabdl.estimators.rows import hold_out
from tabdl.frames import read_frame
from tabdl.training import blocks


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


# ---- reading ---------------------------------------------------------------------------------------------------------


def numbers_of(pieces: Any) -> list[int]:
    """The column "at" of all pieces, which has to agree with the numbers that come along."""
    found = []
    for first, piece in pieces:
        at = piece.column("at").to_pylist()
        assert at == (list(range(first, first + len(at))) if np.ndim(first) == 0 else first.tolist())
        found += at
    return found


def test_every_row_is_read_once_in_the_order_of_the_file_or_shuffled(tmp_path, small):
    table = written(tmp_path, pd.DataFrame({"at": range(1_000), "other": 0.5}), group=30)
    assert (table.rows, table.columns) == (1_000, ["at", "other"])
    assert numbers_of(table.batches()) == list(range(1_000))
    shuffled = numbers_of(table.shuffled(0))
    assert sorted(shuffled) == list(range(1_000))
    assert shuffled == numbers_of(table.shuffled(0)) != numbers_of(table.shuffled(1))
    places = np.array(shuffled[:200])
    assert len(np.unique(places // 30)) >= 10, "the first rows should come from all over the file"
    assert table.read().column("at").to_pylist() == list(range(1_000))
    assert next(table.batches(["other"]))[1].column_names == ["other"]


def test_a_folder_is_the_files_below_each_other(tmp_path, small):
    whole = pd.DataFrame({"at": range(100)})
    for start in range(0, 100, 25):
        written(tmp_path, whole[start : start + 25].reset_index(drop=True), 10, f"part{start:03d}.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    table = tabdl.Parquet(str(tmp_path))
    assert numbers_of(table.batches()) == list(range(100))
    assert sorted(numbers_of(table.shuffled(0))) == list(range(100))
    written(tmp_path, pd.DataFrame({"other": [1.0]}), name="z.parquet")
    with pytest.raises(SchemaError, match=r"z\.parquet lacks the column 'at', which .*part000\.parquet has; write all files"):
        table.rows  # noqa: B018


NUMBERED = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())


@pytest.mark.parametrize(
    "first, second, wider",
    [
        (pyarrow.int32(), pyarrow.int64(), pyarrow.int64()),
        (pyarrow.int64(), pyarrow.float64(), pyarrow.float64()),
        (pyarrow.float64(), pyarrow.float32(), pyarrow.float64()),
        (NUMBERED, pyarrow.string(), pyarrow.string()),
        (pyarrow.large_string(), NUMBERED, pyarrow.large_string()),
        (NUMBERED, pyarrow.dictionary(pyarrow.int16(), pyarrow.string()), None),
        (pyarrow.null(), pyarrow.string(), pyarrow.string()),
        (pyarrow.timestamp("ms"), pyarrow.timestamp("us"), pyarrow.timestamp("us")),
    ],
    ids=str,
)
def test_types_of_a_folder_differ_in_width(first, second, wider, tmp_path, small):
    cells = ["2", "1"] if "string" in f"{first}{second}" else [2, 1]
    expected = []
    for name, kind in (("a", first), ("b", second), ("c", first)):
        own = pyarrow.array([None, None] if kind == pyarrow.null() else cells).cast(kind)
        expected += own.cast(wider or own.type).to_pylist()
        columns = {"x": own, "at": pyarrow.array([0, 1])}
        table = pyarrow.table(columns if name != "b" else dict(reversed(columns.items())))  # in another order, too
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
    folder = tabdl.Parquet(tmp_path)
    table = folder.read()
    assert table.column_names == folder.columns == ["x", "at"]
    assert table.schema.field("x").type == wider or wider is None
    assert table.column("x").to_pylist() == expected
    assert [batch.schema.field("x").type for _, batch in folder.shuffled(0, ["x"])] == [table.schema.field("x").type] * 3
    assert read_frame(table).categorical == ({"x"} if wider is None else set())


@pytest.mark.parametrize(
    "second, message",
    [
        (pyarrow.array(["a"]), r"column 'x' holds string in .*b\.parquet and double in .*a\.parquet; write one type into all"),
        (pyarrow.array([True]), r"column 'x' holds bool in .*b\.parquet and double in .*a\.parquet"),
        (pyarrow.array([1.0]).cast(pyarrow.float32()), r"a\.parquet lacks the column 'more', which .*b\.parquet has"),
    ],
    ids=["text", "boolean", "column"],
)
def test_columns_of_a_folder_that_mean_different_things_are_refused(second, message, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"x": pyarrow.array([1.5])}), tmp_path / "a.parquet")
    more = {"more": pyarrow.array([1])} if "more" in message else {}
    pyarrow.parquet.write_table(pyarrow.table({"x": second, **more}), tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=message):
        tabdl.Parquet(tmp_path).read()


def test_columns_of_one_name_are_refused(tmp_path):
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"])
    pyarrow.parquet.write_table(twice, tmp_path / "t.parquet")
    for read in (lambda table: table.columns, lambda table: table.read(), lambda table: table.rows):
        with pytest.raises(SchemaError, match="column names that differ, received more than one 'a'; rename them"):
            read(tabdl.Parquet(tmp_path / "t.parquet"))


def test_an_index_of_pandas_is_no_column(tmp_path):
    table = written(tmp_path, pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["x", "y", "z"]))
    assert table.columns == table.read().column_names == ["a"]


def test_memory_of_the_reader_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "OPEN_GROUPS", (4, 8))
    rng, most, opened = np.random.default_rng(0), [], []
    for rows in (5_000, 20_000):
        table = written(tmp_path, pd.DataFrame(rng.normal(size=(rows, 10)), columns=list("abcdefghij")), 200, f"{rows}.parquet")
        before = pyarrow.total_allocated_bytes()
        path, taken, files = str(table.path), [], []
        for _ in table.shuffled(0):
            taken.append(pyarrow.total_allocated_bytes() - before)
            files.append(sum(file.path == path for file in psutil.Process().open_files()))
        most.append(max(taken))
        opened.append(max(files))
    assert most[1] <= 1.5 * most[0], "the file is four times as long"
    assert max(opened) <= 8
    assert min(opened) > 4
    assert not [file for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_the_file_stays_as_it_was_and_no_handle_stays_open(tmp_path, small):
    file = written(tmp_path)
    before = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    Classifier(**FAST).fit(file, y="bought").predict(file)
    assert hashlib.sha256(Path(file.path).read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert not [own for own in psutil.Process().open_files() if own.path.startswith(str(tmp_path))]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nonsense" * 10)
    (tmp_path / "empty").mkdir()
    written(tmp_path, TABLE[:0], name="none.parquet")
    for name, error, message in (
        ("no.parquet", FileNotFoundError, "there is no file"),
        ("empty", FileNotFoundError, "there is no .parquet file in the folder"),
        ("bad.parquet", SchemaError, "bad.parquet is not a readable Parquet file"),
        ("none.parquet", SchemaError, "expected rows in .*none.parquet"),
    ):
        with pytest.raises(error, match=message):
            Classifier().fit(tabdl.Parquet(tmp_path / name), y="bought")


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"y": "bougth"},
            SchemaError,
            "y='bougth' expects a column of X, .* name one such as 'bought'",
        ),
        ({"y": None}, TargetError, "requires y"),
        ({"y": TABLE["bought"]}, ParameterError, "y expects the name of a column where X is a tabdl.Parquet, received Series"),
        ({"y": "bought", "sample_weight": "w"}, SchemaError, "sample_weight='w' expects a column"),
        ({"y": "bought", "sample_weight": np.ones(ROWS)}, ParameterError, "sample_weight expects the name"),
        ({"y": "bought", "sample_weight": "number"}, ParameterError, "finite and not negative"),
        ({"y": "city"}, TargetError, "NaN"),
        ({"y": "gappy"}, TargetError, "NaN"),
    ],
)
def test_names_and_targets_that_do_not_fit_are_refused(options, error, message, tmp_path, small):
    with pytest.raises(error, match=message):
        Classifier(**FAST).fit(written(tmp_path), **options)


@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_table_of_targets_alone_is_refused(weight, tmp_path, small):
    bare = TABLE.assign(weight=1.0)[["bought", *([] if weight is None else [weight])]]
    for X in (bare, written(tmp_path, bare)):
        with pytest.raises(SchemaError, match="expected columns to learn from beside y and sample_weight, received none"):
            Classifier(**FAST).fit(X, y="bought", sample_weight=weight)


def test_one_class_is_refused(tmp_path, small):
    with pytest.raises(TargetError, match="received one class: 'yes'"):
        Classifier(**FAST).fit(written(tmp_path, TABLE.assign(bought="yes")), y="bought")


@pytest.mark.parametrize("options", [{"bagging": 3}, {"checkpoint": "c.npz"}, {"checkpoint": "auto"}], ids=str)
def test_what_needs_all_rows_is_refused(options, tmp_path, small):
    with pytest.raises(ParameterError, match=f"{next(iter(options))}=.* expects rows in memory, .*more than {SAMPLE} rows"):
        Classifier(**FAST | options).fit(written(tmp_path), y="bought")
    with pytest.raises(ParameterError, match="partial_fit"):
        Classifier(**FAST).partial_fit(written(tmp_path), "bought")


def test_what_the_sample_did_not_show_is_told_with_its_place(tmp_path, small):
    rows = 2_000
    table = pd.DataFrame({"a": [f"{i % 90}" for i in range(rows)], "b": np.arange(rows) % 7.0, "y": np.arange(rows) % 2})
    table.loc[1_234, "a"] = "strange"
    for seed in range(5):
        file = written(tmp_path, table, 100)
        drawn = streaming.sample(file, "y", None, np.asarray, True, seed)
        if "strange" not in drawn.frame.columns["a"]:
            break
    with pytest.raises(SchemaError, match=r"text such as 'strange' in row \d+.*\(among rows 1,[12]\d\d to 1,[23]\d\d of "):
        Classifier(epochs=1, random_state=seed).fit(file, y="y", schema={"a": "number"})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]


def test_without_pyarrow_the_remedy_is_named(tmp_path, monkeypatch):
    file = written(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependency, match=r'pip install "tabdl\[parquet\]"'):
        Classifier().fit(file, y="bought")


def test_the_docstring_names_the_numbers_of_the_code():
    text = inspect.getdoc(tabdl.Parquet)
    fewest, most = parquet.OPEN_GROUPS
    texts = (f"{fewest} to {most}", f"up to {parquet.TURNS} turns")
    for number in (streaming.SAMPLE, streaming.HELD, blocks.SIZE, blocks.SIZE * blocks.POOL, parquet.TURN, *texts):
        assert (number if isinstance(number, str) else f"{number:,}") in text
    assert f"{parquet.BATCH:,}" in tabdl.Parquet.batches.__doc__


def test_it_is_a_value():
    assert tabdl.Parquet("a") == tabdl.Parquet("a")
    with pytest.raises(AttributeError):
        tabdl.Parquet("a").path = "b"
    assert hold_out(np.zeros(1_000), 0.15, 0, False, most=40)[1].shape == (40,)
