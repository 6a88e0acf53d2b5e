"""What a column is, told from its cells: one rule a kind, in the order of `infer_column`."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tabdl.cells import GAP_TEXTS, TRUTH, TRUTH_PAIRS, dates_of, find_date_format, number_of, numbers_of, text_of, token
from tabdl.errors import SchemaError
from tabdl.quantiles import weighted_quantiles
from tabdl.series import holds_series, parse_steps

KINDS = ("number", "count", "boolean", "category", "ordered", "date", "text", "series", "identifier", "constant")
DROPPED = ("identifier", "constant")
MOST_CHANNELS = 32  # values of a series of text, each a channel of its own; the rest share the code of unseen values
MOST_VALUES = 10_000  # kept of a category column; the rest share the code of unseen values
TO_DATES = "convert it with pandas.to_datetime(..., unit=...)"
ENOUGH_ROWS = 100  # before all-distinct cells mean an identifier
MANY_NUMBERS = 20  # distinct texts, most of them numbers, before these may be meant as such
HEAVY_TAIL, EXTREME = 10.0, 1000.0  # 99th percentile over median, largest over median; each plus one


@dataclass(frozen=True)
class Column:
    """What is known of a column.

    missing: gaps were seen. low, high: observed range (seconds since 1970 for dates; None when private).
    values: of a category by falling frequency, of an ordered one from low to high, of a boolean (false, true);
    of numbers stored as text, the texts that stand for a gap; of a series of text by falling frequency. Private values are
    salted hashes.
    dtype: of a decoded cell: int, float, bool, str or date. format: of a date stored as text.
    """

    name: str
    kind: str
    missing: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    dtype: str = "float"
    format: str | None = None
    private: bool = False
    salt: str = ""

    @property
    def used(self) -> bool:
        return self.kind not in DROPPED

    @property
    def typed_values(self) -> list[Any]:
        """`values` as a table holds them; hashes stay text."""
        if self.kind == "boolean" and self.dtype != "str":
            return [{"int": int, "float": float}.get(self.dtype, bool)(i) for i in range(len(self.values))]
        if self.dtype == "str" or self.private:
            return list(self.values)
        typed = {"int": int, "float": float, "bool": "True".__eq__}[self.dtype]
        return [typed(value) for value in self.values]


@dataclass
class Cells:
    """The cells of one column while its kind is looked for. weight: of the rows, None when all are equal."""

    name: str
    array: np.ndarray
    weight: np.ndarray | None = None
    order: list | None = None
    categorical: bool = False

    def frequencies(self) -> dict[str, float]:
        """Canonical text -> total weight, most frequent first, equals by text; gaps left out."""
        array = self.array
        if array.dtype.kind in "iufM":
            values, at = np.unique(array, return_inverse=True)
            texts = [text_of(value) for value in values]
            shares = np.bincount(at, self.weight, len(values)).tolist()
        else:
            totals: Any = Counter(map(self._text, array.tolist())) if self.weight is None else Counter()
            if self.weight is not None:
                for value, weight in zip(array.tolist(), self.weight.tolist(), strict=True):
                    totals[self._text(value)] += weight
            texts, shares = list(totals), list(totals.values())
        found = {text: share for text, share in zip(texts, shares, strict=True) if text is not None}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _text(self, value: Any) -> str | None:
        try:
            return text_of(value)
        except TypeError as error:
            raise TypeError(f"column {self.name!r}: {error}") from None


def infer_column(cells: Cells, kind: str | Sequence[Any] | None = None, private: bool = False) -> Column:
    """The column, of the declared `kind` where one is given (a list of values declares an ordered column)."""
    if holds_series(cells.array):
        kind = _kind_of_series(cells.name, kind)
    if kind is not None and not isinstance(kind, str):
        cells.order, kind = list(kind), "ordered"
    if kind is None and cells.order is not None:
        kind = "ordered"
    if kind is None and cells.categorical:
        kind = "category"
    if kind is None or kind == "constant":
        column = _constant(cells, declared=kind is not None) or _by_dtype(cells)
    else:
        column = DECLARED[kind](cells, kind)
    return _hide(column) if private else column


def _kind_of_series(name: str, kind: str | Sequence[Any] | None) -> str:
    if kind in (None, "series", *DROPPED):
        return str(kind or "series")
    raise SchemaError(
        f"column {name!r} holds series, received the kind {kind!r}; declare it as 'series', or as 'constant' to drop it"
    )


def _hide(column: Column) -> Column:
    """Nothing that a cell held is kept: hashes in the place of values, no range."""
    salt = secrets.token_hex(16)
    values = column.values
    if column.kind in ("category", "ordered") or (column.kind == "series" and column.dtype == "str"):
        values = tuple(token(value, salt) for value in values)
    return replace(column, values=values, low=None, high=None, private=True, salt=salt)


def _constant(cells: Cells, declared: bool) -> Column | None:
    gaps = gaps_of(cells.array)
    present = cells.array[~gaps]
    if not declared:
        if len(present) and gaps.any():
            return None  # the gap informs
        if len(present) and not _all_equal(present):
            return None
    return Column(cells.name, "constant", missing=bool(gaps.any()), dtype=_plain_dtype(cells.array))


def _all_equal(present: np.ndarray) -> bool:
    first = present[0]
    if present.dtype != object:
        return bool((present == first).all())
    return all(type(value) is type(first) and value == first for value in present)


def gaps_of(array: np.ndarray) -> np.ndarray:
    """Mask of gaps in a canonical array; blank text is one."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "M":
        return np.isnat(array)
    if array.dtype != object:
        return np.zeros(len(array), dtype=bool)
    return np.fromiter((v is None or (type(v) is str and not v.strip()) for v in array), dtype=bool, count=len(array))


def _plain_dtype(array: np.ndarray) -> str:
    return {"i": "int", "u": "int", "f": "float", "b": "bool", "M": "date"}.get(array.dtype.kind, "str")


def _by_dtype(cells: Cells) -> Column:
    array = cells.array
    if array.dtype.kind == "M":
        return _date(cells, "date")
    if array.dtype.kind in "iuf":
        if _is_numbering(array):
            return Column(cells.name, "identifier", dtype="int")
        return _number(cells, None)
    if all(value is None or isinstance(value, bool) for value in array.tolist()):
        return _boolean(cells, "boolean")
    return _of_texts(cells)


def _is_numbering(array: np.ndarray) -> bool:
    """All-distinct integers that fill most of their range: row numbers, also after a split drew some of the rows."""
    if array.dtype.kind not in "iu" or len(array) < ENOUGH_ROWS:
        return False
    span = int(array.max()) - int(array.min()) + 1
    return span <= 2 * len(array) and len(np.unique(array)) == len(array)


def _of_texts(cells: Cells) -> Column:
    found = cells.frequencies()
    texts, present = list(found), int(np.count_nonzero(~gaps_of(cells.array)))
    if numeric_texts(texts):
        return _number(cells, None)
    if len(texts) == 2 and frozenset(text.lower() for text in texts) in TRUTH_PAIRS:
        return _boolean(cells, "boolean")
    if find_date_format(texts) is not None:
        return _date(cells, "date")
    if _is_prose(texts, present):
        return _text(cells, "text")
    if len(texts) == len(cells.array) >= ENOUGH_ROWS and not odd_texts(texts):
        return Column(cells.name, "identifier", dtype="str")
    return _category(cells, "category", found)


def numeric_texts(texts: Iterable[str]) -> bool:
    """Numbers stored as text, a few of them as "?" or "n/a". Leading zeros mean a code, such as a zip code."""
    numbers = [text for text in texts if text.strip().lower() not in GAP_TEXTS]
    return len(numbers) > 0 and all(map(_is_amount, numbers))


def odd_texts(texts: Iterable[str]) -> list[str]:
    """Of texts that are numbers but for at most a fifth those that are none; nothing where they are few, or look like codes."""
    present = [text for text in texts if text.strip().lower() not in GAP_TEXTS]
    odd = [text for text in present if not _is_amount(text)]
    return odd if len(present) >= MANY_NUMBERS and len(odd) <= 0.2 * len(present) else []


def _is_amount(text: str) -> bool:
    digits = text.strip().lstrip("+-")
    if (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()) or not any(c.isdigit() for c in digits):
        return False
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _is_prose(texts: list[str], present: int) -> bool:
    """Mostly distinct, three words or more on average (or long where the script has no blanks)."""
    if len(texts) < 20 or len(texts) < 0.5 * present:
        return False
    words = sum(len(text.split()) for text in texts) / len(texts)
    unspaced = sum(len(text) for text in texts if not text.isascii()) / len(texts)
    return words >= 3 or (words < 2 and unspaced >= 12)


# --- one builder a kind -------------------------------------------------------------------------------------------------


def _number(cells: Cells, kind: str | None) -> Column:
    array, gaps = cells.array, ()
    if array.dtype.kind not in "iufb":
        array, gaps = parse_numbers(cells.name, array, None)
    check_finite(cells.name, array)
    present = ~gaps_of(array)
    values = array[present].astype(np.float64)
    if not len(values):
        return Column(cells.name, kind or "number", missing=True, values=gaps)
    whole = bool((values == np.floor(values)).all())
    weight = None if cells.weight is None else cells.weight[present]
    kind = kind or ("count" if whole and _is_heavy(values, weight) else "number")
    dtype = "int" if array.dtype.kind in "iub" or (whole and cells.array.dtype == object) else "float"
    return Column(cells.name, kind, not present.all(), float(values.min()), float(values.max()), gaps, dtype)


def _is_heavy(values: np.ndarray, weight: np.ndarray | None) -> bool:
    """Spans orders of magnitude: the 99th percentile is 10 times the median, or the largest 1000 times (each plus one)."""
    if values.min() < 0 or values.max() < 20:
        return False
    middle, top = weighted_quantiles(values, np.array([0.5, 0.99]), weight)
    return bool((top + 1) / HEAVY_TAIL >= middle + 1 or (values.max() + 1) / EXTREME >= middle + 1)


def parse_numbers(
    name: str, array: np.ndarray, gaps: Sequence[str] | None, private: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Objects -> float64 and the texts that stood for a gap; `gaps` None: learn them."""
    if array.dtype.kind == "M":
        raise SchemaError(f"column {name!r} should hold numbers, received dates; declare it with kinds={{{name!r}: 'date'}}")
    if gaps is None:
        texts = {text for text in array.tolist() if isinstance(text, str)}
        gaps = tuple(sorted(text for text in texts if text.strip().lower() in GAP_TEXTS))
    try:
        return numbers_of(array.tolist(), gaps), tuple(gaps)
    except ValueError as error:
        row, cell = error.args
        what = "text" if isinstance(cell, str) else f"{type(cell).__name__} cells"
        such = "" if private else f" such as {cell!r}"
        raise SchemaError(
            f"column {name!r} should hold numbers, received {what}{such} in row {row}; "
            f"clean it, or declare it with Schema.infer(X, kinds={{{name!r}: 'category'}})"
        ) from None


def check_finite(name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f":
        infinite = np.isinf(array)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise SchemaError(f"Input X contains infinity: column {name!r}, row {row}; replace it by a number, or NaN for a gap")


def _boolean(cells: Cells, kind: str) -> Column:
    array, texts = cells.array, list(cells.frequencies())
    unknown = [text for text in texts if text.strip().lower() not in TRUTH]
    if unknown:
        raise SchemaError(f"column {cells.name!r} should hold booleans, received {unknown[0]!r}; declare it as a category")
    dtype = {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(array.dtype.kind)
    if dtype is None:
        dtype = "str" if any(isinstance(value, str) for value in array) else "bool"
    if len(texts) != 2:
        texts = ["0", "1"] if dtype in ("int", "float") else ["False", "True"]
    values = tuple(sorted(texts, key=lambda text: TRUTH[text.strip().lower()]))
    return Column(cells.name, "boolean", bool(gaps_of(array).any()), values=values, dtype=dtype)


def _category(cells: Cells, kind: str, found: dict[str, float] | None = None) -> Column:
    found = cells.frequencies() if found is None else found
    values = tuple(found)[:MOST_VALUES]
    return Column(cells.name, "category", bool(gaps_of(cells.array).any()), values=values, dtype=_value_dtype(cells.array))


def _value_dtype(array: np.ndarray) -> str:
    """Of the values of a category; objects that are no text but all of one plain type count as that."""
    if array.dtype != object:
        return _plain_dtype(array)
    types = {type(value) for value in array if value is not None}
    return {int: "int", bool: "bool", float: "float"}.get(types.pop(), "str") if len(types) == 1 else "str"


def _ordered(cells: Cells, kind: str) -> Column:
    found = list(cells.frequencies())
    if cells.order is not None:
        values = [text for text in map(text_of, cells.order) if text is not None]
        strange = [text for text in found if text not in set(values)]
        if strange:
            raise SchemaError(f"column {cells.name!r}: the declared order lacks {strange[0]!r}; name every value, lowest first")
    else:
        values = sorted(found, key=number_of) if numeric_texts(found) else sorted(found)
    missing = bool(gaps_of(cells.array).any())
    return Column(cells.name, "ordered", missing, values=tuple(values)[:MOST_VALUES], dtype=_value_dtype(cells.array))


def _date(cells: Cells, kind: str) -> Column:
    array, form = cells.array, None
    if array.dtype.kind in "iufb" and not gaps_of(array).all():
        raise SchemaError(f"column {cells.name!r} should hold dates, received numbers; {TO_DATES}")
    if array.dtype.kind != "M":
        texts = list(cells.frequencies())
        form = find_date_format(texts, share=0.5)
        if form is None and texts:
            such = f"text such as {texts[0]!r}"
            raise SchemaError(f"column {cells.name!r} should hold dates, received {such}; write dates as 2024-05-31")
        array = dates_of(array.tolist(), form)
    present = array[~np.isnat(array)]
    if not len(present):
        return Column(cells.name, "date", missing=True, dtype="date", format=form)
    low, high = (float(t) / 1e6 for t in (present.min().astype(np.int64), present.max().astype(np.int64)))
    return Column(cells.name, "date", len(present) < len(array), low, high, dtype="date", format=form)


def _text(cells: Cells, kind: str) -> Column:
    return Column(cells.name, "text", bool(gaps_of(cells.array).any()), dtype="str")


def _identifier(cells: Cells, kind: str) -> Column:
    return Column(cells.name, "identifier", bool(gaps_of(cells.array).any()), dtype=_plain_dtype(cells.array))


def _series(cells: Cells, kind: str) -> Column:
    if not holds_series(cells.array):
        raise SchemaError(f"column {cells.name!r} should hold series, received none; give a list of numbers in each cell")
    present = [cell for cell in cells.array if cell is not None and len(cell)]
    texts = [cell for cell in present if cell.dtype == object]
    told: set[str] = {v for cell in texts for v in cell.tolist() if v is not None}
    spare: tuple[str, ...] = ()
    if cells.order is None and not cells.categorical and numeric_texts(told):
        spare = tuple(sorted(text for text in told if text.strip().lower() in GAP_TEXTS))
        parsed = parse_steps(cells.array, spare, cells.name)
        present, texts = [cell for cell in parsed if cell is not None and len(cell)], []
    if texts and any(cell.dtype != object and not np.isnan(cell).all() for cell in present):
        raise SchemaError(f"column {cells.name!r} should hold series of numbers or of text, received both; convert one of them")
    values: Any = np.concatenate(texts or present or [np.zeros(0)])
    gaps = len(present) < len(cells.array) or any(map(_gapped, present))
    if values.dtype != object:
        if not np.isfinite(values).any():
            raise SchemaError(f"column {cells.name!r} expects series with a number, received gaps only; leave the column out")
        return Column(cells.name, kind, gaps, float(np.nanmin(values)), float(np.nanmax(values)), spare)
    found = Counter(v for v in values.tolist() if v is not None)
    frequent = sorted(found, key=lambda text: (-found[text], text))
    return Column(cells.name, kind, gaps, values=tuple(frequent[:MOST_CHANNELS]), dtype="str")


def _gapped(cell: np.ndarray) -> bool:
    return any(v is None for v in cell) if cell.dtype == object else bool(np.isnan(cell).any())


DECLARED = {
    "number": _number,
    "count": _number,
    "boolean": _boolean,
    "category": _category,
    "ordered": _ordered,
    "date": _date,
    "text": _text,
    "identifier": _identifier,
    "series": _series,
}
