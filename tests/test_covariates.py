"""Covariates: numbers scaled, categories a column a value, gaps kept, unseen values zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabdl.encoding.covariates import MOST_VALUES, Covariates
from tabdl.errors import SchemaError
from tabdl.frames import read_frame

TABLE = pd.DataFrame(
    {
        "price": [1.0, 2.0, 3.0, np.nan],
        "promo": [True, False, True, False],
        "event": ["fair", None, "none", "fair"],
        "step": [0, 1, 2, 3],
        "same": [5, 5, 5, 5],
    }
)


def test_numbers_booleans_and_categories() -> None:
    learned = Covariates.learn(read_frame(TABLE), list(TABLE))
    assert learned.owners == ["price", "promo", "event", "event", "step", "same"]
    found = learned.encode(read_frame(TABLE), "fit")
    assert found.shape == (4, learned.width)
    np.testing.assert_allclose(found[:3, 0], [-1.2247449, 0, 1.2247449])
    assert np.isnan(found[3, 0])
    assert found[:, 1].tolist() == [1, 0, 1, 0]
    assert found[:, 2:4].tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]
    assert found[:, 5].tolist() == [0, 0, 0, 0]


def test_unseen_values_and_other_orders() -> None:
    learned = Covariates.learn(read_frame(TABLE), ["event", "promo"])
    other = read_frame(pd.DataFrame({"promo": [True], "event": ["flood"]}))
    assert learned.encode(other, "future").tolist() == [[0, 0, 1]]
    with pytest.raises(SchemaError, match="lacks: 'promo'"):
        learned.encode(read_frame(TABLE[["event"]]), "future")


def test_a_gap_is_a_value_of_a_category_that_had_gaps() -> None:
    words = read_frame(pd.DataFrame({"event": ["fair", "fest", None]}))
    assert np.isnan(Covariates.learn(words.take([0, 1]), ["event"]).encode(words, "future")[2]).all()
    assert Covariates.learn(words, ["event"]).encode(words, "future").tolist() == [[1, 0], [0, 1], [0, 0]]
    one = Covariates.learn(words.take([0, 2]), ["event"])
    assert one.encode(words, "future").tolist() == [[1], [0], [0]]
    flags = read_frame(pd.DataFrame({"fair": np.array([True, None, None], object)}))
    assert Covariates.learn(flags, ["fair"]).encode(flags, "future").tolist() == [[1], [0], [0]]


@pytest.mark.parametrize(
    ("cells", "words"), [(["yes", "no"], "'no' or 'yes'"), (pd.Categorical(["a", "b"], ordered=True), "'a' or 'b'")]
)
def test_a_word_that_is_neither_is_named(cells: Any, words: str) -> None:
    learned = Covariates.learn(read_frame(pd.DataFrame({"open": cells})), ["open"])
    other = read_frame(pd.DataFrame({"open": [cells[0], None, "holiday"]}))
    with pytest.raises(SchemaError, match=f"future: .* column 'open', such as {words}, received 'holiday' in row 2"):
        learned.encode(other, "future")
    assert np.isnan(learned.encode(other.take([0, 1]), "future")[1, 0])


def test_only_so_many_values() -> None:
    frame = read_frame(pd.DataFrame({"word": [f"w{i % 50}" for i in range(100)]}))
    assert Covariates.learn(frame, ["word"]).width == MOST_VALUES


def test_stored_and_back() -> None:
    learned = Covariates.learn(read_frame(TABLE), list(TABLE))
    again = Covariates.from_json(learned.to_json())
    assert again == learned
    assert learned.first(2).names == ["price", "promo"]
    assert Covariates().encode(read_frame(TABLE), "fit").shape == (4, 0)
