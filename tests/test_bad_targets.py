"""Every bad target ends in one sentence that says what was expected, what came, and what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from refused import ROWS, X, Y, classifier, regressor

from tabdl.errors import TargetError


@pytest.mark.parametrize("value", [1, "yes", True])
def test_one_class(value):
    with pytest.raises(TargetError, match="two classes or more, received one class: .*; add rows of another class"):
        classifier().fit(X, np.array([value] * ROWS))


@pytest.mark.parametrize(
    "gap",
    [
        np.where(np.arange(ROWS) == 3, np.nan, Y),
        np.where(np.arange(ROWS) == 3, None, Y.astype(str)),
        pd.Series(np.where(Y > 0, "yes", "no")).mask(np.arange(ROWS) == 3),
        pd.Series(Y, dtype="Int64").mask(np.arange(ROWS) == 3),
        pd.Series(Y > 0, dtype="boolean").mask(np.arange(ROWS) == 3),
        pd.Series(np.where(Y > 0, "yes", "no"), dtype="category").mask(np.arange(ROWS) == 3),
    ],
    ids=["float", "object", "str", "Int64", "boolean", "category"],
)
def test_gap_among_the_classes(gap):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TargetError, match="contains NaN.*drop the rows"):
            classifier().fit(X, gap)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(value):
    y = X["a"].to_numpy().copy()
    y[3] = value
    with pytest.raises(TargetError, match="Input y contains NaN or infinity.*drop those rows"):
        regressor().fit(X, y)
    with pytest.raises(TargetError, match="Input y contains NaN or infinity"):
        regressor().fit(X, pd.Series(y, dtype="Float64").replace(value, pd.NA))
    with pytest.raises(TargetError, match="Input y contains NaN or infinity"):
        regressor().fit(X, np.column_stack([y, y]))


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # in scikit-learn, on its way to the error
def test_infinite_class():
    with pytest.raises(ValueError, match="Input y contains infinity"):
        classifier().fit(X, np.where(np.arange(ROWS) == 3, np.inf, Y))


@pytest.mark.parametrize("model", [classifier(), regressor()], ids=["classifier", "regressor"])
def test_wrong_length_of_y(model):
    with pytest.raises(TargetError, match=rf"inconsistent numbers of samples: \[{ROWS}, {ROWS - 1}\]; give y one entry a row"):
        model.fit(X, Y[:-1])


def test_no_target():
    with pytest.raises(TargetError, match="MLPClassifier requires y to be passed, but the target y is None"):
        classifier().fit(X)


def test_continuous_target_of_a_classifier():
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, X["a"])


def test_text_target_of_a_regressor():
    with pytest.raises(TargetError, match=r"expected numbers in y, received .* such as 'Oslo'|'Bergen'|'Bodø'; use a Classifier"):
        regressor().fit(X, X["city"])


@pytest.mark.parametrize("texts", [pa.array, lambda y: pa.chunked_array([y]), lambda y: pa.array(y).dictionary_encode()])
def test_texts_of_arrow_are_classes_and_no_numbers(texts):
    y = texts(["yes" if one else "no" for one in Y])
    assert classifier().fit(X, y).classes_.tolist() == ["no", "yes"]
    with pytest.raises(TargetError, match="expected numbers in y, received .* such as .*; use a Classifier"):
        regressor().fit(X, y)


def test_shapes_of_targets():
    with pytest.raises(TargetError, match=r"shape \(rows,\) or \(rows, outputs\), received \(60, 1, 1\)"):
        regressor().fit(X, Y.reshape(-1, 1, 1))
    with pytest.raises(TargetError, match="one column of classes or 0/1 columns of labels"):
        classifier().fit(X, np.column_stack([Y, Y + 2]))
    with pytest.raises(TargetError, match=r"dense y, received a sparse matrix; convert it with .toarray\(\)"):
        classifier().fit(X, scipy.sparse.csr_matrix(np.eye(ROWS)))
    with pytest.raises(TargetError, match="Complex data not supported"):
        regressor().fit(X, Y * 1j)
    with pytest.raises(TargetError, match="one target column.*fit one model a column"):
        regressor(quantiles=(0.1, 0.9)).fit(X, np.column_stack([Y, Y]))


def test_signs_of_targets():
    with pytest.raises(TargetError, match="'poisson' expects targets of 0 or more, received a minimum of -1"):
        regressor(loss="poisson").fit(X, Y - 1)
    with pytest.raises(TargetError, match="'log_mse' expects targets above -1, received a minimum of -2"):
        regressor(loss="log_mse").fit(X, Y - 2)


def test_unknown_class_in_validation_rows():
    with pytest.raises(TargetError, match=r"classes seen in fit \(0, 1 ...\), received 7; drop those rows"):
        classifier().fit(X, Y, X_val=X[:9], y_val=[7] * 9)
