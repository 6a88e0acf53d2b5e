"""What a fit learns of series: how many steps there are, what a channel is, which columns name the series."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest

import tabdl
from tabdl.errors import SchemaError

RNG = np.random.default_rng(0)
ROWS = 24
SHORT = [RNG.normal(size=(6, 2)) for _ in range(ROWS)]
Y = np.arange(ROWS) / ROWS


def regressor(**params: Any) -> Any:
    return tabdl.TCNRegressor(**{"width": 2, "blocks": 1, "epochs": 1, "validation_fraction": 0.25} | params)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_longest_series_is_kept_whole_wherever_it_falls(seed: int) -> None:
    series = [*SHORT]
    series[7] = RNG.normal(size=(20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor(random_state=seed).fit(series, Y)
        model.predict(series)
    assert model.encoder_.sequence.steps == 20


def test_validation_series_may_be_the_longest() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor(random_state=0).fit(SHORT, Y, X_val=[RNG.normal(size=(9, 2)) for _ in range(8)], y_val=Y[:8])
    assert model.encoder_.sequence.steps == 9
    alone = regressor(random_state=0, validation_fraction=0).fit(SHORT, Y)
    np.testing.assert_array_equal(model.encoder_.sequence.center, alone.encoder_.sequence.center)


def long_table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "who": np.repeat([f"s{i}" for i in range(ROWS)], 5),
            "at": np.tile(np.arange(5), ROWS),
            "u": rng.normal(size=5 * ROWS).round(3),
            "txt": rng.choice(["x", "y", "z"], 5 * ROWS),
        }
    )


def rocket(**params: Any) -> Any:
    return tabdl.RocketRegressor(**{"id": "who", "time": "at", "kernels": 84, "groups": 1, "random_state": 0} | params)


@pytest.mark.parametrize("dtype", ["category", pd.CategoricalDtype(["z", "y", "x"], ordered=True), "polars"], ids=str)
def test_channels_of_categories_are_read_like_text(dtype: Any) -> None:
    table = long_table()
    typed = polars.from_pandas(table).cast({"txt": polars.Categorical}) if dtype == "polars" else table.astype({"txt": dtype})
    text, model = rocket().fit(table, Y), rocket().fit(typed, Y)
    assert model.schema_["txt"].kind == "series"
    np.testing.assert_array_equal(model.predict(typed), text.predict(table))


def test_channels_of_categories_that_are_numbers_are_numbers() -> None:
    table = long_table().assign(level=np.tile(np.arange(5), ROWS)).astype({"level": "category"})
    assert rocket().fit(table, Y).schema_["level"].dtype == "float"


@pytest.mark.parametrize("kind", ["category", "number", ["x", "y", "z"]])
def test_no_other_kind_can_be_declared_for_series(kind: Any) -> None:
    with pytest.raises(SchemaError, match="column 'txt' holds series, received the kind"):
        rocket().fit(long_table(), Y, schema={"txt": kind})


def test_channels_of_numbers_written_as_text_are_numbers() -> None:
    table = long_table()
    texts = table.assign(u=table["u"].map("{:.3f}".format).where(table.index % 7 > 0, "n/a"))
    table["u"] = table["u"].where(table.index % 7 > 0)
    plain, model = rocket().fit(table, Y), rocket().fit(texts, Y)
    assert model.schema_["u"].dtype == "float"
    np.testing.assert_array_equal(model.predict(texts), plain.predict(table))
    np.testing.assert_array_equal(model.predict(table), plain.predict(table))
    np.testing.assert_array_equal(plain.predict(texts.assign(u=texts["u"].replace("n/a", None))), plain.predict(table))
    with pytest.raises(SchemaError, match="'u' should hold series of numbers, received series of text in row 0"):
        model.predict(texts.assign(u="many"))


def test_codes_written_with_leading_zeros_stay_text() -> None:
    table = long_table()
    assert rocket().fit(table.assign(u=np.where(table["u"] > 0, "007", "012")), Y).schema_["u"].dtype == "str"


def test_channels_of_tables_in_a_list_are_found_by_name() -> None:
    tables = [pd.DataFrame(x, columns=["a", "b"]) for x in SHORT]
    turned = [table[["b", "a"]] if i % 3 else table for i, table in enumerate(tables)]
    one, other = rocket(id=None, time=None).fit(tables, Y), rocket(id=None, time=None).fit(turned, Y)
    assert one.feature_names_in_.tolist() == ["a", "b"]
    for rows in (tables, turned[1:] + turned[:1]):
        np.testing.assert_array_equal(one.predict(rows), other.predict(rows))
    np.testing.assert_array_equal(one.predict(SHORT), one.predict(turned))
    with pytest.raises(SchemaError, match="expects columns that the table lacks: 'b'"):
        one.predict([table.rename(columns={"b": "c"}) for table in tables])


@pytest.mark.parametrize("index", [["who", "at"], ["who"], ["at"]])
def test_ids_and_times_may_stand_in_the_index(index: list[str]) -> None:
    table = long_table()
    plain, model = rocket().fit(table, Y), rocket().fit(table.set_index(index), np.repeat(Y, 5))
    np.testing.assert_array_equal(model.predict(table.set_index(index)), plain.predict(table))
    assert model.score(table.set_index(index), Y) == plain.score(table, Y)


@pytest.mark.parametrize(
    "model", [tabdl.SequenceTransformerRegressor(width=4, blocks=1), tabdl.CNNRegressor(pooling="attention")]
)
def test_series_of_one_patch_or_step_are_no_reason_to_warn(model: Any) -> None:
    model.set_params(epochs=1, random_state=0)
    steps = 4 if isinstance(model, tabdl.SequenceTransformerRegressor) else 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.fit(RNG.normal(size=(ROWS, steps, 1)), Y).predict(RNG.normal(size=(3, steps, 1)))).all()
