"""One cell of a table: its canonical text, the number, the time or the truth value that a text stands for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from tabdl.frames import moment_of

GAP_TEXTS = frozenset(["?", "-", "--", ".", "na", "n/a", "#n/a", "nan", "null", "none", "missing", "unknown"])
TRUE, FALSE = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")
TRUTH = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)
TRUTH_PAIRS = tuple(map(frozenset, (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"))))
ISO = "iso"  # the formats of ISO 8601, with or without time and zone; also a bare month such as 2024-05
_DAYS = ("%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y")
_NAMED_DAYS = ("%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m-%d")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
DATE_FORMATS = (ISO, *(day + time for day in _DAYS + _NAMED_DAYS for time in _TIMES))
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|(1[89]|2[01])\d\d-\d\d")
_AMOUNT = re.compile(  # a currency sign or a percent sign beside it, commas between thousands
    r"\s*(?P<sign>[-+]?)(?:[$€£¥]\s*)?(?P<whole>[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?P<part>\.[0-9]*)?(?:\s*[$€£¥%])?\s*"
)
_WHOLE_TEXT = re.compile(r"[+-]?\d+\.0+")
FRACTIONS: tuple[type, ...] = (float, np.floating, Decimal)
_LARGEST_EXACT = 2.0**53
EPOCH = datetime(1970, 1, 1)
NO_DATE = np.datetime64("NaT", "us")


def text_of(value: Any) -> str | None:
    """Canonical text: 3, 3.0 and "3" -> "3"; True -> "True"; None for a gap, which blank text is too."""
    if isinstance(value, str):
        return None if not value or value.isspace() else str(value)
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return "True" if value else "False"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, FRACTIONS):
        return _float_text(value)
    if isinstance(value, bytes):
        return text_of(value.decode("utf-8", "replace"))
    if isinstance(value, (np.datetime64, date)):
        text = str(moment_of(value)).removesuffix("T00:00:00.000000")
        return None if text == "NaT" else text
    if isinstance(value, (dict, list, set, tuple, np.ndarray, complex)):
        raise TypeError(
            f"argument must be a string, a date, a boolean or a number in every cell, received {type(value).__name__}; "
            "spread such cells over columns of their own"
        )
    return str(value)


def _float_text(value: Any) -> str | None:
    if value != value:
        return None
    if abs(value) < _LARGEST_EXACT and value == int(value):
        return str(int(value))
    return str(value) if type(value).__name__ == "float32" else repr(float(value))  # float32: 0.1, not 0.10000000149011612


def bare_whole(text: str) -> str | None:
    """ "3.0" -> "3", for texts that were once whole numbers with gaps; None for any other text."""
    return text.partition(".")[0].removeprefix("+") if _WHOLE_TEXT.fullmatch(text) else None


def token(text: str, salt: str) -> str:
    """What is kept of a private value."""
    return hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()[:16]


def number_of(value: Any) -> float:
    """Raises ValueError for what is no number. "$1,230.50" and "12 %" are numbers, Python's 1_000 and other digits are none."""
    if isinstance(value, str):
        if not value or value.isspace():
            return np.nan
        amount = _AMOUNT.fullmatch(value)
        if amount:
            return float(amount["sign"] + amount["whole"].replace(",", "") + (amount["part"] or ""))
        if "_" in value or not value.isascii():
            raise ValueError(value)
        return float(value)
    if value is None:
        return np.nan
    if isinstance(value, (int, float, np.number, np.bool_, Decimal)):
        return float(value)
    raise ValueError(value)


def numbers_of(cells: Iterable[Any], gaps: Iterable[str] = ()) -> np.ndarray:
    """float64; `gaps` are the texts that stand for one. Raises ValueError(row, cell) at the first cell that is no number."""
    known: dict[Any, float] = dict.fromkeys(gaps, np.nan)
    numbers: list[float] = []
    for row, cell in enumerate(cells):
        try:
            number = known.get(cell) if isinstance(cell, str) and known else None
            numbers.append(number_of(cell) if number is None else number)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(row, cell) from None
    return np.array(numbers, dtype=np.float64)


def date_parser(form: str) -> Callable[[str], datetime]:
    """Text -> naive datetime in UTC; the parser raises ValueError where the text has another form."""
    if form != ISO:
        return lambda text: datetime.strptime(text.strip(), form)

    def parse(text: str) -> datetime:
        text = text.strip()
        if not _ISO.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text + "-01" if len(text) == 7 else text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)

    return parse


def dates_of(cells: Iterable[Any], form: str | None) -> np.ndarray:
    """datetime64[us]; texts of another form than `form` or ISO 8601 become gaps, and so does what is no date at all."""
    parsers = [date_parser(f) for f in dict.fromkeys((form or ISO, ISO))]
    known: dict[str, np.datetime64] = {}
    dates = []
    for cell in cells:
        if not isinstance(cell, str):
            dates.append(moment_of(cell) if isinstance(cell, (date, np.datetime64)) else NO_DATE)
            continue
        if cell not in known:
            known[cell] = _parse(parsers, cell)
        dates.append(known[cell])
    return np.array(dates, dtype="datetime64[us]")


def _parse(parsers: list[Callable[[str], datetime]], text: str) -> np.datetime64:
    for parse in parsers:
        try:
            return np.datetime64(parse(text), "us")
        except (ValueError, OverflowError):
            continue
    return NO_DATE


def offset_of(text: str) -> int | None:
    """Microseconds that the clock of an ISO text is ahead of UTC; None where it does not say."""
    try:
        offset = datetime.fromisoformat(text.strip()).utcoffset()
    except ValueError:
        return None
    return None if offset is None else offset // timedelta(microseconds=1)


def days_of(dates: np.ndarray) -> np.ndarray | None:
    """Numbers such as 20240531 -> days since 1970; None where one of them is no date of the years 1800 to 2199."""
    year, month, day = dates // 10_000, dates // 100 % 100, dates % 100
    if not ((year >= 1800) & (year < 2200) & (month >= 1) & (month <= 12) & (day >= 1)).all():
        return None
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    return days.astype(np.int64) if (days.astype("datetime64[M]") == months).all() else None


def find_date_format(texts: list[str], share: float = 0.99) -> str | None:
    """The format that most of the distinct `texts` have, if at least `share` do; month before day where both fit all."""
    sample = texts[:: max(1, len(texts) // 50)]
    if not all(6 <= len(text) <= 40 and any(c.isdigit() for c in text) for text in sample[:5]):
        return None
    best, best_hits = None, 0
    for form in DATE_FORMATS:
        parse = date_parser(form)
        if _hits(parse, sample) >= 0.9 * len(sample):
            hits = _hits(parse, texts)
            if hits > best_hits:
                best, best_hits = form, hits
    return best if best_hits >= share * len(texts) else None


def _hits(parse: Callable[[str], datetime], texts: list[str]) -> int:
    hits = 0
    for text in texts:
        try:
            parse(text)
            hits += 1
        except (ValueError, OverflowError):
            continue
    return hits
