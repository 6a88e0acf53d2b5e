"""Models written by earlier releases load and predict as they did: the promise of CHANGELOG.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import models
from tabdl.testing.forecasts import numbers

FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.rglob("*.tabdl"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(FOLDER).with_suffix("")))
def test_golden_artifact_predicts_as_it_did(file: Path) -> None:
    rows = pd.read_parquet(file.parent / "rows.parquet")
    model = tabdl.load(file)
    expected = np.load(file.with_suffix(".npy"))
    received = predict(model, rows)
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5 * expected.std())


def predict(model: Any, rows: pd.DataFrame) -> np.ndarray:
    if hasattr(model, "horizon"):
        future = rows["day"] > rows["day"].max() - pd.Timedelta(days=model.horizon)
        return numbers(model.predict(rows[~future], rows[future]))
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


def test_every_public_estimator_of_this_release_has_one() -> None:
    found = {f.stem: f.parent for f in FILES if f.relative_to(FOLDER).parts[0] == tabdl.__version__}
    assert set(found) == set(models.catalogue())
