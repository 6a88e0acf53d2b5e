"""Series as users have them: through `fit` and `predict`, files, pipelines and back, and what is refused."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from longfiles import shrink
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import tabdl
from tabdl import CNNRegressor, LITEClassifier, LITERegressor, MLPRegressor, Parquet, RocketClassifier
from tabdl.archive import read_archive, write_archive
from tabdl.errors import ArtifactError, ParameterError, SchemaError, TargetError
from tabdl.testing import mixed_series

ROWS, STEPS = 60, 12
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, STEPS, 2))  # (rows, steps, channels)
LISTS = [x[: 4 + i % 9] for i, x in enumerate(X)]
Y = X[:, :4, 0].mean(axis=1)
TABLE = mixed_series(ROWS)
IDS = [f"id {i:02d}" for i in range(ROWS)]


def regressor(**params: Any) -> Any:
    return LITERegressor(**{"width": 2, "kernel_size": 4, "handmade": False, "epochs": 1, "random_state": 0} | params)


def long_table(rows: list[np.ndarray] = LISTS) -> pd.DataFrame:
    parts = [pd.DataFrame(x, columns=["a", "b"]).assign(who=i, at=np.arange(len(x))) for i, x in zip(IDS, rows, strict=False)]
    return pd.concat(parts, ignore_index=True)


LONG = long_table()


@pytest.fixture(scope="module")
def of_lists() -> Any:
    return regressor().fit(LISTS, Y)


@pytest.fixture(scope="module")
def of_table() -> Any:
    return regressor().fit(TABLE, Y)


@pytest.fixture(scope="module")
def of_steps() -> Any:
    return regressor().fit(X[:, :, 0], Y)


@pytest.fixture(scope="module")
def of_long() -> Any:
    return regressor(id="who", time="at").fit(LONG, Y)


# ---- lists and arrays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[X[0], X[1][:, :1]], [X[0], X[1][:, 0]], [X[0], X[1][None]], [X[0], 3.0]], ids=range(4))
def test_rows_with_other_channels_are_refused(rows: list, of_lists: Any) -> None:
    for call in (lambda: regressor().fit(rows, Y[:2]), lambda: of_lists.predict(rows)):
        with pytest.raises(SchemaError, match=r"(?s)array of shape .* in row 1 .*give all rows the same channels|.*"):
            call()


def test_no_rows_are_refused(of_lists: Any) -> None:
    for call in (lambda: regressor().fit(X[:0], Y[:0]), lambda: of_lists.predict(X[:0]), lambda: of_lists.predict([])):
        with pytest.raises(SchemaError, match=r"Found array with 0 sample\(s\) .* while a minimum of 1 is required"):
            call()


def test_an_array_of_arrays_is_a_list(of_lists: Any) -> None:
    rows = np.empty(ROWS, dtype=object)
    rows[:] = LISTS
    np.testing.assert_array_equal(of_lists.predict(rows), of_lists.predict(LISTS))
    rows[:] = [part[:, 0] for part in LISTS]
    assert regressor().fit(rows, Y).predict(rows[:3]).shape == (3,)


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_with_other_channels_are_refused(channels: int, of_lists: Any) -> None:
    with pytest.raises(SchemaError, match=f"X has {channels} features, but LITERegressor is expecting 2 features as input"):
        of_lists.predict(np.zeros((3, STEPS, channels)))
    with pytest.raises(SchemaError, match="features"):
        of_lists.predict(np.zeros((3, STEPS)))


def test_one_step_of_many_channels_is_doubted_once() -> None:
    turned = np.moveaxis(X[:, :, :1], 1, 2)  # (rows, 1, steps)
    model = regressor()
    with pytest.warns(UserWarning, match=r"\(60, 1, 12\): one step of 12 channels .* channels_first=True") as caught:
        model.fit(turned, Y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(turned)
        model.score(turned, Y)
        regressor(channels_first=True).fit(turned, Y)
        regressor().fit(X[:, :1, :1], Y)


def test_lists_of_tables_are_series(of_lists: Any) -> None:
    """One DataFrame a series, a row a step."""
    frames = [pd.DataFrame(x, columns=["a", "b"]) for x in LISTS]
    np.testing.assert_allclose(of_lists.predict(frames), of_lists.predict(LISTS), rtol=1e-6)
    single = [pd.Series(x[:, 0]) for x in LISTS]
    plain = [x[:, 0] for x in LISTS]
    np.testing.assert_array_equal(regressor().fit(single, Y).predict(single), regressor().fit(plain, Y).predict(plain))


def test_series_of_one_number_each(of_steps: Any) -> None:
    assert regressor().fit([[1.0], [2.0], [3.0], [0.5]], [1, 2, 3, 4]).predict([[1.5]]).shape == (1,)
    with pytest.raises(SchemaError, match=r"X has 11 features, but LITERegressor is expecting 12 features"):
        of_steps.predict(X[:, :11, 0])
    shorter = of_steps.predict(X[:5, :11, :1])
    np.testing.assert_allclose(of_steps.predict([x[:11, 0] for x in X[:5]]), shorter, rtol=1e-6)


def test_longer_series_keep_their_end_with_a_warning(of_lists: Any) -> None:
    with pytest.warns(UserWarning, match="longer than the 12 steps"):
        found = of_lists.predict([np.vstack([X[1], X[0]])])
    np.testing.assert_allclose(found, of_lists.predict([X[0]]), rtol=1e-5)


def test_text_and_numbers_in_one_channel_are_refused() -> None:
    mixed = pd.DataFrame({"a": pd.Series([[1.0, 2.0], ["x", "y"], [3.0], ["z"]], dtype=object)})
    with pytest.raises(SchemaError, match="'a' should hold series of"):
        regressor().fit(mixed, Y[:4])
    gaps = pd.DataFrame({"a": pd.Series([[None, None], ["x", "y"], ["x"], ["y", None]], dtype=object)})
    assert regressor().fit(gaps, Y[:4]).schema_["a"].values == ("x", "y")


# ---- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "library",
    [
        lambda t: polars.DataFrame({name: _plain(cells) for name, cells in t.items()}),
        lambda t: pyarrow.table({name: _plain(cells) for name, cells in t.items()}),
        lambda t: t.convert_dtypes(dtype_backend="pyarrow"),
        lambda t: {name: _plain(cells) for name, cells in t.items()},
        lambda t: t.set_index(np.arange(ROWS) * 7 + 3),
    ],
    ids=["polars", "pyarrow", "pandas arrow", "dict", "index"],
)
def test_tables_of_any_library(library: Any, of_table: Any) -> None:
    table, expected = library(TABLE), of_table.predict(TABLE)
    np.testing.assert_allclose(of_table.predict(table), expected, rtol=1e-6)
    own = regressor().fit(table, Y)
    assert {c.name: c.kind for c in own.schema_.columns} == {c.name: c.kind for c in of_table.schema_.columns}
    np.testing.assert_allclose(own.predict(TABLE), expected, rtol=1e-6)


def _plain(cells: pd.Series) -> list:
    """As Python holds it."""
    values = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
    values = [v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in values]
    return [None if not isinstance(v, list) and pd.isna(v) else v for v in values]


def test_plain_columns_beside_series_count(of_table: Any) -> None:
    other = of_table.predict(TABLE.assign(number=TABLE["number"] + 9))
    assert np.abs(other - of_table.predict(TABLE)).min() > 1e-6
    with pytest.raises(SchemaError, match="'number'"):
        of_table.predict(TABLE.drop(columns="number"))
    with pytest.raises(SchemaError, match="'speed'"):
        of_table.predict(TABLE.drop(columns="speed"))


def test_y_and_weight_may_be_columns(of_table: Any) -> None:
    whole = TABLE.assign(target=Y, weight=np.arange(ROWS) % 3 + 1.0)
    named = regressor().fit(whole, "target", sample_weight="weight")
    given = regressor().fit(TABLE, Y, sample_weight=whole["weight"])
    np.testing.assert_array_equal(named.predict(whole), given.predict(TABLE))
    assert named.score(whole, "target") == given.score(TABLE, Y)


def test_networks_of_tables_refuse_series_by_name() -> None:
    with pytest.raises(SchemaError, match="'speed' holds series, MLPRegressor reads plain cells only"):
        MLPRegressor(epochs=1).fit(TABLE, Y)


def test_a_table_without_series_is_refused_where_a_cell_is_no_number() -> None:
    with pytest.raises(SchemaError, match="LITERegressor reads series, received a table whose column 'city' holds neither"):
        regressor().fit(TABLE[["number", "city"]], Y)


# ---- long tables -----------------------------------------------------------------------------------------------------


def test_several_columns_name_series(of_long: Any) -> None:
    table = LONG.assign(first=LONG["who"].str[:4], last=LONG["who"].str[4:].astype(int)).drop(columns="who")
    y = pd.Series(Y, index=pd.MultiIndex.from_frame(table[["first", "last"]].drop_duplicates()))[::-1]
    model = regressor(id=("first", "last"), time="at").fit(table, y)
    np.testing.assert_array_equal(model.predict(table), of_long.predict(LONG))
    with pytest.raises(SchemaError, match="id='third' expects a column of X"):
        regressor(id=("first", "third"), time="at").fit(table, y)


def test_targets_follow_their_ids(of_long: Any) -> None:
    expected = of_long.predict(LONG)
    turned = pd.Series(Y, index=IDS)[::-1]
    weight = pd.Series(np.arange(ROWS) + 1.0, index=IDS)
    np.testing.assert_array_equal(regressor(id="who", time="at").fit(LONG, turned).predict(LONG), expected)
    column = LONG.assign(target=LONG["who"].map(turned), weight=LONG["who"].map(weight))
    named = regressor(id="who", time="at").fit(column, "target", sample_weight="weight")
    given = regressor(id="who", time="at").fit(LONG, turned, sample_weight=weight[::-1])
    np.testing.assert_array_equal(named.predict(column), given.predict(LONG))
    np.testing.assert_array_equal(named.predict(LONG), given.predict(LONG))
    assert of_long.score(LONG, turned) == of_long.score(LONG, Y)
    assert named.score(column, "target", "weight") == given.score(LONG, turned, weight[::-1]) == given.score(LONG, Y, weight)


def test_as_many_targets_as_series(of_long: Any) -> None:
    for given in (np.zeros(len(LONG) - 1), pd.Series(np.zeros(len(LONG) - 1))):
        with pytest.raises(
            TargetError, match=f"one entry for each of 60 series .* or for each of its {len(LONG)} rows, received"
        ):
            regressor(id="who").fit(LONG, given)
    with pytest.raises(TargetError, match="y expects one value a series .* received 0.0 and 1.0 in series who='id 00'"):
        regressor(id="who").fit(LONG, np.arange(len(LONG)) % 2.0)
    with pytest.raises((TargetError, SchemaError, ParameterError), match="'b'"):
        regressor(id="who", time="at").fit(LONG, "b")


def test_targets_may_stand_in_every_row(of_long: Any) -> None:
    shuffled = LONG.sample(frac=1, random_state=0)
    y, weight = (shuffled["who"].map(dict(zip(IDS, v, strict=True))) for v in (Y, np.arange(ROWS) + 1.0))
    for rows in (y, y.to_numpy(), y.tolist()):
        np.testing.assert_array_equal(
            regressor(id="who", time="at").fit(shuffled, rows).predict(shuffled),
            regressor(id="who", time="at").fit(shuffled, pd.Series(Y, index=IDS)).predict(shuffled),
        )
    assert of_long.score(shuffled, y, weight) == pytest.approx(of_long.score(LONG, Y, np.arange(ROWS) + 1.0))


def test_cross_validation_of_long_tables() -> None:
    labels = LONG["who"].map(dict(zip(IDS, np.where(np.median(Y) < Y, "up", "down"), strict=True)))
    model = RocketClassifier(id="who", time="at", kernels=84, groups=1, random_state=0)
    search = GridSearchCV(model, {"scale": ["channel", "series"]}, cv=GroupKFold(3), error_score="raise")
    search.fit(LONG, labels, groups=LONG["who"])
    assert search.best_estimator_.predict(LONG).shape == (ROWS,)
    found = cross_val_score(model, LONG, labels, groups=LONG["who"], cv=GroupKFold(3), error_score="raise")
    assert found.shape == (3,)
    assert found.mean() > 0.6


def test_validation_series_are_read_like_those_of_training() -> None:
    """A channel that happens to be constant in them, and times that happen to be regular, are channels still."""
    table = LONG.assign(at=LONG["at"] + (LONG["at"] > 2) * 3.0)
    few = table[table["who"].isin(IDS[:8])]
    held = few[few["at"] <= 2].assign(b=1.0)
    model = regressor(id="who", time="at").fit(table, Y, X_val=held, y_val=Y[:8])
    assert {c.name: c.kind for c in model.schema_.columns} == dict.fromkeys(["a", "b", "log_step"], "series")
    assert np.isfinite(model.predict(held)).all()
    model = regressor(id="who", time="at").partial_fit(table, Y)
    assert np.isfinite(model.partial_fit(held, Y[:8]).predict(held)).all()


def test_fixed_columns_of_a_long_table_are_plain(of_long: Any) -> None:
    fixed = LONG.assign(place=LONG["who"].map(dict(zip(IDS, ["north", "south"] * 30, strict=True))))
    model = regressor(id="who", time="at").fit(fixed, Y)
    assert {c.name: c.kind for c in model.schema_.columns} == {"a": "series", "b": "series", "place": "category"}
    assert np.abs(model.predict(fixed.assign(place="north")) - model.predict(fixed.assign(place="south"))).min() > 0


# ---- files -----------------------------------------------------------------------------------------------------------


def test_parquet_files_with_lists(tmp_path: Path, of_table: Any) -> None:
    TABLE.assign(target=Y).to_parquet(tmp_path / "t.parquet", row_group_size=7)
    file = Parquet(tmp_path / "t.parquet")
    np.testing.assert_allclose(of_table.predict(file), of_table.predict(TABLE), rtol=1e-6)
    np.testing.assert_allclose(regressor().fit(file, "target").predict(file), of_table.predict(TABLE), rtol=1e-6)


def test_long_files_of_one_step_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a stream, too, columns of numbers are the steps of one series."""
    shrink(monkeypatch)
    steps = pd.DataFrame(RNG.normal(size=(420, 5)), columns=list("abcde"))
    steps.assign(target=steps["a"] + steps["e"]).to_parquet(tmp_path / "t.parquet", row_group_size=40)
    file = Parquet(tmp_path / "t.parquet")
    model = regressor().fit(file, "target")
    assert list(model.feature_names_in_) == list("abcde")
    assert model.schema_["series"].kind == "series"
    np.testing.assert_allclose(model.predict(file), model.predict(steps), rtol=1e-5)
    pd.DataFrame({"a": list(RNG.normal(size=(420, 3))), "target": 1.0 * np.arange(420)}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(SchemaError, match="'a' holds series"):
        MLPRegressor(epochs=1, random_state=0).fit(Parquet(tmp_path / "lists.parquet"), "target")


def test_series_of_a_file_are_never_cut_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_long: Any) -> None:
    shrink(monkeypatch)
    LONG.assign(target=LONG["who"].map(dict(zip(IDS, Y, strict=True)))).to_parquet(tmp_path / "t.parquet", row_group_size=40)
    file = Parquet(tmp_path / "t.parquet")
    np.testing.assert_allclose(of_long.predict(file), of_long.predict(LONG), rtol=1e-6)
    assert of_long.score(file, "target") == pytest.approx(of_long.score(LONG, Y))
    with pytest.raises(ParameterError, match="id='who' expects rows in memory"):
        regressor(id="who", time="at").fit(file, "target")


def test_pickled_and_saved_models_predict_the_same(tmp_path: Path, of_table: Any, of_long: Any, of_steps: Any) -> None:
    for model, table in ((of_table, TABLE), (of_long, LONG), (of_steps, X[:, :, 0])):
        expected = model.predict(table)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table), expected)
        loaded = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"))
        np.testing.assert_array_equal(loaded.predict(table), expected)
        assert loaded.n_features_in_ == model.n_features_in_


def test_no_series_is_inside_a_saved_file(tmp_path: Path) -> None:
    hidden = TABLE.assign(state=[np.array(["planted word", f"{i}", "planted word"], dtype=object) for i in range(ROWS)])
    model = regressor().fit(hidden, Y, schema=tabdl.Schema.infer(hidden, private=["state", "speed"]))
    manifest, arrays = read_archive(tabdl.save(model, tmp_path / "model.tabdl"))
    assert "planted word" not in str(manifest)
    stored = np.concatenate([array.ravel().astype(np.float64) for array in arrays.values() if array.dtype.kind in "fiu"])
    values = np.concatenate([np.concatenate(list(TABLE[name])) for name in ("speed", "load")])
    assert not np.isin(values.astype(np.float32), stored.astype(np.float32)).any()
    assert model.schema_["speed"].low is None


def test_changed_weights_of_the_series_do_not_pass_the_probe(tmp_path: Path, of_lists: Any) -> None:
    path = tabdl.save(of_lists, tmp_path / "model.tabdl")
    manifest, arrays = read_archive(path)
    name = next(name for name in arrays if name.startswith("weights/conv1d") and arrays[name].any())
    arrays[name] = arrays[name] + np.float32(0.5) * np.abs(arrays[name]).max()
    write_archive(path, manifest, arrays)
    with pytest.raises(ArtifactError, match="probe rows"):
        tabdl.load(path)


# ---- scikit-learn around series --------------------------------------------------------------------------------------


def test_pipelines_that_give_frames() -> None:
    steps = pd.DataFrame(X[:, :, 0], columns=[f"t{i}" for i in range(STEPS)])
    model = make_pipeline(StandardScaler(), regressor()).set_output(transform="pandas").fit(steps, Y)
    assert list(model[-1].feature_names_in_) == list(steps.columns)
    np.testing.assert_allclose(model.predict(steps[steps.columns[::-1]][steps.columns]), model.predict(steps))
    prepare = ColumnTransformer([("numbers", StandardScaler(), ["number", "gappy"])], remainder="passthrough")
    model = make_pipeline(prepare, regressor()).set_output(transform="pandas").fit(TABLE, Y)
    assert {c.name for c in model[-1].schema_.columns if c.kind == "series"} == {
        f"remainder__{name}" for name in ("speed", "load", "state")
    }
    assert np.isfinite(model.predict(TABLE)).all()
    cut = make_pipeline(FunctionTransformer(lambda a: a[:, ::2]), regressor()).fit(X, Y)
    assert cut.predict(X).shape == (ROWS,)


def test_cross_validation_of_arrays_and_tables() -> None:
    for rows in (X, TABLE):
        found = cross_val_predict(regressor(), rows, Y, cv=2)
        assert found.shape == (ROWS,)
        assert np.isfinite(found).all()


def test_classes_of_series_and_members() -> None:
    classes = np.where(np.median(Y) < Y, "up", "down")
    model = LITEClassifier(width=2, kernel_size=4, handmade=False, epochs=1, random_state=0, members=2).fit(LISTS, classes)
    assert model.predict_proba(LISTS).shape == (ROWS, 2)
    assert model.classes_.tolist() == ["down", "up"]


def test_networks_of_both_kinds_read_numbers_as_columns() -> None:
    model = CNNRegressor(width=4, blocks=1, epochs=1, random_state=0).fit(X[:, :, 0], Y)
    assert [c.kind for c in model.schema_.columns] == ["number"] * STEPS
    same = CNNRegressor(width=4, blocks=1, epochs=1, random_state=0).fit(X[:, :, :1], Y)
    assert [c.kind for c in same.schema_.columns] == ["series"]


def test_nothing_of_the_user_is_changed() -> None:
    table, long, lists = TABLE.copy(deep=True), LONG.copy(), [x.copy() for x in LISTS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor(scale="series").fit(table, Y).predict(table)
        regressor(id="who", time="at").fit(long, Y).predict(long)
        regressor().fit(lists, Y).predict(lists)
    pd.testing.assert_frame_equal(table, TABLE)
    pd.testing.assert_frame_equal(long, LONG)
    for mine, theirs in zip(lists, LISTS, strict=True):
        np.testing.assert_array_equal(mine, theirs)
