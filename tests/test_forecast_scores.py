"""`score` of forecasters, and scikit-learn's searches, which ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

import tabdl
from tabdl.errors import SchemaError
from tabdl.testing.forecasts import HORIZON, ForecastCase

CASE = ForecastCase(tabdl.RidgeForecaster, {})
TABLE, FUTURE = CASE.table, CASE.future


@pytest.fixture(scope="module")
def model() -> Any:
    return CASE.new().fit(TABLE)


def expected(model: Any) -> float:
    both = model.predict(future=FUTURE).merge(FUTURE, on=["shop", "day"])
    errors = (both["mean"] - both["sales"]).abs().groupby(both["shop"]).mean()
    daily = TABLE.pivot(index="day", columns="shop", values="sales").asfreq("D")
    return -float((errors / daily.diff().abs().mean()).mean())


def test_score_is_minus_the_scaled_error_of_the_next_steps(model: Any) -> None:
    assert model.score(FUTURE) == pytest.approx(expected(model))
    assert model.score(FUTURE.sample(frac=1, random_state=0), history=TABLE) == pytest.approx(expected(model))
    known = set(FUTURE["shop"]) - {"new"}
    strange = pd.concat([FUTURE, FUTURE[FUTURE["shop"] == min(known)].assign(shop="new")])
    assert model.score(strange) == pytest.approx(expected(model)), "a series without history has no forecast"
    one = FUTURE[FUTURE["shop"] == min(known)]
    assert np.isfinite(model.score(one))
    assert model.score(one.assign(sales=one["sales"] + 100)) < model.score(one)


def test_steps_that_do_not_follow_are_refused(model: Any) -> None:
    for rows in (TABLE, FUTURE.assign(shop="new " + FUTURE["shop"])):
        with pytest.raises(SchemaError, match=f"score: expected the {HORIZON} steps after .*RollingOrigin"):
            model.score(rows)


def test_a_loaded_model_scores_as_before(tmp_path: Any, model: Any) -> None:
    fitted = CASE.new(keep_history=True).fit(TABLE)
    with pytest.warns(UserWarning, match="contains rows"):
        tabdl.save(fitted, tmp_path / "kept.tabdl")
    assert tabdl.load(tmp_path / "kept.tabdl").score(FUTURE) == pytest.approx(expected(model))
    tabdl.save(model, tmp_path / "m.tabdl")
    loaded = tabdl.load(tmp_path / "m.tabdl")
    assert loaded.score(FUTURE, history=TABLE) == pytest.approx(expected(model))
    with pytest.raises(SchemaError, match="give them as history="):
        loaded.score(FUTURE)


def test_searches_of_scikit_learn() -> None:
    table, cv = pd.concat([TABLE, FUTURE]), tabdl.RollingOrigin(horizon=HORIZON, origins=2, time="day")
    found = cross_val_score(CASE.new(), table, cv=cv, error_score="raise")
    assert (found < 0).all()
    search = GridSearchCV(CASE.new(), {"known": [None, "promo"]}, cv=cv, error_score="raise").fit(table)
    assert search.best_params_ == {"known": "promo"}
    assert search.best_estimator_.ids_ == CASE.new().fit(table).ids_
