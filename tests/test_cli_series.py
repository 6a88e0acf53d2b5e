"""Classes and numbers of the series of a long table by the commands: fit, predict, evaluate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import tabdl
from tabdl.cli import cli

ROCKET = ["--model", "rocket", "--set", "kernels=84", "--set", "groups=1"]
LONG = ["--target", "label", "--id", "who", "--time", "at"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """40 series of 10 to 12 steps, rows of all mixed; the class is known in each first row."""
    rng = np.random.default_rng(0)
    parts = []
    for i in range(40):
        steps = np.arange(10 + i % 3)
        heat = np.sin(steps * (1 + i % 2)) + 0.1 * rng.normal(size=len(steps))
        parts.append(
            pd.DataFrame({"who": f"{i:03d}", "at": steps, "heat": heat, "label": np.where(steps == 0, "ab"[i % 2], None)})
        )
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("series")
    table.to_csv(folder / "t.csv", index=False)
    table.to_parquet(folder / "t.parquet")
    result = run("fit", folder / "t.csv", *LONG, *ROCKET, "--out", folder / "m.tabdl")
    assert result.exit_code == 0, result.output
    (folder / "fit.txt").write_text(result.output)
    return folder


def test_fit_holds_out_whole_series(folder: Path, table: pd.DataFrame) -> None:
    text, model = (folder / "fit.txt").read_text(), tabdl.load(folder / "m.tabdl")
    assert "RocketClassifier, 32 series to learn from" in text
    assert "scores on 8 held-out series:\nauc" in text
    assert {c.name: c.kind for c in model.schema_.columns} == {"heat": "series"}
    assert (model.id, model.time) == (("who",), "at")


def test_evaluate_scores_series(folder: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        result = run("evaluate", folder / "m.tabdl", folder / name, "--json")
        assert result.exit_code == 0, result.output
        scores = json.loads(result.output)
        assert (scores["rows"], scores["target"]) == (40, "label")
        assert scores["accuracy"] > 0.9


@pytest.mark.parametrize("source", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_each_row_has_the_prediction_of_its_series(
    folder: Path, tmp_path: Path, table: pd.DataFrame, source: str, name: str
) -> None:
    result = run("predict", folder / "m.tabdl", folder / source, "--proba", "--chunk-rows", 7, "--out", tmp_path / name)
    assert result.exit_code == 0, result.output
    found = pd.read_parquet(tmp_path / name) if name.endswith("parquet") else pd.read_csv(tmp_path / name, dtype={"who": str})
    assert found["who"].tolist() == table["who"].tolist()
    expected = pd.Series(tabdl.load(folder / "m.tabdl").predict(table), index=table["who"].unique())
    assert found["prediction"].tolist() == table["who"].map(expected).tolist()
    assert np.isfinite(found["probability_a"]).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--time", "at"], "--time orders the steps of series: add --id COLUMN or, for forecasts, --horizon STEPS"),
        (["--id", "who", "--known", "heat"], "--known is for forecasts"),
        (["--id", "who", "--model", "mlp"], "'id'"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: list[str], says: str) -> None:
    result = run("fit", folder / "t.csv", "--target", "label", "--out", folder / "other.tabdl", *options)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_a_target_that_varies_within_series_is_no_label(folder: Path, tmp_path: Path) -> None:
    options = ["--target", "heat", "--id", "who", "--time", "at", *ROCKET, "--out", tmp_path / "m.tabdl"]
    result = run("fit", folder / "t.csv", *options)
    assert result.exit_code == 1
    says = " ".join(result.output.split())
    assert re.search(r"'heat': expected one value a series, received \S*\d and \S*\d in series who=", says)
    assert "np." not in says
    assert says.endswith("to forecast it, add --horizon STEPS")
