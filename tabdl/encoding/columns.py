"""Cells <-> codes of one column, and codes -> network arrays of all columns of a kind at once.

Codes are float64, NaN for a gap: a number itself, the rank of an ordered value, 0/1 of a boolean, the index into `Column.values`
of a category (-1 unseen), seconds since 1970 of a date. Text has no codes (NaN).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tabdl.cells import TRUTH, bare_whole, text_of, token
from tabdl.inference import Column
from tabdl.quantiles import weighted_quantiles

UNSEEN = -1.0
DAY = 86_400.0
CHUNK = 16_384  # rows expanded at a time, so that the work stays in the cache
BINS = 32  # of a number column, kept to rebuild synthetic rows
FAR = 1e6  # scaled values beyond are clipped before float32: the smooth clip is at its limit long before
TEXT_FEATURES = 64


# --- cells <-> codes ----------------------------------------------------------------------------------------------------


class Lookup(dict):
    """Canonical text -> code. Cells that are no text, or unknown, come through `__missing__` and are not remembered."""

    def __init__(self, column: Column) -> None:
        super().__init__((value, float(i)) for i, value in enumerate(column.values))
        self.salt = column.salt if column.private else None
        self.unseen = UNSEEN if column.kind == "category" else np.nan
        if self.salt is None:
            for i, value in enumerate(column.values):  # "3.0" was learned, 3 arrives
                bare = bare_whole(value)
                if bare is not None:
                    self.setdefault(bare, float(i))

    def __missing__(self, value: Any) -> float:
        text = text_of(value)
        if text is None:
            return np.nan
        found = self.get(text)
        if found is None:
            bare = bare_whole(text)  # "3" was learned, "3.0" arrives
            found = None if bare is None else self.get(bare)
        return self.unseen if found is None else found


class PrivateLookup(Lookup):
    """Hashed text -> code; what arrives is hashed first, so that a hash itself is an unknown value."""

    def __getitem__(self, value: Any) -> float:
        text = text_of(value)
        if text is None:
            return np.nan
        bare = bare_whole(text)
        for form in (text,) if bare is None else (text, bare):
            found = self.get(token(form, str(self.salt)))
            if found is not None:
                return found
        return self.unseen


class TruthLookup(dict):
    """Any text for true or false -> 1 or 0; everything else is a gap."""

    def __init__(self, column: Column) -> None:
        super().__init__({value: float(i) for i, value in enumerate(column.values)})

    def __missing__(self, value: Any) -> float:
        text = text_of(value)
        return np.nan if text is None else TRUTH.get((bare_whole(text) or text).strip().lower(), np.nan)


def lookup_of(column: Column) -> dict[Any, float] | None:
    """What turns the cells of a column into codes; None where the cells are numbers or times already."""
    if column.kind == "boolean":
        return TruthLookup(column)
    if column.kind in ("category", "ordered"):
        return PrivateLookup(column) if column.private else Lookup(column)
    return None


def codes_of(column: Column, array: np.ndarray, lookup: dict[Any, float] | None) -> np.ndarray | float:
    """(rows,) float64; `array` comes from `Schema.read`."""
    if column.kind in ("number", "count"):
        return array
    if column.kind == "date":
        seconds = array.astype(np.int64) / 1e6
        return np.where(np.isnat(array), np.nan, seconds)
    if lookup is None:
        return np.nan  # text
    if array.dtype != object and len(array) > 16:
        if array.dtype.kind == "b":
            return np.where(array, lookup[True], lookup[False])
        values, at = np.unique(array, return_inverse=True)
        return np.array([lookup[value] for value in values])[at]
    cells: Any = array.tolist() if array.dtype.kind != "M" and array.dtype != np.float32 else list(array)
    if type(lookup) is PrivateLookup and len(cells) > 16:  # hash each distinct cell once
        forms = [text_of(cell) for cell in cells]
        known = {form: lookup[form] for form in set(forms)}
        return np.array([known[form] for form in forms], dtype=np.float64)
    return np.fromiter(map(lookup.__getitem__, cells), dtype=np.float64, count=len(cells))


def refuse_cells(name: str, array: np.ndarray) -> None:
    """Names the row of the first cell that is neither text, date, boolean nor number."""
    for row, cell in enumerate(array):
        try:
            text_of(cell)
        except TypeError as error:
            raise TypeError(f"column {name!r}, row {row}: {error}") from None


def values_of(column: Column, codes: np.ndarray) -> np.ndarray:
    """Codes -> cells of the column's dtype; None (NaN, NaT) for gaps, unseen values and text."""
    gaps = np.isnan(codes)
    if column.kind in ("number", "count"):
        if column.dtype == "int" and not gaps.any():
            return np.rint(codes).astype(np.int64)
        return codes.astype(np.float64)
    if column.kind == "date":
        return _times_of(codes, gaps)
    cells = np.empty(len(column.values) + 1, dtype=object)
    cells[: len(column.values)] = column.typed_values
    at = np.where(gaps | (codes < 0) | (codes >= len(column.values)), len(column.values), np.nan_to_num(codes)).astype(np.int64)
    found = cells[at]
    known = {"int": np.int64, "float": np.float64, "bool": np.bool_}.get("str" if column.private else column.dtype)
    return found.astype(known) if known is not None and (at < len(column.values)).all() else found


def _times_of(codes: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    seconds = np.where(gaps, 0.0, codes)
    whole = np.floor(seconds)  # apart from the fraction, so that microseconds survive
    moments = (whole.astype(np.int64) * 1_000_000 + np.rint((seconds - whole) * 1e6).astype(np.int64)).astype("datetime64[us]")
    moments[gaps] = np.datetime64("NaT")
    return moments


# --- codes -> network arrays --------------------------------------------------------------------------------------------


def _share(mask: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Weighted share of True, per column. mask: (rows, columns)."""
    return mask.mean(axis=0) if weight is None else weight @ mask / weight.sum()


class Numbers:
    """Numbers, counts, ranks and elapsed time: robust scale, smooth clip into (-3, 3); a gap is 0, and a flag if fit saw gaps."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.at = np.array([j for j, c in enumerate(columns) if c.kind in ("number", "count", "ordered", "date")], dtype=np.intp)
        self.counts = np.array([columns[j].kind == "count" for j in self.at], dtype=bool)
        self.whole = np.array([columns[j].dtype == "int" or columns[j].kind == "ordered" for j in self.at], dtype=bool)
        self.private = [columns[j].private for j in self.at]
        self.all = len(self.at) == len(columns)

    def fit(self, codes: np.ndarray, weight: np.ndarray | None) -> None:
        n = len(self.at)
        self.center, self.scale, self.bins = np.zeros(n), np.zeros(n), np.zeros((n, BINS))
        gaps = np.isnan(codes[:, self.at])
        self.gaps = gaps.any(axis=0)
        self.gap_share = _share(gaps, weight)
        edges = np.concatenate([[0.25, 0.5, 0.75, 0.0, 1.0], (np.arange(2 * BINS) // 2 + np.arange(2 * BINS) % 2) / BINS])
        for k in range(n):
            known = ~gaps[:, k]
            values = codes[known, self.at[k]]
            if len(values):
                quantiles = weighted_quantiles(values, edges, None if weight is None else weight[known])
                self.bins[k] = quantiles[5::2] / 2 + quantiles[6::2] / 2  # between two values: no cell of a row is kept
                self.center[k], self.scale[k] = _robust(_tame(quantiles[:5]) if self.counts[k] else quantiles[:5])
                if self.private[k]:
                    self._blur(k)

    def _blur(self, k: int) -> None:
        """Of a private column only the rough place and the power of two nearest to its spread are kept, and no bins."""
        spread = 2.0 ** np.rint(np.log2(1 / self.scale[k])) if self.scale[k] > 0 else 0.0
        self.center[k] = np.rint(self.center[k] / spread * 4) * spread / 4 if spread else 0.0
        self.scale[k] = 1 / spread if spread else 0.0
        bins = self.center[k] + np.linspace(-1, 1, BINS) * spread
        self.bins[k] = np.expm1(np.maximum(bins, 0.0)) if self.counts[k] else bins

    def expand(self, codes: np.ndarray, numbers: np.ndarray, flags: np.ndarray) -> None:
        """codes: (rows, all columns). Fills numbers (rows, n) and flags (rows, columns with gaps)."""
        z = codes.copy() if self.all else codes.take(self.at, axis=1)
        if self.counts.any():
            z[:, self.counts] = _tame(z[:, self.counts])
        with np.errstate(over="ignore"):  # infinity is clipped in the next line
            z -= self.center
            z *= self.scale
        np.clip(z, -FAR, FAR, out=z)
        numbers[:] = z
        gaps = np.isnan(numbers)
        root = np.square(numbers)
        root /= 9
        root += 1
        numbers /= np.sqrt(root, out=root)
        if gaps.any():
            numbers[gaps] = 0
        flags[:] = gaps[:, self.gaps]

    def sample(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """(rows, n) codes: a point between the middles of two neighbouring bins, gaps at their rate."""
        place = rng.uniform(0, BINS - 1, (rows, len(self.at)))
        low = place.astype(np.intp)
        each = np.arange(len(self.at))
        part = place - low
        values = self.bins[each, low] * (1 - part) + self.bins[each, np.minimum(low + 1, BINS - 1)] * part
        values = np.where(self.whole, np.rint(values), values)
        return np.where(rng.uniform(size=values.shape) < self.gap_share, np.nan, values)

    @property
    def state(self) -> dict[str, np.ndarray]:
        names = ("center", "scale", "bins", "gaps", "gap_share")
        return {f"numbers/{name}": getattr(self, name) for name in names}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        n = len(self.at)
        self.center, self.scale = read_state(arrays, "numbers/center", (n,)), read_state(arrays, "numbers/scale", (n,))
        self.bins, self.gap_share = read_state(arrays, "numbers/bins", (n, BINS)), read_state(arrays, "numbers/gap_share", (n,))
        self.gaps = read_state(arrays, "numbers/gaps", (n,), bool)


def _tame(values: np.ndarray) -> np.ndarray:
    """Counts span orders of magnitude; one below zero, never seen in fit, counts as none."""
    return np.log1p(np.maximum(values, 0.0))


def _robust(quantiles: np.ndarray) -> tuple[float, float]:
    """quantiles: 25, 50, 75%, lowest, highest -> center, factor; 0, 0 where nothing varies."""
    q25, q50, q75, low, high = quantiles.tolist()
    for half, unit in ((q75 / 2 - q25 / 2, 0.5), (high / 2 - low / 2, 1.0)):  # halves: the whole spread may overflow
        if half > 0 and np.isfinite(unit / half):
            return q50, unit / half
    return 0.0, 0.0


class Booleans:
    """-1, +1, and 0 for a gap."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.at = np.array([j for j, c in enumerate(columns) if c.kind == "boolean"], dtype=np.intp)

    def fit(self, codes: np.ndarray, weight: np.ndarray | None) -> None:
        cells = codes[:, self.at]
        self.gap_share, self.true_share = _share(np.isnan(cells), weight), _share(cells == 1, weight)

    def expand(self, codes: np.ndarray, flags: np.ndarray) -> None:
        signs = codes[:, self.at] * 2 - 1
        flags[:] = np.where(np.isnan(signs), 0, signs)

    def sample(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        u = rng.uniform(size=(rows, len(self.at)))
        return np.where(u < self.gap_share, np.nan, np.where(u < self.gap_share + self.true_share, 1.0, 0.0))

    @property
    def state(self) -> dict[str, np.ndarray]:
        return {"booleans/gap_share": self.gap_share, "booleans/true_share": self.true_share}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        shape = (len(self.at),)
        self.gap_share = read_state(arrays, "booleans/gap_share", shape)
        self.true_share = read_state(arrays, "booleans/true_share", shape)


class Moments:
    """Cyclic parts of dates: sine and cosine of month, day of week and, where the times vary, hour of day. Zeros for a gap."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.at = np.array([j for j, c in enumerate(columns) if c.kind == "date"], dtype=np.intp)

    def fit(self, codes: np.ndarray, weight: np.ndarray | None) -> None:
        times = np.mod(codes[:, self.at], DAY)
        low = np.nanmin(np.where(np.isnan(times), DAY, times), axis=0)
        self.timed = np.nanmax(np.where(np.isnan(times), low, times), axis=0) > low

    @property
    def width(self) -> int:
        return int(4 * len(self.at) + 2 * self.timed.sum())

    def expand(self, codes: np.ndarray, flags: np.ndarray) -> None:
        seconds = codes[:, self.at]
        gaps = np.isnan(seconds)
        seconds[gaps] = 0
        days = np.floor(seconds / DAY)
        months = days.astype(np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        weekdays = np.mod(days + 3, 7)  # day 0 was a Thursday
        turns = [np.mod(months, 12) / 12, weekdays / 7, ((seconds - days * DAY) / DAY)[:, self.timed]]
        masks = [gaps, gaps, gaps[:, self.timed]]
        angles, mask = 2 * np.pi * np.concatenate(turns, axis=1), np.concatenate(masks, axis=1)
        half = angles.shape[1]
        flags[:, :half] = np.where(mask, 0, np.sin(angles))
        flags[:, half:] = np.where(mask, 0, np.cos(angles))

    @property
    def state(self) -> dict[str, np.ndarray]:
        return {"moments/timed": self.timed}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.timed = read_state(arrays, "moments/timed", (len(self.at),), bool)


class Categories:
    """Code 0 for a gap, 1 for an unseen value, 2 and up for the known ones."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.at = np.array([j for j, c in enumerate(columns) if c.kind == "category"], dtype=np.intp)
        self.sizes = [len(columns[j].values) for j in self.at]

    def fit(self, codes: np.ndarray, weight: np.ndarray | None) -> None:
        self.shares = []  # per column: of a gap, then of each value
        for j, size in zip(self.at, self.sizes, strict=True):
            cells = codes[:, j]
            known = cells != UNSEEN
            at = np.where(np.isnan(cells[known]), 0, cells[known] + 1).astype(np.intp)
            total = np.bincount(at, None if weight is None else weight[known], size + 1).astype(np.float64)
            self.shares.append(total / max(total.sum(), 1e-300))

    def expand(self, codes: np.ndarray, categories: np.ndarray) -> None:
        cells = codes.take(self.at, axis=1)
        cells += 2
        np.copyto(cells, 0, where=np.isnan(cells))
        categories[:] = cells

    def sample(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        codes = np.full((rows, len(self.at)), np.nan)
        for k, shares in enumerate(self.shares):
            place = np.searchsorted(np.cumsum(shares), rng.uniform(size=rows) * shares.sum(), side="right")
            drawn = np.minimum(place, len(shares) - 1)
            codes[:, k] = np.where(drawn == 0, np.nan, drawn - 1.0)
        return codes

    @property
    def state(self) -> dict[str, np.ndarray]:
        return {"categories/shares": np.concatenate([np.zeros(0), *self.shares])}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        ends = np.cumsum([size + 1 for size in self.sizes]).astype(np.intp)
        shares = read_state(arrays, "categories/shares", (int(ends[-1]) if len(ends) else 0,))
        self.shares = np.split(shares, ends[:-1]) if len(ends) else []


class Texts:
    """Hashed character n-grams of unit length; zeros for a gap. Nothing is learned, so nothing is stored."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.at = [j for j, c in enumerate(columns) if c.kind == "text"]
        self.names = [columns[j].name for j in self.at]
        self.width = TEXT_FEATURES * len(self.at)

    def expand(self, columns: dict[str, np.ndarray], flags: np.ndarray) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        ngrams: Any = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=TEXT_FEATURES, norm="l2")
        for k, name in enumerate(self.names):
            cells, part = columns[name], flags[:, k * TEXT_FEATURES : (k + 1) * TEXT_FEATURES]
            for start in range(0, len(cells), CHUNK):  # sparse n-grams of all rows at once could fill the memory
                texts = [text_of(cell) or "" for cell in cells[start : start + CHUNK].tolist()]
                part[start : start + CHUNK] = ngrams.transform(texts).toarray()


def read_state(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """An array of a stored encoder, if it is of this shape and type."""
    array = arrays[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: expected {np.dtype(dtype)} of shape {shape}, received {array.dtype} of shape {array.shape}")
    return np.array(array)
