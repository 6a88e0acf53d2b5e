"""How fast a fitted model answers, and what an epoch costs beside its steps.

    [KERAS_BACKEND=jax] python benchmarks/speed.py [--models mlp,tabm]

One-row latency: median of 500 `predict_proba` calls with a one-row DataFrame of the conversion table (20 columns, mixed
kinds), after warm-up. Bulk: rows a second of `predict_proba` on 200,000 rows of 8 numbers, encoding included, best of 5.
Leak: growth of the process over 10,000 one-row calls. Epoch: fixed cost of an epoch = time of a one-step epoch, validation
included, median over 200 epochs of 32 rows.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

import tabdl


def seconds(call, repeats: int) -> np.ndarray:
    """Time of each of `repeats` calls."""
    taken = np.empty(repeats)
    for i in range(repeats):
        start = time.perf_counter()
        call()
        taken[i] = time.perf_counter() - start
    return taken


def measure(name: str) -> None:
    make = tabdl.models.find(name, "classifier")
    X, y = tabdl.datasets.make_conversion(3_000, random_state=0)
    model = make(epochs=2, random_state=0).fit(X, y)
    row = X.iloc[[7]]
    seconds(lambda: model.predict_proba(row), 50)
    one = np.median(seconds(lambda: model.predict_proba(row), 500))
    memory = psutil.Process().memory_info
    before = memory().rss
    seconds(lambda: model.predict_proba(row), 10_000)
    leaked = (memory().rss - before) / 1e6
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200_000, 8))
    label = (table[:, 0] + rng.normal(size=200_000) > 0).astype(int)
    model = make(epochs=1, random_state=0).fit(table[:3_000], label[:3_000])
    bulk = len(table) / seconds(lambda: model.predict_proba(table), 5).min()
    epochs = make(epochs=200, patience=200, batch_size="full", random_state=0)
    epochs.fit(table[:32], label[:32], X_val=table[100:132], y_val=label[100:132])
    start = time.perf_counter()
    epochs.fit(table[:32], label[:32], X_val=table[100:132], y_val=label[100:132])
    epoch = (time.perf_counter() - start) / 200
    print(
        f"{name:10s} one row {one * 1e3:5.2f} ms   bulk {bulk:>11,.0f} rows/s   "
        f"10,000 calls grow {leaked:5.1f} MB   epoch of one step {epoch * 1e3:5.2f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(tabdl.models.names()))
    warnings.filterwarnings("ignore", message="columns dropped")
    for name in parser.parse_args().models.split(","):
        if name != "custom":
            measure(name)


if __name__ == "__main__":
    main()
