"""One small table of every kind of column, as every library that users come with would hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

ROWS = 120


def mixed(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Numbers, counts, categories, a boolean, dates (also as text) and free text, with gaps."""
    rng = np.random.default_rng(seed)
    words = ["red", "green", "blue", "warm", "cold", "fast", "slow", "round", "heavy", "light", "old", "new", "dark", "quiet"]
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=rows),
            "gappy": np.where(rng.uniform(size=rows) < 0.2, np.nan, rng.normal(50, 9, rows)),
            "count": np.floor(rng.lognormal(2, 2.5, rows)).astype(np.int64),
            "city": rng.choice(["Oslo", "Bergen", "Tromsø"], rows),
            "plan": rng.choice(["basic", "pro", None], rows),
            "active": rng.uniform(size=rows) < 0.5,
            "since": pd.Timestamp("2021-03-01 07:30") + pd.to_timedelta(rng.integers(0, 600_000, rows), unit="min"),
            "hired": pd.to_datetime(rng.integers(8000, 19000, rows), unit="D").strftime("%m/%d/%Y"),
            "note": [" ".join(rng.choice(words, 5)) for _ in range(rows)],
        }
    )
    frame.loc[3, "since"] = pd.NaT
    return frame


def _arrow(frame: pd.DataFrame) -> Any:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


def _polars(frame: pd.DataFrame) -> Any:
    import polars

    return polars.from_pandas(frame)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


FLAVOURS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "pandas objects": lambda frame: frame.astype(object),
    "pandas nullable": lambda frame: frame.convert_dtypes(dtype_backend="numpy_nullable"),
    "pandas pyarrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas zoned": lambda frame: frame.assign(since=frame["since"].dt.tz_localize("UTC").dt.tz_convert("Europe/Oslo")),
    "polars": _polars,
    "pyarrow": _arrow,
    "pyarrow batch": lambda frame: _arrow(frame).to_batches()[0],
    "list of dicts": _records,
    "dict of lists": lambda frame: {name: frame[name].tolist() for name in frame},
}
