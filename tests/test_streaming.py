"""Rows that stay in a file: which are drawn, what is refused before any is read, what is warned about."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.errors import ParameterError
from tabdl.estimators import streaming
from tabdl.training import blocks

ROWS, SAMPLE = 1_000, 100
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"a": RNG.normal(size=ROWS), "at": np.arange(ROWS) / 10})
TABLE["y"] = np.where(TABLE["a"] > 0, "yes", "no")


def classifier(**params: Any) -> Any:
    return tabdl.MLPClassifier(**{"units": (4,), "epochs": 1, "random_state": 0} | params)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few hundred rows are a long file."""
    monkeypatch.setattr(streaming, "SAMPLE", SAMPLE)
    monkeypatch.setattr(streaming, "HELD", 20)
    monkeypatch.setattr(blocks, "SIZE", 128)


def written(folder: Path, **columns: Any) -> tabdl.Parquet:
    TABLE.assign(**columns).to_parquet(folder / "t.parquet", row_group_size=100)
    return tabdl.Parquet(folder / "t.parquet")


def spied(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Columns of each batch that is read."""
    read, inner = [], tabdl.Parquet.batches

    def batches(self: tabdl.Parquet, *arguments: Any) -> Any:
        for first, batch in inner(self, *arguments):
            read.append(batch.column_names)
            yield first, batch

    monkeypatch.setattr(tabdl.Parquet, "batches", batches)
    return read


# ---- the sample ------------------------------------------------------------------------------------------------------


def drawn(table: tabdl.Parquet, seed: int = 0) -> Any:
    return streaming.sample(table, "y", "w", np.asarray, True, seed)


def test_rows_of_weight_zero_are_not_drawn(tmp_path):
    weight = (np.arange(ROWS) % 4 == 1) * 2.0
    rows = drawn(written(tmp_path, w=weight))
    assert len(rows.y) == SAMPLE, "others take their places"
    numbers = np.rint(10 * rows.frame.columns["at"]).astype(int)
    assert (numbers % 4 == 1).all()
    np.testing.assert_array_equal(rows.stream.numbers, numbers)
    assert rows.stream.rows == ROWS / 4
    places = np.concatenate([drawn(written(tmp_path, w=weight), s).stream.numbers for s in range(5)])
    assert (abs(np.histogram(places, 4, (0, ROWS))[0] - 125) < 40).all(), "from all over the file"


@pytest.mark.parametrize("counting", [8, 40, SAMPLE])
def test_few_rows_that_count_are_all_drawn(counting, tmp_path):
    table = written(tmp_path, w=(np.arange(ROWS) < counting) * 1.0)
    np.testing.assert_array_equal(drawn(table).stream.numbers, np.arange(counting))
    assert classifier().fit(table, y="y", sample_weight="w").classes_.tolist() == ["no", "yes"]


def test_weights_that_are_none_are_refused(tmp_path):
    table = written(tmp_path, w=0.0, text="heavy")
    with pytest.raises(ParameterError, match="positive for some rows, received zeros only"):
        classifier().fit(table, y="y", sample_weight="w")
    with pytest.raises(ParameterError, match="sample_weight expects numbers, received str such as 'heavy'; .* the name"):
        classifier().fit(table, y="y", sample_weight="text")


# ---- refused before reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"bagging": 3}, {"checkpoint": "c.npz"}, {"X_val": True}])
def test_what_needs_all_rows_in_memory_is_refused_before_any_is_read(options, tmp_path, monkeypatch):
    table, read = written(tmp_path), spied(monkeypatch)
    held = {"X_val": table, "y_val": "y"} if options.pop("X_val", False) else {}
    with pytest.raises(ParameterError, match="(in|into) memory"):
        classifier(**options).fit(table, y="y", **held)
    assert not read


# ---- warnings --------------------------------------------------------------------------------------------------------


def told(table: tabdl.Parquet) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        streaming.sample(table, "y", None, classifier()._check_y, True, 0)
    return [str(one.message) for one in found]


def test_many_classes_are_told_of_the_file_not_of_a_piece(tmp_path):
    assert not told(written(tmp_path, y=[f"k{i % 90}" for i in range(ROWS)])), "90 in each piece of 100, but also in all"
    many = told(written(tmp_path, y=[f"k{i % 700}" for i in range(ROWS)]))
    assert many == ["y='y' has 700 classes in 1,000 rows; are these numbers? use a Regressor"]
