from __future__ import annotations

import re

import numpy as np
import pytest

from tabdl.cells import dates_of, days_of, find_date_format, number_of, numbers_of, offset_of, text_of, token

NAN = np.nan


@pytest.mark.parametrize(
    "value, text",
    [
        (3, "3"),
        (3.0, "3"),
        ("3", "3"),
        (np.int8(3), "3"),
        (np.float32(0.1), "0.1"),
        (0.1, "0.1"),
        (-0.0, "0"),
        (1e300, "1e+300"),
        (True, "True"),
        (np.bool_(False), "False"),
        ("", None),
        ("  ", None),
        (" x", " x"),
        (None, None),
        (NAN, None),
        (np.datetime64("NaT"), None),
        (np.datetime64("2024-05-31"), "2024-05-31"),
        (np.datetime64("2024-05-31T10:00"), "2024-05-31T10:00:00.000000"),
        (b"ab", "ab"),
    ],
)
def test_canonical_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("text", ["1_000", "١٢", "abc", "1,5", "--"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        number_of(text)


def test_zoned_iso_text_becomes_utc():
    found = dates_of(["2024-05-31T12:00:00+02:00", "2024-05-31T10:00:00Z", "05/31/2024", 5, None], None)
    assert found[0] == found[1] == np.datetime64("2024-05-31T10:00", "us")
    assert np.isnat(found[2:]).all()


def test_the_offset_that_a_text_says():
    hour = 3_600_000_000
    texts = ["2024-03-31T00:00+01:00", "2024-03-31 00:00:00-0330", "2024-03-31T00:00Z", "2024-03-31", "31/03/2024"]
    assert [offset_of(text) for text in texts] == [hour, -3.5 * hour, 0, None, None]


def test_whole_numbers_of_dates():
    found = days_of(np.array([19700102, 20240229]))
    assert found is not None
    assert found.tolist() == [1, 19782]
    assert days_of(np.array([19700102, 20230229])) is None


def test_the_first_cell_that_is_no_number_is_named():
    assert np.array_equal(numbers_of(["1", "?", None, " 2.5 ", 3], gaps=["?"]), [1, NAN, NAN, 2.5, 3], equal_nan=True)
    with pytest.raises(ValueError, match="x") as error:
        numbers_of(["1", "x", "y"])
    assert error.value.args == (1, "x")


def test_dates_of_another_form_are_gaps():
    found = dates_of(["05/31/2024", "2024-05-31", "31/05/2024", ""], "%m/%d/%Y")
    assert found[0] == found[1] == np.datetime64("2024-05-31", "us")
    assert np.isnat(found[2:]).all()


@pytest.mark.parametrize("texts", [["12", "13"], ["red", "blue"], ["2024-13-01", "2024-14-01"], ["1234-5", "1235-6"], []])
def test_what_is_no_date(texts):
    assert find_date_format(texts) is None


def test_tokens_depend_on_the_salt():
    assert token("x", "a") == token("x", "a") != token("x", "b")
    assert len(token("x", "a")) == 16


@pytest.mark.parametrize(
    "text, number",
    [
        ("$1,230", 1230),
        ("-$5", -5),
        ("€ 12.50", 12.5),
        ("1,234,567.8", 1234567.8),
        ("12%", 12),
        ("3 £", 3),
        (" 7 ", 7),
        ("1e3", 1000),
    ],
)
def test_amounts_are_numbers(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["1,23", "0,125", "12,34,567", "$", "%", "1_000", "$1 - $2", "٣", "5 apples", "$-"])
def test_other_texts_are_no_numbers(text):
    with pytest.raises(ValueError):
        number_of(text)
