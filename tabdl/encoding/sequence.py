"""Series in the cells of a table -> (rows, steps, channels) and a mask (rows, steps) of the steps that are there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabdl.cells import token
from tabdl.encoding.columns import read_state
from tabdl.inference import Column
from tabdl.quantiles import weighted_quantiles
from tabdl.series import cut

LONG_TAIL = 12.0  # largest deviation in units of the quartiles' distance from where asinh keeps a channel in reach
FLAT = 1e-8  # deviation of one series, relative to that of all, below which it has a level only


class SequenceEncoder:
    """Numbers scaled, gaps filled along the steps and flagged if fit saw gaps, text one-hot; beyond its end a series is zeros.

    scale: "channel" (one scale for all series) or "series" (each series loses its own level and spread).
    """

    def __init__(self, columns: Sequence[Column], scale: str = "channel") -> None:
        self.columns, self.scale = [column for column in columns if column.kind == "series"], scale
        self.numeric = [column for column in self.columns if column.dtype != "str"]
        self.texts = [column for column in self.columns if column.dtype == "str"]

    def fit(self, cells: dict[str, np.ndarray], weight: np.ndarray | None) -> SequenceEncoder:
        """cells: column -> object array (rows,) of series or None. weight: of the rows, None when all are equal."""
        lengths = _lengths(cells, self.columns)
        self.steps = max(1, int(lengths.max(initial=0)))
        n = len(self.numeric)
        self.center, self.spread, self.tail = np.zeros(n), np.ones(n), np.zeros(n, bool)
        self.gaps = np.zeros(n, bool)
        for j, column in enumerate(self.numeric):
            rows = [row for row, cell in enumerate(cells[column.name]) if _given(cell)]
            values = np.concatenate([np.zeros(0), *(cells[column.name][row] for row in rows)])
            each = None if weight is None else np.repeat(weight[rows], [len(cells[column.name][row]) for row in rows])
            known = np.isfinite(values)
            self.gaps[j] = len(rows) < len(lengths) or not known.all()
            if known.any():
                self._learn(j, values[known], None if each is None else each[known])
        return self

    def _learn(self, j: int, values: np.ndarray, weight: np.ndarray | None) -> None:
        low, middle, high = weighted_quantiles(values, np.array([0.25, 0.5, 0.75]), weight)
        half = (high - low) / 2
        far = np.abs(values - middle).max()
        self.tail[j] = half > 0 and far > LONG_TAIL * 2 * half
        if self.tail[j]:
            self.center[j], self.spread[j] = middle, half
            return
        self.center[j] = np.average(values, weights=weight)
        self.spread[j] = np.sqrt(np.average((values - self.center[j]) ** 2, weights=weight)) or 1.0

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def channels(self) -> int:
        return len(self.numeric) + int(self.gaps.sum()) + sum(len(column.values) for column in self.texts)

    def expand(self, cells: dict[str, np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
        """(rows, steps, channels) and mask (rows, steps), float32; a step without any value is masked."""
        cells = {c.name: cut(_object(cells[c.name]), self.steps, c.name) for c in self.columns}
        sequence = np.zeros((rows, self.steps, self.channels), np.float32)
        mask = np.zeros((rows, self.steps), bool)
        lengths, at = _lengths(cells, self.columns), len(self.numeric)
        inside = np.arange(self.steps) < lengths[:, None]
        for j, column in enumerate(self.numeric):
            values = _padded(cells[column.name], rows, self.steps)
            known = np.isfinite(values)
            mask |= known
            sequence[:, :, j] = np.where(inside, self._scaled(j, fill(values, known, lengths), inside), 0)
            if self.gaps[j]:
                sequence[:, :, at] = inside & ~known
                at += 1
        for column in self.texts:
            codes = _codes(cells[column.name], column, self.steps)
            mask |= codes > -2
            sequence[:, :, at : at + len(column.values)] = codes[:, :, None] == np.arange(len(column.values))
            at += len(column.values)
        return sequence, mask.astype(np.float32)

    def _scaled(self, j: int, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """One channel (rows, steps) of numbers without gaps."""
        z = (values - self.center[j]) / self.spread[j]
        if self.scale == "series":
            count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
            z = z - np.where(inside, z, 0).sum(axis=1, keepdims=True) / count
            own = np.sqrt(np.where(inside, z * z, 0).sum(axis=1, keepdims=True) / count)
            return z / np.where(own > FLAT, own, 1)
        return np.arcsinh(z) if self.tail[j] else z

    @property
    def state(self) -> dict[str, np.ndarray]:
        names = ("center", "spread", "tail", "gaps")
        return {f"sequence/{name}": getattr(self, name) for name in names} | {"sequence/steps": np.array([self.steps])}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        shape = (len(self.numeric),)
        self.center, self.spread = (read_state(arrays, f"sequence/{name}", shape) for name in ("center", "spread"))
        self.tail, self.gaps = (read_state(arrays, f"sequence/{name}", shape, bool) for name in ("tail", "gaps"))
        self.steps = int(read_state(arrays, "sequence/steps", (1,), np.int64)[0])


def fill(values: np.ndarray, known: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Gaps (rows, steps) inside of each series on straight lines between their neighbours, at its ends equal to the nearest."""
    inside = np.arange(values.shape[1]) < lengths[:, None]
    filled = np.where(known, values, 0.0)
    for row in np.flatnonzero((inside & ~known).any(axis=1)):
        there = np.flatnonzero(known[row])
        if len(there):
            filled[row, : lengths[row]] = np.interp(np.arange(lengths[row]), there, values[row, there])
    return filled


def _given(cell: object) -> bool:
    return type(cell) is np.ndarray


def _object(cells: np.ndarray) -> np.ndarray:
    """A column of gaps only came as numbers."""
    return cells if cells.dtype == object else np.full(len(cells), None, dtype=object)


def _lengths(cells: dict[str, np.ndarray], columns: Sequence[Column]) -> np.ndarray:
    """Steps of each row: those of its longest channel."""
    each = [[len(cell) if _given(cell) else 0 for cell in cells[column.name]] for column in columns]
    return np.array(each, dtype=np.int64).max(axis=0)


def _padded(cells: np.ndarray, rows: int, steps: int) -> np.ndarray:
    """(rows, steps) float64, NaN beyond the end of each series."""
    if all(_given(cell) and len(cell) == steps for cell in cells):
        return np.stack(list(cells)).astype(np.float64)
    values = np.full((rows, steps), np.nan)
    for row, cell in enumerate(cells):
        if _given(cell):
            values[row, : len(cell)] = cell
    return values


def _codes(cells: np.ndarray, column: Column, steps: int) -> np.ndarray:
    """Places among the values of a channel of text (rows, steps); -1 for unseen ones, -2 for gaps and beyond the end."""
    places = {value: place for place, value in enumerate(column.values)}
    codes = np.full((len(cells), steps), -2)
    for row, cell in enumerate(cells):
        if _given(cell):
            texts = [None if v is None or v != v else token(v, column.salt) if column.private else v for v in cell]
            codes[row, : len(cell)] = [-2 if v is None else places.get(v, -1) for v in texts]
    return codes
