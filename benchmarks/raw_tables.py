"""Ten real tables go into `fit` as they are; scores of TabM with defaults against the bars we hold ourselves to.

    python benchmarks/raw_tables.py --tables ../shared/data/tables [--model tabm] [--only california,coupon]

Splits are those of the published results: 20% test (seed 0), then 20% of the rest for early stopping (seed 1), stratified
for classes. electronics uses its honest columns, and groups equal rows on one side of the split. Scores are of test rows
and serve as report only.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tabdl

HONEST = ["interactionTime", "maxPrice", "minPrice", "NumCart", "NumView", "InsessionView", "weekday", "timeOfDay", "target"]
TASKS = {  # table -> metric, bar (None: report only)
    "california": ("rmse", 0.46),
    "employee_salaries": ("r2", 0.9),
    "coupon": ("auc", 0.83),
    "online_shoppers": ("auc", 0.925),
    "adult": ("auc", 0.92),
    "churn": ("auc", None),
    "house": ("rmse", None),
    "diamond": ("rmse", None),
    "auto_mpg": ("mae", None),
    "electronics": ("average_precision", None),
}
MOST_SECONDS, MOST_MEMORY = 300, 3.0  # a fit, and GB of the process: bars on two cores
SCORES = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
    "auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
}


def split(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Arguments of `fit`, and the test part."""
    y, kept = table["target"], table.drop(columns="target")
    classes = y if TASKS[name][0] in ("auc", "average_precision") else None
    if name == "electronics":
        groups = table.groupby(list(kept.columns), dropna=False).ngroup()
        train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(kept, y, groups))
        return {"X": kept.iloc[train], "y": y.iloc[train], "test": (kept.iloc[test], y.iloc[test])}
    if name == "adult":  # the official parts
        X, X_test, y, y_test = kept[:32561], kept[32561:], y[:32561], y[32561:]
    else:
        X, X_test, y, y_test = train_test_split(kept, y, test_size=0.2, random_state=0, stratify=classes)
    again = y if classes is not None else None
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.2, random_state=1, stratify=again)
    return {"X": X, "y": y, "X_val": X_val, "y_val": y_val, "test": (X_test, y_test)}


def logistic_regression(X: pd.DataFrame, y: pd.Series) -> Any:
    """The classic pipeline, for comparison."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=20), make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, y)


def run(name: str, model: str, folder: Path) -> bool:
    """Fit, score, print a line; whether the bar is held."""
    metric, bar = TASKS[name]
    table = pd.read_csv(folder / f"{name}.csv.gz", usecols=HONEST if name == "electronics" else None)
    parts = split(name, table)
    X_test, y_test = parts.pop("test")
    ranked = metric in ("auc", "average_precision")
    estimator = tabdl.models.find(model, "classifier" if ranked else "regressor")(random_state=0)
    start = time.perf_counter()
    estimator.fit(**parts)
    seconds = time.perf_counter() - start
    outputs = estimator.predict_proba(X_test)[:, 1] if ranked else estimator.predict(X_test)
    score = SCORES[metric](y_test, outputs)
    if name == "electronics":
        plain = logistic_regression(parts["X"], parts["y"]).predict_proba(X_test)[:, 1]
        bar = SCORES[metric](y_test, plain)
    held = bar is None or (score <= bar if metric in ("rmse", "mae") else score >= bar)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # GB, of all that ran before as well
    held = held and seconds <= MOST_SECONDS and peak <= MOST_MEMORY
    verdict = "" if bar is None else f"bar {bar:.4g} {'held' if held else 'MISSED'}"
    print(
        f"{name:18s} {metric:17s} {score:10.4f}  {verdict:20s} {seconds:6.1f} s  peak {peak:.2f} GB  {len(table):,} rows",
        flush=True,
    )
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path("../shared/data/tables"))
    parser.add_argument("--model", default="tabm")
    parser.add_argument("--only", default=",".join(TASKS))
    arguments = parser.parse_args()
    if not arguments.tables.is_dir():
        raise SystemExit(f"expected a folder of tables at {arguments.tables}, found none; name one with --tables")
    warnings.filterwarnings("ignore", message="columns dropped")
    held = [run(name, arguments.model, arguments.tables) for name in arguments.only.split(",")]
    if not np.all(held):
        raise SystemExit("a bar was missed")


if __name__ == "__main__":
    main()
