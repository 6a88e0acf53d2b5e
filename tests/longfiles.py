"""Tables of some hundred rows in Parquet files, and sizes at which these are long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import parquet
from tabdl.estimators import streaming
from tabdl.testing import mixed_series, mixed_table
from tabdl.training import blocks

ROWS, SAMPLE, SIZE = 420, 160, 128
FAST: dict[str, Any] = {"epochs": 1, "random_state": 0}
Classifier: Any = tabdl.MLPClassifier
Regressor: Any = tabdl.MLPRegressor


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few hundred rows are a long file."""
    monkeypatch.setattr(streaming, "SAMPLE", SAMPLE)
    monkeypatch.setattr(streaming, "HELD", 20)
    monkeypatch.setattr(blocks, "SIZE", SIZE)
    monkeypatch.setattr(parquet, "BATCH", 48)
    monkeypatch.setattr(parquet, "PIECE", 16)
    monkeypatch.setattr(parquet, "TURN", 10)


def table_of(rows: int = ROWS, seed: int = 0, make: Callable[[int, int], pd.DataFrame] = mixed_table) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = make(rows, seed)
    signal = 2 * table["number"] + table["active"] + 0.3 * rng.normal(size=rows)
    return table.assign(bought=np.where(signal > 0.5, "yes", "no"), spent=40 + 10 * signal)


TABLE = table_of()
SERIES = table_of(make=mixed_series)
X = TABLE.drop(columns=["bought", "spent"])


def written(folder: Path, table: pd.DataFrame = TABLE, group: int = 40, name: str = "t.parquet") -> tabdl.Parquet:
    table.to_parquet(folder / name, row_group_size=group)
    return tabdl.Parquet(folder / name)
