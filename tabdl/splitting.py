"""Train and test rows by time, for scikit-learn's cross-validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from tabdl.errors import ParameterError, SchemaError
from tabdl.timeline import as_pandas, check_columns, positions_of


@dataclass
class RollingOrigin:
    """Cross-validation by rolling origins: train on the past, test on the `horizon` steps from an origin on, move the origin.

    Works wherever scikit-learn takes `cv=`. A step is one distinct time of the table, so all rows of one time, the whole panel,
    are on one side, and no training row is at or after the origin of its test rows. The last test part ends with the table.

    Tashman, Out-of-sample tests of forecasting accuracy, International Journal of Forecasting 16 (2000).

    Parameters
    ----------
    horizon : int
        Steps in each test part.
    origins : int, default=4
        Number of splits.
    step : int or None, default=None
        Steps from one origin to the next; `horizon` when None, so that test parts do not overlap.
    gap : int, default=0
        Steps left out before each origin. Rows whose y is known only h steps later need gap=h; more where series have their
        rows at other times.
    lookback : int or None, default=None
        Steps to train on, a rolling window; everything before the origin when None.
    time : str or None, default=None
        The column (or level of a pandas index) that holds the time; when None, a pandas index of dates, else the row order.

    Raises `ParameterError` for a parameter out of range or more origins than the table has steps for, `SchemaError` when the
    time cannot be read.

    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_val_score
    >>> from tabdl import RollingOrigin
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0).dropna().set_index("date")
    >>> X, y = table[["promo", "size"]], table["sales"]
    >>> cross_val_score(Ridge(), X, y, cv=RollingOrigin(horizon=14, origins=3), scoring="r2").round(1).shape
    (3,)
    """

    horizon: int
    origins: int = 4
    step: int | None = None
    gap: int = 0
    lookback: int | None = None
    time: str | None = None

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of origins."""
        return self.origins

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of each train and test part, ascending; oldest origin first."""
        times = self._times(X)
        distinct, step = np.unique(times, return_inverse=True)
        for origin in self.positions(len(distinct)):
            first = 0 if self.lookback is None else origin - self.gap - self.lookback
            train = np.flatnonzero((step >= first) & (step < origin - self.gap))
            yield train, np.flatnonzero((step >= origin) & (step < origin + self.horizon))

    def positions(self, steps: int) -> list[int]:
        """The origins in a table of so many steps: the number of the first step of each test part."""
        self._check()
        stride = self.horizon if self.step is None else self.step
        first = steps - self.horizon - (self.origins - 1) * stride
        needed = self.gap + (self.lookback or 1)
        if first < needed:
            raise ParameterError(
                f"expected at least {steps + needed - first} steps for {self.origins} origins of horizon "
                f"{self.horizon}, received {steps}; ask for fewer origins or a shorter horizon, step, gap or lookback"
            )
        return [first + k * stride for k in range(self.origins)]

    def _check(self) -> None:
        for name, low in (("horizon", 1), ("origins", 1), ("step", 1), ("gap", 0), ("lookback", 1)):
            value = getattr(self, name)
            if value is None and name in ("step", "lookback"):
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
                raise ParameterError(f"RollingOrigin({name}={value!r}): expected a whole number, {low} or more")

    def _times(self, X: Any) -> np.ndarray:
        index: Any = getattr(X, "index", None)  # lists have a method of this name
        if self.time is None:
            dated = getattr(index, "inferred_type", "") in ("datetime64", "period")
            return positions_of(index, "index") if dated else np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
        if self.time in getattr(index, "names", ()):
            return positions_of(index.get_level_values(self.time), self.time)
        if len(getattr(X, "shape", (0, 0))) != 2:
            raise SchemaError(f"expected a table with a column {self.time!r}, received {type(X).__name__}; leave out time=")
        table = as_pandas(X)
        check_columns(table, [self.time])
        return positions_of(table[self.time], self.time)
