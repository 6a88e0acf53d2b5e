"""How fast a fitted model answers, what an epoch costs beside its steps, and what members cost beside a single network.

    [KERAS_BACKEND=jax] python benchmarks/speed.py [--models mlp,tabm,tabular] [--members 8]

One-row latency: median of 500 `predict_proba` calls with a one-row DataFrame of the conversion table (20 columns, mixed
kinds), after warm-up; beside it the same call of a scikit-learn Pipeline(ColumnTransformer, LightGBM). Bulk: rows a second
of `predict_proba` on 200,000 rows of 8 numbers, encoding included, best of 5, by a model fitted on 3,000 rows and by one
fitted on 13,000: `Tabular` has folds on the former, and neighbours remember what they saw. Products (TensorFlow): the share of
that time which the matrix products of all networks take alone. Leak:
growth of the process over 10,000 one-row calls. Epoch: fixed cost of an epoch = time of a one-step epoch, validation
included, median over 200 epochs of 32 rows. Members: seconds of a fit with members=k on 13,000 rows of 8 numbers against
a single fit, both after one fit that compiles.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import psutil
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import tabdl
from tabdl import backends

PRODUCTS = {"MatMul": ("transpose_a", "transpose_b"), "BatchMatMulV2": ("adj_x", "adj_y")}  # kind of node: attributes


def seconds(call, repeats: int) -> np.ndarray:
    """Time of each of `repeats` calls."""
    taken = np.empty(repeats)
    for i in range(repeats):
        start = time.perf_counter()
        call()
        taken[i] = time.perf_counter() - start
    return taken


def one_row(model, row: pd.DataFrame) -> float:
    """Median seconds of a prediction, after warm-up."""
    seconds(lambda: model.predict_proba(row), 50)
    return float(np.median(seconds(lambda: model.predict_proba(row), 500)))


def measure_pipeline() -> None:
    """What a boosted model in the usual pipeline takes for a row."""
    X, y = tabdl.datasets.make_conversion(3_000, random_state=0)
    X = X.drop(columns="customer_id")
    numbers = X.select_dtypes("number").columns
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("others", OneHotEncoder(handle_unknown="ignore", min_frequency=20), X.columns.difference(numbers)),
        ]
    )
    model = make_pipeline(columns, LGBMClassifier(verbose=-1, n_jobs=2)).fit(X.assign(**texts(X, numbers)), y)
    row = X.assign(**texts(X, numbers)).iloc[[7]]
    print(f"{'LightGBM in a pipeline':22s} one row {one_row(model, row) * 1e3:5.2f} ms", flush=True)


def texts(X: pd.DataFrame, numbers: pd.Index) -> dict[str, pd.Series]:
    """Columns that are no numbers as plain text: what the encoder takes."""
    return {name: X[name].astype(object).where(X[name].notna(), "").astype(str) for name in X.columns.difference(numbers)}


def measure_members(name: str, members: int) -> None:
    make = tabdl.models.find(name, "regressor")
    if make.one_for_all_members:
        return
    rng = np.random.default_rng(0)
    X = rng.normal(size=(13_000, 8))
    y = X[:, 0] * X[:, 1] + rng.normal(size=13_000)
    spent = []
    for count in (1, members):
        model = make(epochs=40, patience=99, members=count, random_state=0)
        model.fit(X, y)
        spent.append(seconds(lambda model=model: model.fit(X, y), 2).min())
    print(f"{name:22s} {members} members {spent[1]:5.1f} s, one {spent[0]:5.1f} s, ratio {spent[1] / spent[0]:4.1f}", flush=True)


def multiply(model) -> float:
    """Seconds a row of the matrix products in all networks of a fitted model, each alone in a call of as many rows."""
    import tensorflow as tf

    spent = 0.0
    for network in model.models_:
        rows = backends.COMPARING_ROWS if "target" in network.input else backends.FUSED_ROWS
        shapes = {k: tf.TensorSpec((rows, *symbol.shape[1:]), symbol.dtype) for k, symbol in network.input.items()}
        graph = tf.function(lambda x, network=network: network(x)).get_concrete_function(shapes).graph
        for op in (op for op in graph.get_operations() if op.type in PRODUCTS):
            turned = dict(zip(("transpose_a", "transpose_b"), (op.get_attr(name) for name in PRODUCTS[op.type]), strict=True))
            one, other = (tf.random.normal(tensor.shape) for tensor in op.inputs)
            call = tf.function(lambda a, b, turned=turned: tf.matmul(a, b, **turned))
            spent += seconds(lambda call=call, one=one, other=other: call(one, other), 30).min() / rows
    return spent


def measure(name: str) -> None:
    make = tabdl.models.find(name, "classifier")
    X, y = tabdl.datasets.make_conversion(3_000, random_state=0)
    model = make(epochs=2, random_state=0).fit(X, y)
    row = X.iloc[[7]]
    one = one_row(model, row)
    memory = psutil.Process().memory_info
    before = memory().rss
    seconds(lambda: model.predict_proba(row), 10_000)
    leaked = (memory().rss - before) / 1e6
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200_000, 8))
    label = (table[:, 0] + rng.normal(size=200_000) > 0).astype(int)
    bulk, products = [], []
    for rows in (3_000, 13_000):
        model = make(epochs=1, random_state=0).fit(table[:rows], label[:rows])
        bulk.append(len(table) / seconds(lambda model=model: model.predict_proba(table), 5).min())
        products.append(multiply(model) * bulk[-1] if backends.name() == "tensorflow" else np.nan)
    epochs = make(epochs=200, patience=200, batch_size="full", random_state=0)
    epochs.fit(table[:32], label[:32], X_val=table[100:132], y_val=label[100:132])
    start = time.perf_counter()
    epochs.fit(table[:32], label[:32], X_val=table[100:132], y_val=label[100:132])
    epoch = (time.perf_counter() - start) / 200
    print(
        f"{name:22s} one row {one * 1e3:5.2f} ms   bulk {bulk[0]:>9,.0f} and {bulk[1]:>9,.0f} rows/s, "
        f"products {products[0]:.0%} and {products[1]:.0%}   "
        f"10,000 calls grow {leaked:5.1f} MB   epoch of one step {epoch * 1e3:5.2f} ms",
        flush=True,
    )


def reads_tables(name: str) -> bool:
    return getattr(tabdl.models.find(name, "classifier"), "reads_tables", True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(filter(reads_tables, tabdl.models.names("Classifier"))))
    warnings.filterwarnings("ignore", message="columns dropped")
    parser.add_argument("--members", type=int, default=8)
    arguments = parser.parse_args()
    names = [name for name in arguments.models.split(",") if name != "custom"]
    measure_pipeline()
    for name in names:
        measure(name)
    for name in names:
        measure_members(name, arguments.members)


if __name__ == "__main__":
    main()
