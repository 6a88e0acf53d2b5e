"""What the doctor looks at."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest

from tabdl import diagnosis
from tabdl.errors import TabdlError


def test_examinations_return_a_line_each() -> None:
    lines = {name: examine() for name, examine in diagnosis.examinations(None)}
    assert list(lines) == ["system", "packages", "optional", "backend", "threads", "fit"]
    assert all(line and "\n" not in line for line in lines.values())
    assert f"keras {metadata.version('keras')}" in lines["packages"]
    assert f"pytest {metadata.version('pytest')}" in lines["optional"]
    assert "the same to the bit" in lines["fit"]


def test_a_model_that_changes_over_saving_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def predict_proba(self, X: object) -> np.ndarray:
            return np.zeros((diagnosis.ROWS, 2))

    monkeypatch.setattr("tabdl.artifact.load", lambda path: Other())
    with pytest.raises(TabdlError, match="predicts otherwise after save and load"):
        dict(diagnosis.examinations(None))["fit"]()


def test_versions_of_absent_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_requirements", lambda extra: ["no-such-package", "numpy"])
    lines = dict(diagnosis.examinations(None))
    assert lines["packages"]() == f"no-such-package not installed, numpy {metadata.version('numpy')}"
