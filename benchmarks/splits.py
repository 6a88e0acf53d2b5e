"""The real tables of the benchmarks: what is scored on each, and the splits of the published results.

20% test rows (seed 0), then 20% of the rest for validation (seed 1), stratified for classes; adult has official test rows.
electronics keeps its honest columns (the others tell the target), and equal rows stay on one side of a split.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from sklearn import metrics
from sklearn.model_selection import GroupShuffleSplit, train_test_split

METRICS = {
    "california": "rmse",
    "house": "rmse",
    "diamond": "rmse",
    "adult": "auc",
    "churn": "auc",
    "coupon": "auc",
    "online_shoppers": "auc",
    "electronics": "average_precision",
    "employee_salaries": "r2",
    "auto_mpg": "mae",
}
OF_CLASSES = ("auc", "average_precision")  # metrics of a probability
LESS_IS_BETTER = ("rmse", "mae")
SCORES = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
    "auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
}
HONEST = ["interactionTime", "maxPrice", "minPrice", "NumCart", "NumView", "InsessionView", "weekday", "timeOfDay"]
ADULT_TRAINING_ROWS = 32_561


class Parts(NamedTuple):
    """Rows to train on, to choose by, and to report."""

    X: pd.DataFrame
    y: pd.Series
    X_val: pd.DataFrame
    y_val: pd.Series
    X_test: pd.DataFrame
    y_test: pd.Series


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The option that names the folder of the tables."""
    default = os.environ.get("TABDL_TABLES", "../shared/data/tables")
    parser.add_argument("--tables", type=Path, default=Path(default), help="folder of NAME.csv.gz; else TABDL_TABLES")


def check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise SystemExit(f"expected a folder of tables at {folder}, found none; name one with --tables or TABDL_TABLES")


def has_classes(name: str) -> bool:
    return METRICS[name] in OF_CLASSES


def read(name: str, folder: Path) -> pd.DataFrame:
    """A table as it was published; its target is the last column."""
    return pd.read_csv(folder / f"{name}.csv.gz", usecols=[*HONEST, "target"] if name == "electronics" else None)


def split(name: str, table: pd.DataFrame) -> Parts:
    X, y = table.drop(columns="target"), table["target"]
    groups = table.groupby(list(X.columns), dropna=False).ngroup() if name == "electronics" else None
    if name == "adult":
        X, y, X_test, y_test = X[:ADULT_TRAINING_ROWS], y[:ADULT_TRAINING_ROWS], X[ADULT_TRAINING_ROWS:], y[ADULT_TRAINING_ROWS:]
    else:
        X, y, X_test, y_test = _apart(X, y, groups, has_classes(name), seed=0)
    X, y, X_val, y_val = _apart(X, y, groups, has_classes(name), seed=1)
    return Parts(X, y, X_val, y_val, X_test, y_test)


def _apart(X: pd.DataFrame, y: pd.Series, groups: pd.Series | None, stratified: bool, seed: int) -> tuple:
    """Four fifths of the rows, and the others."""
    if groups is not None:
        most, rest = next(GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(X, y, groups[X.index]))
        return X.iloc[most], y.iloc[most], X.iloc[rest], y.iloc[rest]
    X, rest_X, y, rest_y = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y if stratified else None)
    return X, y, rest_X, rest_y
