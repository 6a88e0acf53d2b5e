"""Models written by earlier releases load and predict as they did: the promise of CHANGELOG.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import models

FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.rglob("*.tabdl"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(FOLDER).with_suffix("")))
def test_golden_artifact_predicts_as_it_did(file: Path) -> None:
    rows = pd.read_parquet(file.parent / "rows.parquet")
    model = tabdl.load(file)
    expected = np.load(file.with_suffix(".npy"))
    received = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5 * expected.std())


def test_every_public_estimator_of_this_release_has_one() -> None:
    found = {f.stem: f.parent for f in FILES if f.relative_to(FOLDER).parts[0] == tabdl.__version__}
    assert set(found) == set(models.catalogue("Classifier", "Regressor"))
