"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import tabdl
from tabdl import models
from tabdl.cli import cli
from tabdl.datasets import make_conversion

SMALL = ["--model", "mlp", "--set", "units=(8,)", "--epochs", "2"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers with a target and a weight, and a model that learned from them."""
    folder = tmp_path_factory.mktemp("cli")
    X, y = make_conversion(200, random_state=0)
    table = X.assign(converted=y, importance=np.arange(200) % 3 + 1.0)
    table.to_csv(folder / "t.csv", index=False)
    table.to_csv(folder / "t.csv.gz", index=False)
    table.to_parquet(folder / "t.parquet")
    result = run("fit", folder / "t.csv", "--target", "converted", "--drop", "importance", "--out", folder / "m.tabdl", *SMALL)
    assert result.exit_code == 0, result.output
    (folder / "fit.txt").write_text(result.output)
    return folder


def test_fit_says_what_it_did(folder: Path) -> None:
    text = (folder / "fit.txt").read_text()
    assert "task: classifier (the target 'converted' has 2 different whole numbers; --task regressor would change it)" in text
    assert "note: columns dropped: 'customer_id' (identifier)" in text
    assert "MLPClassifier, 160 rows to learn from" in text
    assert "scores on 40 held-out rows:\nauc" in text
    assert (folder / "m.png").read_bytes().startswith(b"\x89PNG")
    model = tabdl.load(folder / "m.tabdl")
    assert (model.units, model.epochs, model.random_state) == ((8,), 2, 0)
    assert "importance" not in model.schema_.names


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_fit_reads_other_formats(folder: Path, tmp_path: Path, name: str) -> None:
    result = run("fit", folder / name, "--target", "income", "--quiet", "--out", tmp_path / "m.tabdl", *SMALL)
    assert result.exit_code == 0, result.output
    assert "task: regressor" in result.output
    assert "rmse" in result.output


def test_fit_options_reach_the_model(folder: Path, tmp_path: Path) -> None:
    kinds = ["--kind", "team_size=number", "--kind", "plan=free<starter<team<enterprise", "--kind", "industry=text"]
    options = ["--task", "regressor", "--weight", "importance", "--seed", 3, "--time-limit", 60, "--test-fraction", 0]
    places = ["--out", tmp_path / "m.tabdl", "--curve", tmp_path / "curve.png"]
    result = run("fit", folder / "t.csv", "--target", "converted", "--set", "loss=mae", *kinds, *options, *places, *SMALL)
    assert result.exit_code == 0, result.output
    assert "held-out" not in result.output
    model = tabdl.load(tmp_path / "m.tabdl")
    assert isinstance(model, tabdl.MLPRegressor)
    assert (model.loss, model.random_state, model.time_limit) == ("mae", 3, 60)
    assert [model.schema_[name].kind for name in ("team_size", "plan", "industry")] == ["number", "ordered", "text"]
    assert model.schema_["plan"].values == ("free", "starter", "team", "enterprise")
    assert "importance" not in model.schema_.names
    assert (tmp_path / "curve.png").exists()


def test_fit_is_reproducible(folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        assert run("fit", folder / "t.csv", "--target", "converted", "--out", tmp_path / f"{name}.tabdl", *SMALL).exit_code == 0
    X, _ = make_conversion(200, random_state=0)
    first, second = (tabdl.load(tmp_path / f"{name}.tabdl").predict_proba(X.assign(importance=1.0)) for name in "ab")
    np.testing.assert_array_equal(first, second)


def test_evaluate(folder: Path) -> None:
    result = run("evaluate", folder / "m.tabdl", folder / "t.csv", "--target", "converted")
    assert result.exit_code == 0, result.output
    assert "scores on 200 rows" in result.output
    weighted = run("evaluate", folder / "m.tabdl", folder / "t.parquet", "--weight", "importance", "--json")
    scores = json.loads(weighted.output)
    assert scores["target"] == "converted"  # the one column that the model does not know
    assert 0 <= scores["auc"] <= 1


def test_evaluate_needs_to_know_the_target(folder: Path) -> None:
    result = run("evaluate", folder / "m.tabdl", folder / "t.csv")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "name it with --target" in result.output


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet"])
@pytest.mark.parametrize("source", ["t.csv", "t.parquet"])
def test_predict_adds_columns_in_row_order(folder: Path, tmp_path: Path, source: str, name: str) -> None:
    result = run("predict", folder / "m.tabdl", folder / source, "--proba", "--out", tmp_path / name, "--chunk-rows", 60)
    assert result.exit_code == 0, result.output
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    table = read(tmp_path / name)
    X, _ = make_conversion(200, random_state=0)
    expected = tabdl.load(folder / "m.tabdl").predict_proba(X)
    assert table["customer_id"].tolist() == X["customer_id"].tolist()
    np.testing.assert_allclose(table[["probability_0", "probability_1"]], expected, rtol=1e-5)
    assert table["prediction"].tolist() == expected.argmax(axis=1).tolist()


def test_predict_writes_to_standard_output(folder: Path) -> None:
    result = run("predict", folder / "m.tabdl", folder / "t.csv")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 201
    assert lines[0].endswith("importance,prediction")
    written = (folder / "t.csv").read_text().splitlines()
    assert all(line.startswith(cells + ",") for line, cells in zip(lines, written, strict=True))


def test_schema_of_model_and_table(folder: Path) -> None:
    model = tabdl.load(folder / "m.tabdl")
    assert run("schema", folder / "m.tabdl").output.rstrip() == str(model.schema_).rstrip()
    assert json.loads(run("schema", folder / "m.tabdl", "--json").output) == json.loads(json.dumps(model.schema_.to_json()))
    assert json.loads(run("schema", folder / "m.tabdl", "--json-schema").output)["type"] == "object"
    assert "converted" in run("schema", folder / "t.csv").output


def test_doctor(folder: Path) -> None:
    result = run("doctor", folder / "m.tabdl")
    assert result.exit_code == 0, result.output
    assert "MLPClassifier on" in result.output
    assert result.output.endswith("all is well\n")


def test_doctor_finds_a_damaged_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tabdl").write_bytes((folder / "m.tabdl").read_bytes()[:-100])
    result = run("doctor", tmp_path / "m.tabdl")
    assert result.exit_code == 1
    assert "model      FAILED" in result.output
    assert "1 of the checks failed" in result.output


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["fit", "t.csv", "--target", "convertd"], 1, "error: t.csv has no column 'convertd'; did you mean 'converted'?"),
        (["fit", "t.csv", "--target", "converted", "--drop", "x"], 1, "error: t.csv has no column 'x'"),
        (["fit", "t.csv", "--target", "customer_id"], 1, "holds text, 200 different values in 200 rows"),
        (["fit", "m.tabdl", "--target", "y"], 1, "error: expected a .csv"),
        (["fit", "t.csv", "--target", "industry", "--task", "regressor"], 1, "error: expected numbers in y"),
        (["fit", "t.csv"], 2, "Missing option '--target'"),
        (["fit", "no.csv", "--target", "y"], 2, "does not exist"),
        (["fit", "t.csv", "--target", "converted", "--model", "forest"], 2, "expected a model among"),
        (["fit", "t.csv", "--target", "converted", "--set", "epocs=3"], 2, "has no parameter 'epocs'"),
        (["fit", "t.csv", "--target", "converted", "--set", "batch_size=-1"], 2, "batch_size=-1"),
        (["fit", "t.csv", "--target", "converted", "--set", "epochs"], 2, "expected NAME=VALUE, received 'epochs'"),
        (["fit", "t.csv", "--target", "converted", "--kind", "age=colour"], 2, "age=colour: expected one of number, count"),
        (["fit", "t.csv", "--target", "converted", "--out", "no/m.tabdl"], 2, "the folder no does not exist"),
        (["fit", "t.csv", "--target", "converted", "--out", "t.csv"], 2, "--out: t.csv is the input file t.csv; choose another"),
        (["fit", "t.csv", "--target", "converted", "--out", "../{here}/t.csv"], 2, "is the input file t.csv"),
        (["fit", "t.csv", "--target", "converted", "--out", "link.tabdl"], 2, "link.tabdl is the input file t.csv"),
        (["fit", "t.csv", "--target", "converted", "--out", "hard.tabdl"], 2, "hard.tabdl is the input file t.csv"),
        (["fit", "t.csv", "--target", "converted", "--curve", "t.csv"], 2, "--curve: t.csv is the input file t.csv"),
        (["fit", "t.csv", "--target", "converted", "--curve", "no/c.png"], 2, "--curve: the folder no does not exist"),
        (["fit", "t.csv", "--target", "converted", "--curve", "c.csv"], 2, "expected a picture such as curve.png"),
        (["fit", "t.csv", "--target", "converted", "--out", "a.png"], 2, "expected two different files, received a.png for both"),
        (["fit", "t.csv", "--target", "converted", "--out", "a", "--curve", "./a"], 2, "expected two different files"),
        (["fit", "t.csv", "--target", "converted", "--out", "t.parquet"], 2, "received the name of a table, t.parquet"),
        (["fit", "t.csv", "--target", "converted", "--out", "new.csv.gz"], 2, "expected a model file such as model.tabdl"),
        (["predict", "m.tabdl", "t.csv", "--out", "t.csv"], 2, "--out: t.csv is the input file t.csv"),
        (["predict", "m.tabdl", "t.csv", "--out", "link.csv"], 2, "link.csv is the input file t.csv"),
        (["predict", "model.csv", "t.csv", "--out", "model.csv"], 2, "model.csv is the input file model.csv"),
        (["predict", "t.csv", "t.csv"], 1, "error: 't.csv': expected"),
        (["predict", "m.tabdl", "m.png"], 1, "error: expected a .csv"),
        (["predict", "m.tabdl", "t.csv", "--out", "p.xlsx"], 2, "expected a name ending in .csv"),
        (["predict", "m.tabdl", "other.csv"], 1, "expects columns that the table lacks"),
        (["schema", "empty.csv"], 1, "error: empty.csv is empty"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str) -> None:
    monkeypatch.chdir(folder)
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("")
    shutil.copy("m.tabdl", "model.csv")
    for link, make in {"link.tabdl": os.symlink, "link.csv": os.symlink, "hard.tabdl": os.link}.items():
        Path(link).unlink(missing_ok=True)
        make("t.csv", link)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run(*(argument.format(here=folder.name) for argument in arguments))
    assert result.exit_code == code, result.output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    if code == 1:
        assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == result.stderr.splitlines()[-1:]


def test_probabilities_of_a_regressor(folder: Path, tmp_path: Path) -> None:
    assert run("fit", folder / "t.csv", "--target", "age", "--out", tmp_path / "r.tabdl", *SMALL).exit_code == 0
    result = run("predict", tmp_path / "r.tabdl", folder / "t.csv", "--proba")
    assert result.exit_code == 2
    assert "a MLPRegressor predicts numbers" in result.output


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback(folder: Path, place: str) -> None:
    command = ["schema", folder / "m.png"]
    result = run("--debug", *command) if place == "before" else run(*command, "--debug")
    assert isinstance(result.exception, tabdl.errors.ArtifactError)


def test_unexpected_errors_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("tabdl.commands.schema_of", fail)
    result = run("schema", folder / "t.csv")
    assert result.exit_code == 1
    assert result.output == "error: RuntimeError: first line second line (--debug shows where)\n"


def test_missing_backend_has_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'jaxlib'", name="jaxlib")

    monkeypatch.setattr("tabdl.commands.schema_of", fail)
    result = run("schema", folder / "t.csv")
    assert result.output.startswith("error: jaxlib is not installed; pip install jaxlib")


def test_the_installed_command_is_quiet_and_survives_a_closed_pipe(folder: Path) -> None:
    command = [sys.executable, "-m", "tabdl", "predict", "m.tabdl", "t.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 201
    piped = f"{sys.executable} -m tabdl schema t.csv --json | head -1"
    closed = subprocess.run(piped, cwd=folder, shell=True, capture_output=True, text=True, check=True)
    assert "Traceback" not in closed.stderr


def test_help_says_which_networks_fit_knows() -> None:
    text = " ".join(run("fit", "-h").output.split())
    networks = ", ".join(name for name in models.names("Classifier") if name != "custom")
    assert f"Architecture: {networks}. A network of your own only by its entry point" in text


def test_help_of_every_command() -> None:
    for name, command in cli.commands.items():
        result = run(name, "-h")
        assert result.exit_code == 0
        assert command.help.splitlines()[0] in " ".join(result.output.split())
    assert run("--version").output.strip().endswith(tabdl.__version__)
