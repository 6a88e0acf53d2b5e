"""Tables that hold everything a column may be, and the fitted model that the checks of an estimator share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tabdl.estimators.base import Estimator
from tabdl.estimators.supervised import Classifier
from tabdl.network import SequenceNetwork

ROWS = 120
CITIES = ("Oslo", "Bergen", "Tromsø", "Bodø")


def mixed_table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A raw table: numbers, counts, categories, ordered ones, booleans, dates, free text, with gaps."""
    rng = np.random.default_rng(seed)
    words = ("red", "green", "blue", "warm", "cold", "fast", "slow", "round", "square", "heavy", "light", "old", "new", "dark")
    plans = pd.Categorical(rng.choice(["basic", "plus", "pro"], rows), ["basic", "plus", "pro"], ordered=True)
    table = pd.DataFrame(
        {
            "number": rng.normal(size=rows),
            "gappy": np.where(rng.uniform(size=rows) < 0.2, np.nan, rng.normal(50, 9, rows)),
            "visits": np.floor(rng.lognormal(2, 2.5, rows)).astype(np.int64),
            "city": pd.Series(rng.choice(np.array([*CITIES, None]), rows), dtype=object),
            "plan": plans,
            "active": rng.uniform(size=rows) < 0.5,
            "since": pd.Timestamp("2021-03-01 07:30") + pd.to_timedelta(rng.integers(0, 600_000, rows), unit="min"),
            "note": [" ".join(rng.choice(words, 5)) for _ in range(rows)],
        }
    )
    table.loc[3, "since"] = pd.NaT
    return table


def mixed_series(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table whose cells hold series of 4 to 16 steps: numbers, numbers with gaps, text; beside them plain columns."""
    rng = np.random.default_rng(seed)
    table = mixed_table(rows, seed)[["number", "gappy", "city", "active", "since", "note"]]
    lengths = rng.integers(4, 17, rows)
    load = [np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(100, 20, n)) for n in lengths]
    state = [rng.choice(np.array(["on", "off", None]), n, p=[0.5, 0.4, 0.1]) for n in lengths]
    speed = [rng.normal(level, 1, n) for level, n in zip(table["number"], lengths, strict=True)]
    cells = {"speed": speed, "load": load, "state": state}
    columns = {name: pd.Series([None, *found][1:], dtype=object, index=table.index) for name, found in cells.items()}
    return pd.concat([pd.DataFrame(columns), table], axis=1)


def table_for(estimator_class: Any, rows: int = ROWS) -> pd.DataFrame:
    """The raw table that an estimator is checked on: of series, if it reads nothing else."""
    return mixed_table(rows) if getattr(estimator_class, "reads_tables", True) else mixed_series(rows)


class Case:
    """One estimator class with the table, the target and the fitted model that its checks share."""

    def __init__(self, estimator_class: type[Estimator], params: dict[str, Any]):
        self.cls: Any = estimator_class
        self.params = {"epochs": 2, "random_state": 0, "bagging": 1} | params
        self.classifier = issubclass(estimator_class, Classifier)
        self.series = issubclass(estimator_class, SequenceNetwork) and "forward" not in params  # yours may read tables only
        self.table = table_for(estimator_class)
        rng = np.random.default_rng(1)
        self.signal = 2 * self.table["number"].to_numpy() + self.table["active"].to_numpy() + 0.3 * rng.normal(size=ROWS)
        self.y = np.where(self.signal > np.median(self.signal), "yes", "no") if self.classifier else 40 + 10 * self.signal

    def new(self, **params: Any) -> Any:
        return self.cls(**self.params | params)

    @cached_property
    def model(self) -> Any:
        """Fitted once; no check may change it."""
        return self.new().fit(self.table, self.y)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.outputs(self.model)

    def outputs(self, model: Any, X: Any = None) -> np.ndarray:
        """Probabilities or numbers."""
        X = self.table if X is None else X
        return model.predict_proba(X) if self.classifier else model.predict(X)
