"""The demo on a table of the user's: nothing of it is overwritten, and the baseline survives its dates."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.datasets import make_conversion

ROOT = Path(__file__).parents[1]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, its folder demo/ below an empty folder."""
    spec: Any = importlib.util.spec_from_file_location("demo", ROOT / "notebooks" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    return module


@pytest.mark.parametrize("name", ["test.csv", "predictions.csv", "model.tabdl", "learning_curve.png", "link.csv"])
def test_refuses_data_that_it_would_overwrite(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path("demo", "test.csv").write_text("a,b\n1,2\n")
    os.link("demo/test.csv", "demo/link.csv")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--data", f"demo/{name}", "--target", "b"])
    with pytest.raises(SystemExit) as stop:
        demo.main()
    assert stop.value.code == 2
    assert f"demo/{name} would be overwritten by demo/" in capsys.readouterr().err
    assert Path("demo", "test.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("name", ["demo/customers.csv", "demo/mine.csv", "test.csv"])
def test_accepts_data_that_stays(demo: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py", "--data", name, "--target", "b"])
    assert demo.parse().data == Path(name)


def test_the_model_is_saved_before_the_baseline_is_fitted(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_model(*_: Any) -> Any:
        return lambda **_: tabdl.MLPClassifier(units=(8,), epochs=1, random_state=0)

    def fail(*_: Any) -> None:
        raise RuntimeError("the baseline failed")

    X, y = make_conversion(200, random_state=0)
    X.assign(converted=y).to_csv("mine.csv", index=False)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--data", "mine.csv", "--target", "converted"])
    monkeypatch.setattr(demo, "find_model", find_model)
    monkeypatch.setattr(demo, "baseline", fail)
    monkeypatch.setattr(demo.warnings, "showwarning", None)  # restored afterwards: the demo sets its own
    with pytest.raises(RuntimeError, match="the baseline failed"):
        demo.main()
    assert isinstance(tabdl.load("demo/model.tabdl"), tabdl.MLPClassifier)
    assert Path("demo/learning_curve.png").exists()


def test_dates_of_the_baseline(demo: ModuleType) -> None:
    days = demo.days(pd.Series(["1970-01-02", "01/03/1970 12:00", "soon", None, "1969-12-31"]))
    np.testing.assert_array_equal(days, [1, 2.5, np.nan, np.nan, -1])
    zoned = pd.to_datetime(pd.Series(["1970-01-02 01:00", None])).dt.tz_localize("Europe/Paris")
    np.testing.assert_array_equal(demo.days(zoned), [1, np.nan])


def test_the_baseline_reads_dates_with_gaps_and_nonsense(demo: ModuleType) -> None:
    X = pd.DataFrame({"since": [f"2024-01-{1 + i % 28:02d}" for i in range(300)], "city": ["a", None, "b"] * 100})
    schema = tabdl.Schema.infer(X)
    assert schema["since"].kind == "date"
    X.loc[[3, 4], "since"] = ["soon", None]
    table = demo.plain(X, schema)
    assert table["since"].isna().sum() == 2
    assert table["since"].between(19_723, 19_751).sum() == 298
    assert set(table["city"]) == {"a", "b", "missing"}


def test_rows_have_the_names_that_the_readme_uses(demo: ModuleType) -> None:
    readme, source = (ROOT / "README.md").read_text(encoding="utf-8"), Path(demo.__file__ or "").read_text(encoding="utf-8")
    for name in ("logistic regression", "true probabilities"):
        assert name in source
        assert f"{name} |" in readme
