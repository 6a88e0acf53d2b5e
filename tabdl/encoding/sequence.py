"""Series in the cells of a table -> (rows, steps, channels) and a mask (rows, steps) of the steps that are there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tabdl.cells import token
from tabdl.encoding.columns import read_state
from tabdl.encoding.rocket import RocketKernels
from tabdl.inference import Column
from tabdl.quantiles import weighted_quantiles
from tabdl.series import cut, known_steps, warn_uneven

LONG_TAIL = 12.0  # largest deviation in units of the quartiles' distance from where asinh keeps a channel in reach
UNSEEN, GAP = -1, -2  # codes of text
FLAT = 1e-8  # deviation of one series, relative to that of all, below which it has a level only


class SequenceEncoder:
    """Numbers scaled, gaps filled along the steps and flagged if fit saw gaps, text one-hot; beyond its end a series is zeros.

    scale: "channel" (one scale for all series) or "series" (each series loses its own level and spread).
    rocket: (features, groups, seed) of `RocketKernels`, whose features come beside the series, which then begins with its first
    value; () for none.
    """

    def __init__(self, columns: Sequence[Column], scale: str = "channel", rocket: Sequence[int] = ()) -> None:
        self.columns, self.scale, self.rocket = [c for c in columns if c.kind == "series"], scale, tuple(rocket)
        self.kernels = RocketKernels(*self.rocket[:2]) if self.rocket else None
        self._seen: tuple[list[np.ndarray], dict[str, np.ndarray]] | None = None
        self.numeric = [column for column in self.columns if column.dtype != "str"]
        self.texts = [column for column in self.columns if column.dtype == "str"]

    def fit(
        self,
        cells: dict[str, np.ndarray],
        weight: np.ndarray | None,
        like: SequenceEncoder | None = None,
        beside: dict[str, np.ndarray] | None = None,
    ) -> SequenceEncoder:
        """cells: column -> object array (rows,) of series or None. weight: of the rows, None when all are equal.

        like: an encoder of more rows, whose shapes this shall have. It lends its kernels too: they know no targets, and cost most
        of the time. beside: cells of further rows, of which only the number of steps is learned.
        """
        if like is not None and like.kernels is not None:
            return like
        values, lengths = self._measure(cells)
        longest = 0 if beside is None else self._measure(beside)[1].max(initial=0)
        self.steps = max(1, int(lengths.max(initial=0)), int(longest))
        n = len(self.numeric)
        self.center, self.spread, self.tail = np.zeros(n), np.ones(n), np.zeros(n, bool)
        inside = np.arange(len(values[0][0]) if values else 0) < lengths[:, None]
        known = [np.isfinite(each) for each in values]
        self.gaps = np.array([bool((inside & ~own).any()) for own in known], dtype=bool)
        for j, own in enumerate(known):
            if own.any():
                each = None if weight is None else np.broadcast_to(weight[:, None], own.shape)[own]
                self._learn(j, values[j][own], each)
        if like is not None:
            self.gaps, self.steps = like.gaps, like.steps
        if self.kernels is not None:
            arrays, lengths = self._arrays(cells, len(lengths))
            arrays["features"] = self.kernels.fit_transform(arrays["sequence"], np.maximum(lengths, 1), self.rocket[2])
            self._seen = [cells[name] for name in self.names], arrays
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

    @property
    def features(self) -> int:
        return 0 if self.kernels is None else self.kernels.width

    def expand(self, cells: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """ "sequence" (rows, steps, channels), "mask" (rows, steps), where a step without any value is 0, and "features"."""
        if self._seen is not None and all(cells[name] is seen for name, seen in zip(self.names, self._seen[0], strict=True)):
            return dict(self._seen[1])
        arrays, lengths = self._arrays(cells, rows)
        if self.kernels is not None:
            arrays["features"] = self.kernels.transform(arrays["sequence"], np.maximum(lengths, 1))
        return arrays

    def sample(self, rows: int) -> dict[str, np.ndarray]:
        """Arrays as of `expand`, of made-up waves that are never a seen row."""
        row, step, channel = np.ogrid[:rows, : self.steps, : self.channels]
        sequence = np.sin(0.1 * (row + 3) * (step + 1) + channel).astype(np.float32)
        arrays = {"sequence": sequence, "mask": np.ones((rows, self.steps), np.float32)}
        if self.kernels is not None:
            arrays["features"] = self.kernels.transform(sequence, np.full(rows, self.steps))
        return arrays

    def forget(self) -> None:
        """Drop the arrays of the training rows."""
        self._seen = None

    def _arrays(self, cells: dict[str, np.ndarray], rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Series and mask, and the steps of each row, up to the last that has a value."""
        cells = {c.name: _object(cells[c.name]) for c in self.columns}
        warn_uneven(cells)
        cells = cut(self._begun(cells), self.steps)
        values, codes, lengths = self._read(cells, rows, self.steps)
        mask = _there(values, codes)
        inside = np.arange(self.steps) < lengths[:, None]
        filled = (fill(v, np.isfinite(v), lengths) for v in values)
        return {"sequence": self._scale(values, filled, codes, inside), "mask": mask.astype(np.float32)}, lengths

    def encode_step(self, cells: dict[str, np.ndarray], filled: np.ndarray) -> np.ndarray:
        """One step of one series, float32 (channels,).

        cells: column -> (1,) as in a series. filled: the numbers (numeric,), gaps among them filled.
        """
        values = [cells[column.name].astype(np.float64)[None] for column in self.numeric]  # (1, 1) each
        codes = [_codes([cells[column.name]], column, 1) for column in self.texts]
        return self._scale(values, filled[:, None, None], codes, np.ones((1, 1), bool))[0, 0]

    def _scale(
        self, values: Sequence[np.ndarray], filled: Iterable[np.ndarray], codes: Sequence[np.ndarray], inside: np.ndarray
    ) -> np.ndarray:
        """Numbers, with and without their gaps, and codes of text, each (rows, steps) -> (rows, steps, channels)."""
        sequence = np.zeros((*inside.shape, self.channels), np.float32)
        flags = iter(range(len(values), self.channels))
        for j, (own, whole) in enumerate(zip(values, filled, strict=True)):
            sequence[:, :, j] = np.where(inside, self._scaled(j, whole, inside), 0)
            if self.gaps[j]:
                sequence[:, :, next(flags)] = inside & ~np.isfinite(own)
        for column, places in zip(self.texts, codes, strict=True):
            for place in range(len(column.values)):
                sequence[:, :, next(flags)] = places == place
        return sequence

    def _begun(self, cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """For kernels, which know no mask, each series from the first step on at which some channel has a value."""
        columns = [cells[name] for name in self.names] if self.kernels is not None else []
        starts = [min(map(_lead, row)) for row in zip(*columns, strict=True)]
        late = [row for row, start in enumerate(starts) if start > 0]
        if not late:
            return cells
        columns = [column.copy() for column in columns]
        for column, row in itertools.product(columns, late):
            column[row] = column[row][int(starts[row]) :] if _given(column[row]) and np.isfinite(starts[row]) else None
        return dict(zip(self.names, columns, strict=True))

    def _measure(self, cells: dict[str, np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """Numbers, a channel each (rows, longest cell), and the steps of each row."""
        begun = self._begun(cells)
        values, _, lengths = self._read(begun, len(cells[self.names[0]]), _longest(begun, self.columns))
        return values, lengths

    def _read(self, cells: dict[str, np.ndarray], rows: int, steps: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Numbers and codes of text, a channel each (rows, steps), and the steps of each row up to the last that has a value."""
        values = [_padded(cells[column.name], rows, steps) for column in self.numeric]
        codes = [_codes(cells[column.name], column, steps) for column in self.texts]
        mask = _there(values, codes)
        return values, codes, np.where(mask.any(axis=1), steps - np.argmax(mask[:, ::-1], axis=1), 0)

    def _scaled(self, j: int, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """One channel (rows, steps) of numbers without gaps."""
        z = (values - self.center[j]) / self.spread[j]
        if self.scale == "series":
            count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
            z = z - np.where(inside, z, 0).sum(axis=1, keepdims=True) / count
            own = np.sqrt(np.where(inside, z * z, 0).sum(axis=1, keepdims=True) / count)
            return z / np.where(own > FLAT, own, 1)
        return np.arcsinh(z) if self.tail[j] else z

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": None}

    @property
    def state(self) -> dict[str, np.ndarray]:
        names = ("center", "spread", "tail", "gaps")
        arrays = {f"sequence/{name}": getattr(self, name) for name in names} | {"sequence/steps": np.array([self.steps])}
        return arrays if self.kernels is None else arrays | self.kernels.state

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        shape = (len(self.numeric),)
        self.center, self.spread = (read_state(arrays, f"sequence/{name}", shape) for name in ("center", "spread"))
        self.tail, self.gaps = (read_state(arrays, f"sequence/{name}", shape, bool) for name in ("tail", "gaps"))
        self.steps = int(read_state(arrays, "sequence/steps", (1,), np.int64)[0])
        if self.kernels is not None:
            self.kernels = RocketKernels.from_state(arrays)


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


def _lead(cell: Any) -> float:
    """Steps before the first that has a value; infinite without any."""
    known = known_steps(cell)
    return known[0] if len(known) else np.inf


def _object(cells: np.ndarray) -> np.ndarray:
    """A column of gaps only came as numbers."""
    return cells if cells.dtype == object else np.full(len(cells), None, dtype=object)


def _longest(cells: dict[str, np.ndarray], columns: Sequence[Column]) -> int:
    """Steps of the longest cell, at least 1."""
    return max((len(cell) for column in columns for cell in cells[column.name] if _given(cell)), default=0) or 1


def _there(values: list[np.ndarray], codes: list[np.ndarray]) -> np.ndarray:
    """bool (rows, steps): whether any channel has a value."""
    return np.any([np.isfinite(each) for each in values] + [each > GAP for each in codes], axis=0)


def _padded(cells: np.ndarray, rows: int, steps: int) -> np.ndarray:
    """(rows, steps) float64, NaN beyond the end of each series."""
    if all(_given(cell) and len(cell) == steps for cell in cells):
        return np.stack(list(cells)).astype(np.float64)
    values = np.full((rows, steps), np.nan)
    for row, cell in enumerate(cells):
        if _given(cell):
            values[row, : len(cell)] = cell
    return values


def _codes(cells: Sequence[Any] | np.ndarray, column: Column, steps: int) -> np.ndarray:
    """Places among the values of a channel of text (rows, steps); UNSEEN, and GAP also beyond the end."""
    places = {value: place for place, value in enumerate(column.values)}
    codes = np.full((len(cells), steps), GAP)
    for row, cell in enumerate(cells):
        if _given(cell):
            texts = [None if v is None or v != v else token(v, column.salt) if column.private else v for v in cell]
            codes[row, : len(cell)] = [GAP if v is None else places.get(v, UNSEEN) for v in texts]
    return codes
