"""What a fit from a Parquet file takes, and that its memory does not grow with the file.

    [KERAS_BACKEND=jax] python benchmarks/streaming.py [--models mlp,tabular] [--rows 1000000,8000000] [--time-limit 180]

For each number of rows a file is written in pieces (50 columns and the target; row groups of 50,000 rows in the order of a
date), and a process of its own fits each model's classifier to it. Printed: seconds of the fit, rows of the file a second, log
loss and AUC on 50,000 fresh rows beside those of the true probabilities, and the peak memory of the process above that after
the imports; at last the ratio of the largest peak to the smallest. Files are deleted. With its defaults, on one core: 12 minutes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

GROUP = 50_000  # rows of a row group, and of a piece that is made at a time
NUMBERS, COUNTS, TEXTS, FLAGS = 30, 5, 9, 5  # and a date: 50 columns
FRESH = 50_000


def logit(table: pd.DataFrame, age: np.ndarray) -> np.ndarray:
    """Log odds of the target; age: days since the first row, 0 to 365."""
    n = [table[f"number_{j}"].fillna(0).to_numpy(float) for j in range(8)]
    city = table["text_0"].map({f"v{j}": np.cos(7.0 * j) for j in range(100)}).fillna(0.3).to_numpy()
    season = np.sin(2 * np.pi * age / 365)
    return 1.2 * n[0] + n[1] * n[2] - 0.8 * np.abs(n[3]) + 1.5 * city * (n[4] > 0) + season + 0.8 * table["flag_0"] * n[5] - 1


def make(rows: int, total: int, first: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """(rows `first` and following of a table of `total` in the order of its date, true probabilities)."""
    rng = np.random.default_rng((seed, first))
    columns: dict[str, object] = {}
    for j in range(NUMBERS):
        values = rng.normal(size=rows)
        columns[f"number_{j}"] = np.where(rng.random(rows) < 0.05, np.nan, values) if j % 3 == 0 else values
    for j in range(COUNTS):
        columns[f"count_{j}"] = np.floor(rng.lognormal(2, 1.5, rows)).astype(np.int64)
    for j in range(TEXTS):
        size = (100, 5, 1_000)[j % 3]
        words = np.array([*(f"v{i}" for i in range(size)), None], dtype=object)
        columns[f"text_{j}"] = words[np.minimum((rng.random(rows) ** 2 * (size + 1)).astype(int), size)]
    for j in range(FLAGS):
        columns[f"flag_{j}"] = rng.random(rows) < 0.2 + 0.1 * j
    age = (first + np.arange(rows)) / total * 365
    columns["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta((age * 86_400).astype(np.int64), unit="s")
    table = pd.DataFrame(columns)
    truth = 1 / (1 + np.exp(-logit(table, age)))
    return table.assign(target=rng.random(rows) < truth), truth


def write(path: Path, rows: int) -> None:
    import pyarrow
    from pyarrow import parquet

    writer = None
    for first in range(0, rows, GROUP):
        piece = pyarrow.Table.from_pandas(make(min(GROUP, rows - first), rows, first, 0)[0], preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    if writer is not None:
        writer.close()


def fresh() -> tuple[pd.DataFrame, np.ndarray]:
    """Rows from all over the year that no file has."""
    parts = [make(FRESH // 50, FRESH, first, 1) for first in range(0, FRESH, FRESH // 50)]
    return pd.concat([table for table, _ in parts], ignore_index=True), np.concatenate([truth for _, truth in parts])


def resident() -> float:
    """MB of memory that the process has now."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def peak() -> float:
    """MB, the most that the process has had: since it began, where the system tells that, which ru_maxrss does not on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1.024e-3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def fit(path: Path, model: str, limit: float) -> None:
    """One line: seconds, memory, scores."""
    import keras
    import pyarrow.parquet  # noqa: F401  counted among the imports
    from sklearn.metrics import log_loss, roc_auc_score

    import tabdl

    keras.ops.zeros(1)
    table, cls = tabdl.Parquet(path), tabdl.models.find(model, "classifier")
    rows, before = table.rows, resident()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = cls(random_state=0, time_limit=limit).fit(table, y="target")
    seconds, grown = time.perf_counter() - start, peak() - before
    table, truth = fresh()
    y, found = table.pop("target").to_numpy(), fitted.predict_proba(table)[:, 1]
    speed = f"{seconds:7.1f} s  {rows / seconds:>8,.0f} rows/s  blocks {len(fitted.history_['epoch']):4d}"
    loss = f"log loss {log_loss(y, found):.4f} (truth {log_loss(y, truth):.4f})"
    auc = f"AUC {roc_auc_score(y, found):.4f} (truth {roc_auc_score(y, truth):.4f})"
    print(f"{cls.__name__} {rows:>11,} rows  {speed}  {loss}  {auc}  memory {grown:.0f} MB above {before:.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mlp,tabular")
    parser.add_argument("--rows", default="1000000,8000000")
    parser.add_argument("--time-limit", type=float, default=180, help="seconds of training for each fit")
    parser.add_argument("--folder", help="where the files are written; 8 million rows take 2.5 GB")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        fit(Path(arguments.fit), arguments.models, arguments.time_limit)
        return
    peaks: dict[str, list[float]] = {model: [] for model in arguments.models.split(",")}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for rows in map(int, arguments.rows.split(",")):
            path = Path(folder) / f"{rows}.parquet"
            write(path, rows)
            for model in peaks:
                options = ["--fit", str(path), "--models", model, "--time-limit", str(arguments.time_limit)]
                done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
                line = done.stdout.strip().splitlines()[-1]
                print(line, flush=True)
                peaks[model].append(float(line.split(" memory ")[1].split()[0]))
            path.unlink()
    for model, found in peaks.items():
        print(f"{model}: largest peak above import / smallest: {max(found) / min(found):.3f}")


if __name__ == "__main__":
    main()
