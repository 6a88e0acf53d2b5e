"""The README runs: its Python blocks in one namespace, its commands as they stand."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import matplotlib
import pytest
from click.testing import CliRunner

from tabdl.cli import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    namespace: dict = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for number, block in enumerate(blocks("python")):
            exec(compile(block, f"README block {number}", "exec"), namespace)
        lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
        for words in lines:
            if words[0] == "python":
                exec(words[2], {})
            elif words[0] == "tabdl":
                result = CliRunner().invoke(cli, words[1:])
                assert result.exit_code == 0, (words, result.output)
    assert {words[1] for words in lines if words[0] == "tabdl"} == set(cli.commands)


def test_make_targets_exist() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z][a-z-]*)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_table_of_models_is_complete() -> None:
    from tabdl import models

    for public in models.catalogue():
        network = re.sub("(Classifier|Regressor|Forecaster)$", "", public)
        assert f"| `{network}" in README, network


def test_links_exist() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / link).exists(), link


def test_numbers_of_the_text_are_those_of_the_code() -> None:
    """Shares of rows held out, sizes of functions, what `make test` checks."""
    from test_architecture import MOST_FUNCTION_LINES, MOST_LINES
    from test_sklearn import CHECKED_ALWAYS

    from tabdl import TabMClassifier

    share = {option.name: option.default for option in cli.commands["fit"].params}["test_fraction"]
    assert f"holds out {share:.0%} of the rows" in README
    assert f"holds out {TabMClassifier().validation_fraction:.0%} for early stopping" in README
    networks = {name.removesuffix("Classifier").removesuffix("Regressor") for name in CHECKED_ALWAYS}
    assert f"own checks run over {' and '.join(f'`{name}`' for name in sorted(networks))} in `make test`" in README
    contributing = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"At most {MOST_LINES} lines a file, {MOST_FUNCTION_LINES} lines a function" in contributing
