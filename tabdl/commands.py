"""What the commands do with a table file: rows with a target, the task, predictions chunk by chunk."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl import models
from tabdl.errors import ParameterError, SchemaError, TabdlError
from tabdl.frames import read_frame
from tabdl.panel import group_rows, only_known
from tabdl.schema import Schema
from tabdl.scoring import held_out_scores, infer_task
from tabdl.tablefiles import is_parquet, is_table, read_chunks, read_table
from tabdl.timeline import as_names

if TYPE_CHECKING:
    import pandas as pd


def start_backend(quiet: bool = True) -> None:
    """Import Keras and its backend; quiet: without the lines that native libraries write to standard error by the dozen."""
    if not quiet or "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        import keras

        with suppress(Exception):  # looks for a GPU; what really fails is told when it is needed
            keras.distribution.list_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


@dataclass(frozen=True)
class LabelledRows:
    """Rows of a table with their target and, where given, weight; of a long table the number of each row's series."""

    X: pd.DataFrame
    y: pd.Series
    weight: pd.Series | None
    series: np.ndarray | None = None

    def take(self, index: np.ndarray) -> LabelledRows:
        X, y, weight = (None if part is None else part.iloc[index] for part in (self.X, self.y, self.weight))
        series = None if self.series is None else self.series[index]
        return LabelledRows(X, y, weight, series)  # pyright: ignore[reportArgumentType]  pandas types .iloc as anything

    @property
    def first(self) -> np.ndarray:
        """Numbers of the rows; of a long table those in which its series first appear."""
        return np.arange(len(self.X)) if self.series is None else np.unique(self.series, return_index=True)[1]

    @property
    def count(self) -> str:
        return f"{len(self.first)} {'rows' if self.series is None else 'series'}"

    def split(self, test_fraction: float, seed: int, stratify: bool) -> tuple[LabelledRows, LabelledRows | None]:
        """(training rows, test rows), series whole; classes keep their shares where each has two rows or series, or more."""
        if test_fraction == 0:
            return self, None
        from sklearn.model_selection import train_test_split

        first = self.first
        y = self.y.iloc[first]
        labels = y if stratify and y.value_counts().min() > 1 and test_fraction * len(y) >= y.nunique() else None
        parts = train_test_split(first, test_size=test_fraction, random_state=seed, stratify=labels)
        train, test = (
            np.sort(part) if self.series is None else np.flatnonzero(np.isin(self.series, self.series[part])) for part in parts
        )
        return self.take(train), self.take(test)

    def scores(self, model: Any) -> dict[str, float]:
        y, weight = (None if cells is None else cells.iloc[self.first] for cells in (self.y, self.weight))
        return held_out_scores(model, self.X, y, weight)


def read_rows(
    path: Path,
    target: str,
    drop: Iterable[str] = (),
    weight: str | None = None,
    text: Iterable[str] | None = None,
    ids: Sequence[str] = (),
) -> LabelledRows:
    """The rows of a table file that have a target, in their order; `text`: columns to read as text.

    ids: columns of a long table that tell series apart; a series has the target that one of its rows has.
    """
    table: Any = read_table(path, text)
    for name in (target, *ids, *drop, *([weight] if weight else [])):
        if name not in table.columns:
            raise SchemaError(f"{path} has no column {name!r}{_nearest(name, table.columns)}")
    if ids:
        columns = read_frame(table, only=[*ids, target]).columns
        remedy = "to forecast it, add --horizon STEPS"
        codes, at = only_known(f"the target {target!r}", columns.pop(target), columns, remedy)
        table[target] = table[target].iloc[at[codes]].set_axis(table.index)
    present = table[target].notna()
    if not present.any():
        raise SchemaError(f"the target {target!r} is missing in all {len(table)} rows of {path}; choose another column")
    if not present.all():
        warnings.warn(f"{int((~present).sum())} rows without a target are left out", stacklevel=2)
        table = table[present].reset_index(drop=True)
    y = table[target]
    if y.dtype.kind == "f" and not present.all() and bool((y == y.round()).all()):
        y = y.astype("int64")  # whole numbers that were read as floats for their gaps
    others = table.drop(columns=[target, *drop, *([weight] if weight else [])])
    return LabelledRows(others, y, table[weight] if weight else None, series_of(table, ids))


def series_of(table: Any, ids: Sequence[str]) -> np.ndarray | None:
    """Number of each row's series in a long table, by first appearance; None for other tables."""
    columns = read_frame(table, only=ids).columns if ids else {}
    return group_rows({name: columns[name] for name in ids}, len(table))[0] if ids else None


def choose_task(rows: LabelledRows, wanted: str) -> tuple[str, str]:
    """The task and the reason for it, in words."""
    if wanted != "auto":
        return wanted, "as asked"
    task, reason = infer_task(rows.y)
    other = "regressor" if task == "classifier" else "classifier"
    numeric = rows.y.dtype.kind in "iuf"
    return task, f"the target {rows.y.name!r} has {reason}" + (f"; --task {other} would change it" if numeric else "")


def find_model(name: str, task: str) -> type:
    """Estimator class of an architecture, or of an installed package's entry point in the group "tabdl.models"."""
    kinds = ("Forecaster",) if task == "forecaster" else ("Classifier", "Regressor")
    if name in models.names(*kinds):
        return models.find(name, task)
    wanted = name if name.lower().endswith(task) else name + task.title()
    for entry in metadata.entry_points(group="tabdl.models", name=wanted):
        return entry.load()
    known = sorted({*models.names(*kinds), *(e.name for e in metadata.entry_points(group="tabdl.models"))})
    raise ParameterError(f"expected a model among {', '.join(known)}, received {name!r}")


def text_columns(model: Any, target: str | None = None) -> list[str]:
    """Columns whose cells must be read as they are written, so that chunks and zip codes keep their values."""
    names = [c.name for c in model.schema_.columns if c.dtype == "str" and c.kind not in ("number", "count")]
    classes = getattr(model, "classes_", None)
    names += as_names(getattr(model, "id", None))
    return [*names, target] if target is not None and classes is not None and classes.dtype.kind in "OUST" else names


def guess_target(model: Any, path: Path, weight: str | None) -> str:
    """The one column of the file that the model does not know."""
    columns = next(read_chunks(path, (), 1))[0].columns
    known = [*model.schema_.names, weight, *as_names(getattr(model, "id", None)), getattr(model, "time", None)]
    unknown = [str(c) for c in columns if c not in known]
    if len(unknown) == 1:
        return unknown[0]
    found = f"{len(unknown)} columns that the model does not know: {', '.join(unknown[:10])}" if unknown else "none"
    raise SchemaError(f"expected one column with the truth, found {found}; name it with --target")


def schema_of(path: Path) -> Schema:
    """Schema of a saved model, or what would be inferred for a table file."""
    if is_table(path):
        return Schema.infer(read_table(path))
    from tabdl import artifact

    model = artifact.load(path)
    if not hasattr(model, "schema_"):
        raise SchemaError(f"expected a model of a table, received a {type(model).__name__}, whose columns have roles: {model!r}")
    return model.schema_


def predicted(model: Any, path: Path, proba: bool, chunk_rows: int, typed: bool) -> Iterator[pd.DataFrame]:
    """Chunks of the file with the columns of the predictions; typed: values as read, else cells as written.

    A long table is one chunk, and each row has the prediction of its series.
    """
    ids = as_names(getattr(model, "id", None))
    whole = bool(ids) if is_parquet(path) else typed  # one type a column of the output, whatever the chunk
    chunk_rows = sys.maxsize if ids else chunk_rows
    text, start = text_columns(model), 0
    pairs = ((table, table) for table in [read_table(path, text)]) if whole else read_chunks(path, text, chunk_rows)
    for values, cells in pairs:
        try:
            added, series = predictions(model, values, proba), series_of(values, ids)
        except TabdlError as error:
            raise type(error)(f"rows {start + 1} to {start + len(values)} of {path}: {error}" if start else str(error)) from None
        taken = [name for name in added if name in cells.columns]
        if taken:
            raise SchemaError(f"{path} has a column {taken[0]!r} already; rename or remove it")
        yield cells.assign(**{name: found if series is None else found[series] for name, found in added.items()})
        start += len(values)


def predictions(model: Any, X: pd.DataFrame, proba: bool = False) -> dict[str, np.ndarray]:
    """Column name -> values: prediction (one a level, label or output where there are several), probability_<class>."""
    values = np.asarray(model.predict(X))
    if values.ndim == 1:
        columns = {"prediction": values}
    else:
        names = getattr(model, "quantiles", None) or range(values.shape[1])
        columns = {f"prediction_{name}": values[:, i] for i, name in enumerate(names)}
    if proba:
        shares = model.predict_proba(X)
        columns |= {f"probability_{label}": shares[:, i] for i, label in enumerate(model.classes_)}
    return columns


def _nearest(name: str, known: Iterable[Any]) -> str:
    names = [str(k) for k in known]
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names[:20])}"
