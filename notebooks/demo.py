"""The whole way once: a raw table in, a trusted prediction out.

make demo                                    on simulated customers, whose true probabilities are known
make demo DATA=file.csv TARGET=column        on a table of yours
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tabdl
from tabdl.commands import LabelledRows, choose_task, find_model, predictions, read_rows, start_backend
from tabdl.datasets import make_conversion
from tabdl.scoring import class_scores, held_out_scores
from tabdl.tablefiles import read_table, write_table

FOLDER = Path("demo")
CUSTOMERS, MODEL, CURVE, TEST, PREDICTIONS = (
    FOLDER / name for name in ("customers.csv", "model.tabdl", "learning_curve.png", "test.csv", "predictions.csv")
)
ROWS = 20_000  # simulated customers
TEST_FRACTION = 0.25


def main() -> None:
    arguments = parse()
    warnings.showwarning = lambda message, *_, **__: print(f"note: {message}")
    start_backend()
    FOLDER.mkdir(exist_ok=True)
    data, target = arguments.data, arguments.target
    if data is None:
        data, target = CUSTOMERS, "converted"
        X, y = make_conversion(ROWS, random_state=0)
        X.assign(converted=y).to_csv(data, index=False)
    rows = read_rows(data, target)
    task, reason = choose_task(rows, arguments.task)
    print(f"{data}: {len(rows.X)} rows, {rows.X.shape[1]} columns, {task} ({reason})")
    train, test = rows.split(TEST_FRACTION, seed=0, stratify=task == "classifier")
    assert test is not None

    model = find_model("tabular", task)(random_state=0, verbose=1).fit(train.X, train.y)
    artifact = tabdl.save(model, MODEL)
    model.plot_history(CURVE)
    print(f"\n{model.schema_}\n")
    table = pd.DataFrame({"Tabular": held_out_scores(model, test.X, test.y), **baseline(model, train, test, task)})
    if arguments.data is None:
        table["the true probabilities"] = truth_scores(test)
    print(f"{len(test.X)} held-out rows:\n{table.T.round(4).to_string()}\n")
    check_in_new_process(model, artifact, test, task)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="CSV or Parquet file")
    parser.add_argument("--target", help="column to predict")
    parser.add_argument("--task", choices=("auto", "classifier", "regressor"), default="auto")
    arguments = parser.parse_args()
    if (arguments.data is None) != (arguments.target is None):
        parser.error("--data (make: DATA=file.csv) and --target (make: TARGET=column) belong together")
    if arguments.data is not None and (place := overwritten(arguments.data)):
        parser.error(f"--data (make: DATA=file.csv) {arguments.data} would be overwritten by {place}; copy it elsewhere first")
    return arguments


def overwritten(data: Path) -> Path | None:
    """The file of this demo that would take the place of `data`."""
    for path in (MODEL, CURVE, TEST, PREDICTIONS):
        if path.resolve() == data.resolve() or (path.exists() and data.exists() and path.samefile(data)):
            return path
    return None


def baseline(model: Any, train: LabelledRows, test: LabelledRows, task: str) -> dict[str, dict[str, float]]:
    """Scores of scikit-learn's linear model behind a standard preprocessing pipeline."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")), (texts, make_column_selector(dtype_exclude="number"))
    )
    linear = LogisticRegression(max_iter=2000) if task == "classifier" else RidgeCV(np.logspace(-3, 4, 15))
    fitted = make_pipeline(columns, linear).fit(plain(train.X, model.schema_), train.y)
    name = "logistic regression" if task == "classifier" else "ridge regression"
    return {name: held_out_scores(fitted, plain(test.X, model.schema_), test.y)}


def plain(X: pd.DataFrame, schema: tabdl.Schema) -> pd.DataFrame:
    """Numbers, and texts without gaps; a date is a number of days since 1970, NaN where the cell is no date."""
    X = X.drop(columns=schema.dropped)
    dates = [c.name for c in schema.columns if c.kind == "date"]
    X = X.assign(**{name: days(X[name]) for name in dates})
    texts = X.select_dtypes(exclude="number").columns
    return X.assign(**{name: X[name].astype(object).map(str, na_action="ignore").fillna("missing") for name in texts})


def days(dates: pd.Series) -> pd.Series:
    moments = pd.to_datetime(dates, format="mixed", errors="coerce", utc=True)
    return (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)


def truth_scores(test: LabelledRows) -> dict[str, float]:
    """Scores of the probabilities that the simulation drew from: what no model can beat, chance aside."""
    probability = make_conversion(ROWS, random_state=0, return_probability=True)[2][test.X.index]
    return class_scores([0, 1], test.y, np.column_stack([1 - probability, probability]))


def check_in_new_process(model: Any, artifact: Path, test: LabelledRows, task: str) -> None:
    """Predict the test rows in another process, from files alone, and compare."""
    write_table([test.X], TEST)
    command = [sys.executable, "-m", "tabdl", "predict", str(artifact), str(TEST), "--out", str(PREDICTIONS)]
    subprocess.run(command + (["--proba"] if task == "classifier" else []), check=True)
    expected, received = predictions(model, test.X, proba=task == "classifier"), read_table(PREDICTIONS)
    for name, values in expected.items():
        equal = (
            np.isclose(values, received[name], rtol=1e-9, atol=0)
            if values.dtype.kind == "f"
            else values.astype(str) == received[name].astype(str)
        )
        if not equal.all():
            raise SystemExit(
                f"column {name}: {int((~equal).sum())} of {len(equal)} rows were predicted otherwise in a new process"
            )
    print(f"loaded in a new process: the same {len(received)} predictions")
    print("\n".join(f"{path}  {path.stat().st_size / 1e3:.0f} kB" for path in (artifact, PREDICTIONS, CURVE)))


if __name__ == "__main__":
    main()
