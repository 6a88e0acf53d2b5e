"""Forecasts by the commands: fit, predict, evaluate on files of long tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import tabdl
from tabdl import models
from tabdl.cli import cli
from tabdl.testing.forecasts import HORIZON, ForecastCase, numbers

ROLES = ["--target", "sales", "--horizon", HORIZON, "--time", "day", "--id", "shop"]
KNOWING = [*ROLES, "--known", "promo", "--known", "mood", "--past", "visitors", "--static", "size"]
CASE = ForecastCase(tabdl.RidgeForecaster, {})


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A panel, the days that follow, a forecaster of each that knows much or nothing ahead, and a table that is no panel."""
    folder = tmp_path_factory.mktemp("forecasts")
    CASE.table.to_csv(folder / "s.csv", index=False)
    CASE.table.to_parquet(folder / "s.parquet")
    CASE.future.drop(columns=["sales", "visitors", "size"]).to_csv(folder / "f.csv", index=False)
    pd.concat([CASE.table, CASE.future.assign(sales=np.nan, visitors=np.nan)]).to_csv(folder / "all.csv", index=False)
    for name, options in {"plain": ROLES, "knowing": KNOWING}.items():
        result = run("fit", folder / "s.csv", *options, "--model", "ridge", "--out", folder / f"{name}.tabdl")
        assert result.exit_code == 0, result.output
        (folder / f"{name}.txt").write_text(result.output)
    X, y = tabdl.datasets.make_conversion(100, random_state=0)
    tabdl.save(tabdl.MLPClassifier(units=(4,), epochs=1, random_state=0).fit(X[["age"]], y), folder / "table.tabdl")
    return folder


def test_fit_says_what_it_did(folder: Path) -> None:
    text, model = (folder / "plain.txt").read_text(), tabdl.load(folder / "plain.tabdl")
    assert f"RidgeForecaster, 3 series, horizon {HORIZON}, season 7, lookback {model.lookback_}\n" in text
    assert f"error on held-out steps: {model.score_:.3f} of that of the seasonal naive forecast" in text
    assert (folder / "plain.png").read_bytes().startswith(b"\x89PNG")
    assert f"forecasts: {folder / 'plain.png'}" in text


def test_fit_options_reach_the_forecaster(folder: Path, tmp_path: Path) -> None:
    model = tabdl.load(folder / "knowing.tabdl")
    assert model.get_params() == CASE.model.get_params() | {"id": ("shop",), "past": ("visitors",), "static": ("size",)}
    options = ["--set", "lookback=14", "--set", "season=(7,14)", "--seed", 3, "--quiet"]
    places = ["--out", tmp_path / "m.tabdl", "--picture", tmp_path / "fan.png"]
    result = run("fit", folder / "s.parquet", *ROLES, "--model", "ridge", *options, *places)
    assert result.exit_code == 0, result.output
    model = tabdl.load(tmp_path / "m.tabdl")
    assert (model.lookback_, model.season_) == (14, 7)
    assert (tmp_path / "fan.png").stat().st_size > 1000


def test_several_targets(folder: Path, tmp_path: Path) -> None:
    options = [*ROLES, "--target", "visitors", "--model", "ridge", "--quiet"]
    result = run("fit", folder / "s.csv", *options, "--out", tmp_path / "two.tabdl")
    assert result.exit_code == 0, result.output
    assert tabdl.load(tmp_path / "two.tabdl").target == ("sales", "visitors")
    result = run("predict", tmp_path / "two.tabdl", folder / "s.csv", "--out", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "p.csv")["target"]) == {"sales", "visitors"}


def test_a_picture_needs_what_is_known_ahead(folder: Path, tmp_path: Path) -> None:
    assert (
        "forecasts: none; future: expected 'promo', 'mood' for each of the next 7 steps" in (folder / "knowing.txt").read_text()
    )
    assert not (folder / "knowing.png").exists()
    result = run("fit", folder / "all.csv", *KNOWING, "--model", "ridge", "--out", tmp_path / "m.tabdl")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "m.png").exists()


def test_one_series_too_short_to_judge(tmp_path: Path) -> None:
    pd.DataFrame({"t": range(8), "y": range(8)}).to_csv(tmp_path / "s.csv", index=False)
    result = run("fit", tmp_path / "s.csv", "--target", "y", "--horizon", 4, "--time", "t", "--out", tmp_path / "m.tabdl")
    assert result.exit_code == 0, result.output
    assert "1 series, horizon 4, no season" in result.output
    assert "error on held-out steps: too few steps to hold any out" in result.output
    assert result.output.startswith("Forecaster, ")


def test_fit_tells_of_a_spike_once(tmp_path: Path) -> None:
    days = np.arange(60)
    sales = np.sin(days * 2 * np.pi / 7) + np.where(days == 30, 500, 0)
    pd.DataFrame({"t": days, "y": sales.round(2)}).to_csv(tmp_path / "s.csv", index=False)
    options = ["--target", "y", "--horizon", 4, "--time", "t", "--model", "ridge", "--out", tmp_path / "m.tabdl"]
    result = run("fit", tmp_path / "s.csv", *options)
    assert result.exit_code == 0, result.output
    assert result.output.count("takes 1 of 60 values of the target for gaps") == 1
    assert (tmp_path / "m.png").exists()


@pytest.mark.parametrize("source", ["s.csv", "s.parquet"])
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_predict_writes_what_follows(folder: Path, tmp_path: Path, source: str, name: str) -> None:
    result = run("predict", folder / "plain.tabdl", folder / source, "--out", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert f"{3 * HORIZON} predictions" in result.output
    found = (pd.read_parquet if name.endswith("parquet") else pd.read_csv)(tmp_path / name)
    expected = CASE.plain.predict()
    assert list(found.columns) == list(expected.columns)
    assert found["shop"].tolist() == expected["shop"].tolist()
    assert pd.to_datetime(found["day"]).tolist() == expected["day"].tolist()
    np.testing.assert_allclose(numbers(found), numbers(expected))


@pytest.mark.parametrize("options", [["s.csv", "--future", "f.csv"], ["all.csv"], ["all.csv", "--future", "all.csv"]])
def test_known_columns_come_from_another_file_or_from_later_rows(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(folder)
    result = run("predict", "knowing.tabdl", *options, "--out", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(numbers(pd.read_csv(tmp_path / "p.csv")), numbers(CASE.predicted))


def test_predict_writes_to_standard_output(folder: Path) -> None:
    lines = run("predict", folder / "plain.tabdl", folder / "s.csv").stdout.splitlines()
    assert lines[0] == "shop,day,mean,q0.025,q0.1,q0.9,q0.975"
    assert lines[1].startswith("Oslo,2024-03-25,")
    assert len(lines) == 1 + 3 * HORIZON


def test_evaluate_is_a_backtest_fitted_once(folder: Path) -> None:
    result = run("evaluate", folder / "plain.tabdl", folder / "s.csv", "--origins", 2)
    assert result.exit_code == 0, result.output
    assert "origins 2024-03-11, 2024-03-18; lower is better" in result.output
    expected = tabdl.backtest(CASE.new(), CASE.table, origins=2, refit=False).scores
    found = json.loads(run("evaluate", folder / "plain.tabdl", folder / "s.csv", "--origins", 2, "--json").stdout)
    assert found["origins"] == ["2024-03-11", "2024-03-18"]
    assert list(found["scores"]) == expected.index.tolist() == ["RidgeForecaster", "naive", "seasonal naive"]
    for method, scores in found["scores"].items():
        assert f"\n{method} " in result.output
        for name in ("mase", "owa", "coverage_0.8"):
            assert scores[name] == pytest.approx(expected.loc[method, name])


def test_doctor(folder: Path) -> None:
    result = run("doctor", folder / "plain.tabdl")
    assert "RidgeForecaster on 3 columns" in result.output
    assert result.output.endswith("all is well\n")


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["fit", "s.csv", "--target", "sales", "--horizon", 7], 2, "--horizon: expected the column of times as well; add --time"),
        (["fit", "s.csv", "--target", "sales", "--time", "day"], 2, "add --id COLUMN or, for forecasts, --horizon STEPS"),
        (["fit", "s.csv", "--target", "sales", "--known", "promo"], 2, "--known is for forecasts; add --horizon STEPS"),
        (
            ["fit", "s.csv", "--target", "sales", "--target", "mood"],
            2,
            "--target: expected one column, received 'sales', 'mood'; fit",
        ),
        (["fit", "s.csv", *ROLES, "--task", "regressor"], 2, "--task is not for forecasts; leave it or --horizon out"),
        (["fit", "s.csv", *ROLES, "--test-fraction", 0.2], 2, "--test-fraction is not for forecasts"),
        (["fit", "s.csv", *ROLES, "--kind", "shop=text"], 2, "--kind is not for forecasts"),
        (["fit", "s.csv", *ROLES, "--model", "dcn"], 2, "expected a model among"),
        (["fit", "s.csv", *ROLES, "--model", "ridge", "--epochs", 3], 2, "has no parameter 'epochs'"),
        (["fit", "s.csv", *ROLES, "--set", "lookback=0"], 2, "lookback=0"),
        (["fit", "s.csv", *ROLES, "--static", "area"], 1, "the table lacks 'area'"),
        (["fit", "s.csv", *ROLES, "--known", "sales"], 1, "column 'sales' has two roles"),
        (["fit", "s.csv", "--target", "sales", "--model", "ridge"], 2, "expected a model among"),
        (["predict", "knowing.tabdl", "s.csv"], 1, "received no row at 2024-03-25 of series shop='Oslo'"),
        (["predict", "plain.tabdl", "s.csv", "--future", "f.csv"], 1, "--future: expected a model with known columns"),
        (["predict", "plain.tabdl", "s.csv", "--proba"], 2, "a RidgeForecaster predicts numbers"),
        (["predict", "knowing.tabdl", "s.csv", "--future", "f.csv", "--out", "f.csv"], 2, "--out: f.csv is the input file f.csv"),
        (
            ["predict", "table.tabdl", "s.csv", "--future", "f.csv"],
            2,
            "--future is for forecasters, the model is a MLPClassifier",
        ),
        (["evaluate", "table.tabdl", "s.csv", "--origins", 2], 2, "--origins is for forecasters, the model is a MLPClassifier"),
        (["evaluate", "plain.tabdl", "s.csv", "--target", "sales"], 2, "--target is not for forecasters; leave it out"),
        (["evaluate", "plain.tabdl", "f.csv"], 1, "expected a column 'sales'"),
        (["evaluate", "plain.tabdl", "s.csv", "--origins", 90], 1, "error: "),
        (["schema", "plain.tabdl"], 1, "expected a model of a table, received a RidgeForecaster"),
    ],
)
def test_mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[Any], code: int, message: str) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_help_says_which_networks_forecast() -> None:
    assert f"With --horizon: {', '.join(models.names('Forecaster'))}." in " ".join(run("fit", "-h").output.split())
