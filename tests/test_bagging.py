"""Folds of `bagging=`: weights of rows, and what does not go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tabdl
from tabdl.errors import ParameterError
from tabdl.testing import mixed_table

ROWS = 120
TABLE = mixed_table(ROWS)
SIGNAL = 2 * TABLE["number"].to_numpy() + np.random.default_rng(1).normal(size=ROWS)
CLASSES = np.where(SIGNAL > 0, "yes", "no")
SMALL: dict[str, Any] = {"units": (8,), "dropout": 0.2, "epochs": 5, "random_state": 0}


def classifier(**params: Any) -> Any:
    return tabdl.MLPClassifier(**SMALL | params)


def regressor(**params: Any) -> Any:
    return tabdl.MLPRegressor(**SMALL | params)


# ---- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("even", [True, False])
def test_rows_of_weight_zero_are_as_if_absent_and_nan_out_of_fold(even):
    weight = np.where(np.arange(ROWS) % 4 == 1, 0.0, 1.0 if even else 1.0 + np.arange(ROWS) % 3)
    counted = weight > 0
    strange = TABLE.copy()
    strange.loc[~counted, "number"] = 1e6
    model = classifier(bagging=3).fit(strange, CLASSES, weight)
    without = classifier(bagging=3).fit(TABLE[counted], CLASSES[counted], weight[counted])
    np.testing.assert_array_equal(model.predict_proba(TABLE), without.predict_proba(TABLE))
    assert model.out_of_fold_.shape == (ROWS, 2)
    np.testing.assert_array_equal(np.isnan(model.out_of_fold_).any(axis=1), ~counted)
    np.testing.assert_array_equal(model.out_of_fold_[counted], without.out_of_fold_)


def test_weights_of_a_fold_reach_its_encoder_and_its_loss():
    heavy = np.where(SIGNAL > 0, 9.0, 1.0)
    plain, pulled = regressor(bagging=2, epochs=10).fit(TABLE, SIGNAL), regressor(bagging=2, epochs=10).fit(TABLE, SIGNAL, heavy)
    assert pulled.predict(TABLE).mean() > plain.predict(TABLE).mean()
    assert all((a._numbers.center != b._numbers.center).any() for a, b in zip(plain.encoders_, pulled.encoders_, strict=True))
    balanced = classifier(bagging=2, class_weight="balanced").fit(TABLE, CLASSES, heavy)
    assert np.isfinite(balanced.out_of_fold_).all()


# ---- what does not go together -----------------------------------------------------------------------------------------


def test_bagging_refuses_validation_rows_warm_starts_and_partial_fits():
    with pytest.raises(ParameterError, match="bagging=2 holds out folds of X itself; leave out X_val"):
        classifier(bagging=2).fit(TABLE, CLASSES, X_val=TABLE, y_val=CLASSES)
    with pytest.raises(ParameterError, match="bagging=2 holds out folds of all rows, which partial_fit never has; use bagging=1"):
        classifier(bagging=2).partial_fit(TABLE, CLASSES)
    model = classifier(bagging=2, warm_start=True).fit(TABLE, CLASSES)
    before = model.predict_proba(TABLE)
    with pytest.raises(ParameterError, match="warm_start"):
        model.fit(TABLE, CLASSES)
    with pytest.raises(ParameterError, match="bagging=2 holds out folds of all rows"):
        model.partial_fit(TABLE, CLASSES)
    np.testing.assert_array_equal(model.predict_proba(TABLE), before)


def test_more_folds_than_rows_for_them_are_refused():
    with pytest.raises(ParameterError, match="bagging=9 expects 18 rows or more, received 17; lower it"):
        classifier(bagging=9).fit(TABLE[:17], CLASSES[:17])
    assert len(classifier(bagging=9, epochs=1).fit(TABLE[:18], SIGNAL[:18] > 0).models_) == 9
