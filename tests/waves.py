"""Two noisy series of 100 days, and a ridge forecaster fitted to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import tabdl

STEPS, HORIZON = 100, 5


def table(size: float = 1.0, names: tuple[Any, ...] = (1, 2)) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for name, level in zip(names, (5.0, 8.0), strict=True):
        values = size * (level + np.sin(np.arange(STEPS) * 2 * np.pi / 7) + 0.2 * level * rng.normal(size=STEPS))
        parts.append(pd.DataFrame({"id": name, "t": pd.date_range("2024-01-01", periods=STEPS), "y": values}))
    return pd.concat(parts, ignore_index=True)


def fit(rows: pd.DataFrame, **params: Any) -> Any:
    return tabdl.RidgeForecaster(**{"horizon": HORIZON, "time": "t", "id": "id", "target": "y"} | params).fit(rows)
