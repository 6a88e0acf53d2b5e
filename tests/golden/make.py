"""Write the golden artifacts of a release: one small fitted model of every public estimator, with what it predicts,
one of a table with a wide column; networks of series also on a table of series, forecasters on a panel.

    python tests/golden/make.py

Run before a release is published; files that are there stay as they are. tests/test_golden.py loads them all. The rows come
from `tabdl.testing.mixed_table`, `mixed_series` and `mixed_panel`, kept beside the models: they never depend on later code.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import tabdl
from tabdl import models, testing
from tabdl.testing.forecasts import ForecastCase, numbers

ROWS = 120
WORDS = 60  # values of a column that is wide: some of them share a vector
SMALL = {"units": (8,), "width": 8, "blocks": 1, "members": 2, "bins": 4, "depth": 3, "kernels": 84, "groups": 1}
COPIES: dict[str, dict[str, int]] = {  # the others are one model each
    "EmbeddingRegressor": {"members": 2},
    "ResNetRegressor": {"bagging": 2},
    "TabularClassifier": {"bagging": 1},
    "TabularRegressor": {"bagging": 2, "neighbors": False},
}


def main() -> None:
    folder = Path(__file__).parent / tabdl.__version__
    warnings.filterwarnings("ignore", message="columns dropped")
    warnings.filterwarnings("ignore", message=".* contains rows of the training table")
    table = testing.mixed_table(ROWS)
    reads_tables = {
        name: getattr(models.load_class(name), "reads_tables", True) for name in models.catalogue("Classifier", "Regressor")
    }
    write(folder, table, [name for name, reads in reads_tables.items() if reads])
    shrink("RocketClassifier", "RocketRegressor", "LITEClassifier", "LITERegressor")
    on_series = [name for name, reads in reads_tables.items() if not reads]
    write(folder / "series", testing.mixed_series(ROWS), [*on_series, "CNNClassifier", "RNNRegressor"])
    words = np.random.default_rng(1).permutation([f"word {i}" for i in range(WORDS)] * (ROWS // WORDS))
    write(folder / "wide", table.assign(words=words), ["MLPClassifier"])
    write_forecasts(folder / "forecasts")


def shrink(*names: str) -> None:
    """Small defaults for estimators that a mixture makes itself: its file says how large they are."""
    for name in names:
        fields = models.load_class(name).fields
        fields |= {k: replace(fields[k], default=v) for k, v in SMALL.items() if k in fields and k != "members"}


def write(folder: Path, table: pd.DataFrame, names: Iterable[str]) -> None:
    """Fit the estimators to the table, and write the models, their predictions and the table itself to the folder."""
    folder.mkdir(exist_ok=True)
    if not (folder / "rows.parquet").exists():
        table.to_parquet(folder / "rows.parquet")
    rng = np.random.default_rng(0)
    for name in names:
        if (folder / f"{name}.tabdl").exists():
            continue
        cls = models.load_class(name)
        classes = name.endswith("Classifier")
        y = rng.integers(0, 3, ROWS) if classes else rng.normal(size=ROWS)
        params = {k: v for k, v in SMALL.items() if k in cls.fields and (k != "members" or cls.one_for_all_members)}
        params |= COPIES.get(name, {})
        model = cls(epochs=2, random_state=0, **params).fit(table, y)
        tabdl.save(model, folder / f"{name}.tabdl")
        outputs = model.predict_proba(table) if classes else model.predict(table)
        np.save(folder / f"{name}.npy", outputs)


def write_forecasts(folder: Path) -> None:
    """Fit the forecasters to all but the last days of a panel, and write the models, their forecasts and the panel."""
    folder.mkdir(exist_ok=True)
    for name in models.catalogue("Forecaster"):
        cls = models.load_class(name)
        small = {k: v for k, v in SMALL.items() if k in cls.fields and k != "members"}
        case = ForecastCase(cls, small)
        if not (folder / "rows.parquet").exists():
            pd.concat([case.table, case.future], ignore_index=True).to_parquet(folder / "rows.parquet")
        if not (folder / f"{name}.tabdl").exists():
            tabdl.save(case.model, folder / f"{name}.tabdl")
            np.save(folder / f"{name}.npy", numbers(case.predicted))


if __name__ == "__main__":
    main()
