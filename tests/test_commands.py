"""What the commands do with a table: rows, tasks, model names, predictions in chunks."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import commands
from tabdl.errors import ParameterError, SchemaError, TabdlError

ROWS = 120


def mixed() -> pd.DataFrame:
    """Cells that chunked reading gets wrong easily: zip codes, gaps, numbers that turn to text."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "zip": [f"{i % 7:05d}" for i in range(ROWS)],
            "x": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(size=ROWS).round(3)),
            "grade": ["1", "2", "3", "n"] * (ROWS // 4),
            "whole": rng.integers(0, 50, ROWS),
            "day": pd.date_range("2024-01-01", periods=ROWS, freq="6h").strftime("%Y-%m-%d %H:%M"),
            "flag": rng.integers(0, 2, ROWS).astype(bool),
            "y": rng.choice(["no", "yes"], ROWS),
        }
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    mixed().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(table: Path) -> object:
    rows = commands.read_rows(table, "y")
    return tabdl.MLPClassifier(epochs=2, units=(8,), random_state=0).fit(rows.X, rows.y)


def test_rows_have_target_weight_and_no_dropped_columns(table: Path) -> None:
    rows = commands.read_rows(table, "y", ["day"], "whole")
    assert list(rows.X.columns) == ["zip", "x", "grade", "flag"]
    assert rows.y.tolist() == mixed()["y"].tolist()
    assert rows.weight is not None
    assert rows.weight.name == "whole"


def test_rows_without_target_are_left_out_aloud(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,\n3,1\n")
    with pytest.warns(UserWarning, match="1 rows without a target"):
        rows = commands.read_rows(tmp_path / "t.csv", "y")
    assert rows.y.tolist() == [0, 1]
    assert rows.y.dtype == "int64"
    assert rows.X["a"].tolist() == [1, 3]


def test_unknown_columns_are_named(table: Path) -> None:
    with pytest.raises(SchemaError, match="no column 'flg'; did you mean 'flag'"):
        commands.read_rows(table, "y", drop=["flg"])
    with pytest.raises(SchemaError, match="it has zip, x, grade"):
        commands.read_rows(table, "conversion rate")


def test_target_of_gaps_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,\n2,\n")
    with pytest.raises(SchemaError, match="missing in all 2 rows"):
        commands.read_rows(tmp_path / "t.csv", "y")


def test_split_keeps_shares_and_order(table: Path) -> None:
    rows = commands.read_rows(table, "y")
    train, test = rows.split(0.25, 0, stratify=True)
    assert test is not None
    assert len(train.X) == 90
    assert train.X.index.is_monotonic_increasing
    assert set(train.X.index).isdisjoint(test.X.index)
    assert (test.y == "yes").mean() == pytest.approx((rows.y == "yes").mean(), abs=0.03)
    assert rows.split(0, 0, stratify=True) == (rows, None)


def test_split_of_a_class_with_one_row() -> None:
    X = pd.DataFrame({"a": range(10)})
    rows = commands.LabelledRows(X, pd.Series(["a"] * 9 + ["b"]), None)
    train, test = rows.split(0.2, 0, stratify=True)
    assert test is not None
    assert (len(train.X), len(test.X)) == (8, 2)


def test_task_is_told_with_its_reason(table: Path) -> None:
    rows = commands.read_rows(table, "y")
    assert commands.choose_task(rows, "auto") == ("classifier", "the target 'y' has 2 different values that are not numbers")
    assert commands.choose_task(rows, "regressor") == ("regressor", "as asked")
    assert "--task classifier would change it" in commands.choose_task(commands.read_rows(table, "whole"), "auto")[1]


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_models_by_name(kind: str) -> None:
    assert commands.find_model("mlp", kind) is getattr(tabdl, f"MLP{kind.title()}")
    with pytest.raises(ParameterError, match=r"expected a model among .*mlp.* received 'forest'"):
        commands.find_model("forest", kind)


def test_models_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("MineClassifier", "tabdl.models.mlp:MLPClassifier", "tabdl.models")

    def entry_points(group: str, name: str | None = None) -> list[metadata.EntryPoint]:
        assert group == "tabdl.models"
        return [entry] if name in (None, entry.name) else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert commands.find_model("Mine", "classifier") is tabdl.MLPClassifier
    assert commands.find_model("MineClassifier", "classifier") is tabdl.MLPClassifier
    with pytest.raises(ParameterError, match="MineClassifier"):
        commands.find_model("Mine", "regressor")


@pytest.mark.parametrize("rows", [1, 7, 50_000])
def test_chunks_do_not_change_predictions(table: Path, model, rows: int) -> None:
    values = commands.read_rows(table, "y").X
    chunks = pd.concat(commands.predicted(model, table, True, rows, typed=False), ignore_index=True)
    np.testing.assert_allclose(chunks["probability_yes"], model.predict_proba(values)[:, 1], rtol=1e-5)
    assert chunks["prediction"].tolist() == model.predict(values).tolist()
    assert chunks["zip"].tolist() == mixed()["zip"].tolist()


def test_typed_predictions_keep_dtypes(table: Path, model) -> None:
    (whole,) = commands.predicted(model, table, False, 7, typed=True)
    assert whole["x"].dtype == "float64"
    assert whole["zip"].tolist()[:2] == ["00000", "00001"]


def test_error_in_a_later_chunk_names_its_rows(tmp_path: Path, model) -> None:
    frame = mixed().astype({"x": object})
    frame.loc[100, "x"] = "broken"
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TabdlError, match=r"rows 81 to 120 of .*t\.csv: .*'x'.*broken"):
        list(commands.predicted(model, tmp_path / "t.csv", False, 40, typed=False))


def test_existing_prediction_column_is_not_overwritten(tmp_path: Path, model) -> None:
    mixed().assign(prediction=1).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SchemaError, match="has a column 'prediction' already; rename or remove it"):
        list(commands.predicted(model, tmp_path / "t.csv", False, 40, typed=False))


def test_several_predictions_a_row_have_a_column_each() -> None:
    class Fitted:
        quantiles = (0.1, 0.9)

        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.zeros((len(X), 2))

    assert list(commands.predictions(Fitted(), mixed())) == ["prediction_0.1", "prediction_0.9"]


def test_target_is_the_column_that_the_model_does_not_know(tmp_path: Path, table: Path, model) -> None:
    assert commands.guess_target(model, table, None) == "y"
    mixed().assign(w=1.0).to_csv(tmp_path / "w.csv", index=False)
    assert commands.guess_target(model, tmp_path / "w.csv", "w") == "y"
    with pytest.raises(SchemaError, match="2 columns that the model does not know: y, w; name it with --target"):
        commands.guess_target(model, tmp_path / "w.csv", None)
    mixed().drop(columns="y").to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(SchemaError, match="found none"):
        commands.guess_target(model, tmp_path / "x.csv", None)


def test_schema_of_table_and_model(tmp_path: Path, table: Path, model) -> None:
    tabdl.save(model, tmp_path / "m.tabdl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert commands.schema_of(table).names == [*model.schema_.names, "y"]
    assert commands.schema_of(tmp_path / "m.tabdl") == model.schema_
