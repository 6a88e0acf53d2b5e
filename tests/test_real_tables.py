"""Real tables, raw: every one goes through fit, predict, save and load without any preparation by the user."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabdl

FOLDER = Path(os.environ.get("TABDL_TABLES", Path(__file__).parents[2] / "shared/data/tables"))
TABLES = {
    "adult": "classifier",
    "auto_mpg": "regressor",
    "california": "regressor",
    "churn": "classifier",
    "coupon": "classifier",
    "diamond": "regressor",
    "electronics": "classifier",
    "employee_salaries": "regressor",
    "house": "regressor",
    "online_shoppers": "classifier",
}
ROWS = 1_500

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real tables in {FOLDER}; name their folder in TABDL_TABLES")


@pytest.mark.parametrize("name", TABLES)
def test_raw_table_goes_through(name, tmp_path):
    table = pd.read_csv(FOLDER / f"{name}.csv.gz").sample(frac=1, random_state=0)[:ROWS]
    y = table.pop("target")
    before, known = table.copy(), 2 * len(table) // 3
    model = tabdl.models.find("mlp", TABLES[name])(units=(32,), epochs=2, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="columns dropped")
        model.fit(table[:known], y[:known])
    answers = model.predict(table[known:])
    assert answers.shape == y[known:].shape
    if TABLES[name] == "regressor":
        assert np.isfinite(answers).all()
        assert np.std(answers) > 0
    else:
        assert set(answers) <= set(y)
    again = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"))
    np.testing.assert_array_equal(again.predict(table[known:]), answers)
    pd.testing.assert_frame_equal(table, before)


def test_all_tables_of_the_folder_are_covered():
    assert {file.name.removesuffix(".csv.gz") for file in FOLDER.glob("*.csv.gz")} == set(TABLES)
