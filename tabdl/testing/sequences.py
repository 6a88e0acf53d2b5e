"""What every estimator of series promises, beside what it promises as an estimator of tables."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tabdl.errors import SchemaError
from tabdl.testing.cases import ROWS, Case
from tabdl.testing.promises import near, refuses, require, saved_and_loaded

STEPS = 16


class _Series:
    """Series of one case as lists of arrays (steps, 2 channels), of 4 to 16 steps; the last row is the longest."""

    def __init__(self, case: Case):
        rng = np.random.default_rng(3)
        self.case, lengths = case, [*rng.integers(4, STEPS, ROWS - 1), STEPS]
        levels = case.signal / case.signal.std()
        self.X = [
            np.column_stack([rng.normal(level, 1, n), rng.normal(size=n)]) for n, level in zip(lengths, levels, strict=True)
        ]

    @cached_property
    def model(self) -> Any:
        return self.case.new().fit(self.X, self.case.y)

    def outputs(self, X: Any) -> np.ndarray:
        return self.case.outputs(self.model, X)


def _series(case: Case) -> _Series:
    found = vars(case).get("_series")
    if found is None:
        found = vars(case)["_series"] = _Series(case)
    return found


def check_lengths(case: Case) -> None:
    """A series is predicted the same beside longer ones and alone, and what it lacks at its end counts as absent."""
    own = _series(case)
    expected = own.outputs(own.X)
    require(np.isfinite(expected).all(), "series of unequal lengths should be predicted")
    for row in (0, 1, ROWS - 1):
        near(own.outputs([own.X[row]]), expected[[row]], f"row {row} alone should be predicted as beside longer series")
    gaps = [np.concatenate([x, np.full((STEPS - len(x), 2), np.nan)]) for x in own.X]
    near(own.outputs(gaps), expected, "gaps at the end of a series should count as its end")
    near(case.outputs(saved_and_loaded(own.model), own.X), expected, "a loaded model should predict the same")
    require(np.isfinite(own.outputs([x[:1] for x in own.X])).all(), "series of one step should be predicted")


def check_forms(case: Case) -> None:
    """Arrays, channels first, lists, cells of a table and a long table are one and the same."""
    own = _series(case)
    lists = own.X[-20:]  # with the longest: all of these models have the same shapes
    expected = own.outputs(lists)
    cells = pd.DataFrame({f"x{c}": pd.Series([x[:, c] for x in lists], dtype=object) for c in range(2)})
    near(own.outputs(cells), expected, "cells of a table should be read like a list of arrays")
    array = np.stack([np.concatenate([x, np.full((STEPS - len(x), 2), np.nan)]) for x in lists])
    near(own.outputs(array), expected, "an array (rows, steps, channels) should be read like a list of arrays")
    y = case.y[-20:]
    turned = case.new(channels_first=True).fit(np.moveaxis(array, 2, 1), y)
    near(case.outputs(turned, np.moveaxis(array, 2, 1)), case.outputs(case.new().fit(array, y), array), "channels first")
    long = pd.concat([pd.DataFrame(x, columns=["a", "b"]).assign(who=f"id {i}", at=range(len(x))) for i, x in enumerate(lists)])
    shuffled = long.sample(frac=1, random_state=0)
    model = case.new(id="who", time="at").fit(long, y)
    near(case.outputs(model, long), case.outputs(case.new().fit(lists, y), lists), "a long table should be read like a list")
    ids = list(dict.fromkeys(shuffled["who"]))
    order = [int(name.split()[1]) for name in ids]
    near(case.outputs(model, shuffled), case.outputs(model, long)[order], "rows of a long table may come in any order")


def check_empty_steps(case: Case) -> None:
    """Steps without a value, a series without steps, a gap in the place of a series: all are predicted, none with NaN."""
    own = _series(case)
    holes = [x.copy() for x in own.X[:8]]
    for x in holes:
        x[1] = np.nan
        x[2, 0] = np.nan
    holes.append(np.full((5, 2), np.nan))
    require(np.isfinite(own.outputs(holes)).all(), "gaps should be predicted")
    cells = pd.DataFrame({"x0": pd.Series([None, own.X[0][:, 0], np.array([])], dtype=object)})
    cells["x1"] = pd.Series([None, own.X[0][:, 1], np.array([])], dtype=object)
    require(np.isfinite(own.outputs(cells)).all(), "rows without a series should be predicted")


def check_misfits(case: Case) -> None:
    """What is no series is refused by name."""
    own = _series(case)
    refuses(SchemaError, "x1", lambda: own.outputs([np.column_stack([x[:, 0], np.full(len(x), np.inf)]) for x in own.X]))
    refuses(SchemaError, "features", lambda: own.outputs([x[:, :1] for x in own.X]))
    refuses(SchemaError, "row 1", lambda: own.outputs([own.X[0], own.X[1][:, :1]]))


SERIES_PROMISES = (check_lengths, check_forms, check_empty_steps, check_misfits)
