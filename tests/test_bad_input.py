"""Every bad input ends in one sentence that says what was expected, what came, and what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from refused import RNG, ROWS, X, Y, classifier, regressor
from sklearn.exceptions import NotFittedError

from tabdl import Parquet, Schema
from tabdl.errors import ParameterError, SchemaError, TargetError


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(X, Y)


# ---- rows and columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [X[:0], X[["a", "b"]].to_numpy()[:0], []], ids=["frame", "array", "list"])
def test_empty_table(empty, fitted):
    with pytest.raises(SchemaError, match=r"0 sample\(s\) \(shape=\(0,.*while a minimum of 1 is required"):
        classifier().fit(empty, Y[:0])
    with pytest.raises(SchemaError, match=r"0 sample\(s\)"):
        fitted.predict(empty)


@pytest.mark.parametrize("empty", [X[[]], np.empty((ROWS, 0))], ids=["frame", "array"])
def test_zero_columns(empty):
    with pytest.raises(SchemaError, match=rf"0 feature\(s\) \(shape=\({ROWS}, 0\)\) while a minimum of 1 is required"):
        classifier().fit(empty, Y)


def test_one_row():
    with pytest.raises(SchemaError, match=r"1 sample\(s\) \(shape=\(1, 3\)\) while a minimum of 2 is required"):
        classifier().fit(X[:1], Y[:1])


def test_two_rows_are_enough():
    assert classifier().fit(X[["a"]][:2], [0, 1]).predict_proba(X[:5]).shape == (5, 2)


@pytest.mark.parametrize("fill", [7, "same", None, np.nan], ids=["number", "text", "None", "NaN"])
def test_constant_or_missing_column_is_dropped_with_a_warning(fill):
    table = X.assign(same=pd.Series([fill] * ROWS, dtype=object if fill is None else None))
    with pytest.warns(UserWarning, match=r"columns dropped: 'same' \(constant\); to keep one, declare its kind") as caught:
        model = classifier().fit(table, Y)
    assert len([w for w in caught if "dropped" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = classifier().fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(table), plain.predict_proba(X))


def test_only_constant_columns():
    with (
        pytest.raises(SchemaError, match=r"at least one column that varies, .* 'a'; add columns"),
        pytest.warns(UserWarning, match="dropped"),
    ):
        classifier().fit(pd.DataFrame({"a": [1] * ROWS}), Y)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_feature(value, fitted):
    table = X.copy()
    table.loc[5, "b"] = value
    message = "contains infinity: column 'b', row 5; replace it by a number, or NaN for a gap"
    with pytest.raises(SchemaError, match=message):
        classifier().fit(table, Y)
    with pytest.raises(SchemaError, match=message):
        fitted.predict(table)


def test_duplicate_column_names(fitted):
    table = X.set_axis(["a", "b", "a"], axis=1)
    for call in (lambda: classifier().fit(table, Y), lambda: fitted.predict(table)):
        with pytest.raises(SchemaError, match="column names that differ, received more than one 'a'; rename them"):
            call()


@pytest.mark.parametrize("wrap", [lambda a: a, pd.DataFrame], ids=["array", "frame"])
def test_complex_table(wrap):
    with pytest.raises(SchemaError, match="Complex data not supported\n.*two columns"):
        classifier().fit(wrap(np.ones((ROWS, 2)) * (1 + 2j)), Y)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array], ids=["matrix", "array"])
def test_sparse_table(make, fitted):
    sparse = make(np.eye(ROWS))
    for call in (lambda: classifier().fit(sparse, Y), lambda: fitted.predict(sparse)):
        with pytest.raises(
            TypeError, match=r"(?i)sparse data was passed, expected a dense table; convert it with `.toarray\(\)`"
        ):
            call()


def test_one_dimensional_table():
    with pytest.raises(SchemaError, match=r"Expected 2D array, got 1D array instead(.|\n)*reshape\(-1, 1\)"):
        classifier().fit(X["a"].to_numpy(), Y)


def test_missing_columns_are_all_named(fitted):
    with pytest.raises(SchemaError, match="'a'.*'city'"):
        fitted.predict(X[["b"]])


def test_wrong_number_of_positional_columns():
    model = classifier().fit(X[["a", "b"]].to_numpy(), Y)
    with pytest.raises(SchemaError, match="X has 3 features, but MLPClassifier is expecting 2 features as input"):
        model.predict(np.ones((2, 3)))


def test_text_where_numbers_were(fitted):
    table = X.astype({"a": object})
    table.loc[3, "a"] = "many"
    with pytest.raises(SchemaError, match="column 'a' should hold numbers, received text such as 'many' in row 3; clean it"):
        fitted.predict(table)


def test_cells_that_are_no_values():
    table = X.assign(d=[{"k": i} for i in range(ROWS)])
    with pytest.raises((TypeError, SchemaError), match="'d'.*dict"):
        classifier().fit(table, Y)


# ---- categories ----------------------------------------------------------------------------------------------------


def test_unknown_categories_only(fitted):
    strange = X.assign(city=[f"new {i}" for i in range(ROWS)])
    proba = fitted.predict_proba(strange)
    assert np.isfinite(proba).all()
    np.testing.assert_array_equal(proba, fitted.predict_proba(X.assign(city="another")), err_msg="all unseen values are alike")
    only = classifier().fit(X[["city"]], Y)
    assert np.ptp(only.predict_proba(strange), axis=0).max() < 1e-6


def test_a_column_of_100_000_categories():
    n = 100_020
    table = pd.DataFrame(
        {"code": np.char.add("v", (np.random.default_rng(0).permutation(n) % 100_000).astype(str)), "a": np.arange(n) % 7.0}
    )
    model = classifier(batch_size="full").fit(table, np.arange(n) % 2)
    column = model.schema_["code"]
    assert column.kind == "category"
    assert len(column.values) == 10_000
    assert max(model.encoder_.spec.categories) == 10_240  # with room for other folds
    assert np.isfinite(model.predict_proba(table[:100])).all()


@pytest.mark.parametrize("there", [int, float, str, object], ids=lambda t: t.__name__)
@pytest.mark.parametrize("here", [int, str], ids=["fitted on int", "fitted on str"])
def test_a_category_matches_as_number_and_as_text(here, there):
    table = pd.DataFrame({"store": RNG.integers(0, 5, ROWS).astype(here), "a": X["a"]})
    y = (table["store"].astype(int) > 2).astype(int)
    model = classifier().fit(table, y, schema={"store": "category"})
    expected = model.predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(table.assign(store=table["store"].astype(int).astype(there))), expected)
    assert (model.predict_proba(table.assign(store=99)) != expected).any()


# ---- parameters, weights, validation -------------------------------------------------------------------------------


def test_predicting_before_fit():
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet; call `fit`"):
            getattr(classifier(), method)(X)
    for use in (lambda m: m.model_, lambda m: m.summary(), lambda m: m.plot_history(), lambda m: m.score(X, Y)):
        with pytest.raises(NotFittedError):
            use(classifier())


@pytest.mark.parametrize(
    "params, message",
    [
        ({"epochs": 0}, r"MLPClassifier\(epochs=0\): expected .*>= 1"),
        ({"epochs": "many"}, r"one of 'auto'"),
        ({"batch_size": -1}, ">= 1"),
        ({"learning_rate": 0}, ">= 1e-06"),
        ({"learning_rate": None}, "expected float"),
        ({"units": (4, -4)}, "width of each hidden layer"),
        ({"units": 4}, r"expected tuple\[int, ...\]"),
        ({"optimizer": "Adam"}, "one of 'adam'"),
        ({"activation": "rleu"}, "one of 'relu'"),
        ({"dropout": 1.0}, "<= 0.9"),
        ({"validation_fraction": 0.9}, "<= 0.5"),
        ({"loss": "mse"}, "one of 'cross_entropy'"),
        ({"metric": "rmse"}, "one of 'log_loss'"),
        ({"class_weight": "even"}, "one of 'balanced'"),
        ({"class_weight": {5: 2.0}}, r"class_weight names 5, expected classes among \[0, 1\]"),
        ({"device": "banana"}, "expected 'cpu', 'gpu' or 'gpu:1'"),
        ({"random_state": -1}, "expected None, an int >= 0, a RandomState or a Generator"),
        ({"random_state": "seed"}, "expected None, an int >= 0"),
        ({"callbacks": 3}, "Keras callbacks"),
        ({"patience": 0}, ">= 1"),
        ({"momentum": 1.5}, "<= 0.999"),
    ],
)
def test_wrong_parameters_are_named_before_training(params, message):
    with pytest.raises(ParameterError, match=message):
        classifier(**params).fit(X, Y)


@pytest.mark.parametrize("quantiles", [(0.9, 0.1), (0.5, 0.5), (), (0.0, 0.5), (0.5, 1.0)])
def test_wrong_quantiles(quantiles):
    with pytest.raises(ParameterError, match=r"quantiles=.*: expected levels in ascending order|>= 0.001 and <= 0.999"):
        regressor(quantiles=quantiles).fit(X, X["a"])


def test_metric_that_does_not_fit_the_task():
    with pytest.raises(ParameterError, match="metric='rmse' needs one prediction a row; with quantiles= use 'auto' or 'pinball'"):
        regressor(quantiles=(0.1, 0.9), metric="rmse").fit(X, X["a"])
    labels = np.column_stack([Y, 1 - Y])
    with pytest.raises(ParameterError, match="'ordinal' expects one column of ordered classes"):
        classifier(loss="ordinal").fit(X, labels)
    with pytest.raises(ParameterError, match="class_weight expects one column of classes"):
        classifier(class_weight="balanced").fit(X, labels)


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.ones(ROWS - 1), r"sample_weight.shape == \(59,\), expected \(60,\)!; give one weight a row"),
        (np.ones((ROWS, 2)), r"sample_weight.shape == \(60, 2\), expected \(60,\)"),
        (np.where(np.arange(ROWS) == 3, -1.0, 1), "finite and not negative"),
        (np.where(np.arange(ROWS) == 3, np.nan, 1), "finite and not negative"),
        (np.where(np.arange(ROWS) == 3, np.inf, 1), "finite and not negative"),
        (np.zeros(ROWS), "positive for some rows, received zeros only"),
        (["heavy"] * ROWS, "sample_weight expects numbers, received str such as 'heavy'; give one number a row"),
        ([None] * ROWS, "sample_weight should be finite"),
        ([{}] * ROWS, "sample_weight expects numbers, received dict such as {}"),
    ],
    ids=["short", "matrix", "negative", "NaN", "infinite", "zeros", "text", "none", "dicts"],
)
def test_wrong_sample_weight(weight, message):
    with pytest.raises(ParameterError, match=message):
        classifier().fit(X, Y, weight)
    with pytest.raises(ParameterError, match=message):
        classifier().fit(X, Y, X_val=X, y_val=Y, sample_weight_val=weight)


def test_weights_that_leave_one_class_or_one_row():
    with pytest.raises(TargetError, match="received one class"):
        classifier().fit(X, Y, Y.astype(float))
    with pytest.raises(SchemaError, match="minimum of 2"):
        regressor().fit(X, X["a"], np.arange(ROWS) == 3)


def test_half_of_a_validation_set():
    for half in ({"X_val": X}, {"y_val": Y}):
        with pytest.raises(ParameterError, match="X_val and y_val belong together: give both or neither"):
            classifier().fit(X, Y, **half)


def test_weights_of_validation_rows_that_are_not_there():
    with pytest.raises(ParameterError, match="sample_weight_val.*X_val"):
        classifier().fit(X, Y, sample_weight_val=np.ones(ROWS))


def test_wrong_schema():
    with pytest.raises(SchemaError, match="declared columns that the table lacks: 'zip'; it has 'a', 'b', 'city'"):
        classifier().fit(X, Y, schema={"zip": "category"})
    with pytest.raises(SchemaError, match="column 'a': expected a kind among number, count, .* received 'numeric'"):
        classifier().fit(X, Y, schema={"a": "numeric"})
    with pytest.raises(SchemaError, match="'city'"):
        classifier().fit(X.drop(columns="city"), Y, schema=Schema.infer(X))


def test_a_column_that_has_another_role():
    table = X.assign(y=Y, weight=np.linspace(1, 2, ROWS))
    with pytest.raises(SchemaError, match=r"schema describes 'y', which y takes out .*; leave it out .*drop\(columns='y'\)\)"):
        classifier().fit(table, "y", schema=Schema.infer(table))
    with pytest.raises(SchemaError, match="schema describes 'weight', which sample_weight takes out"):
        classifier().fit(table, "y", "weight", schema={"weight": "number"})
    for fit in (classifier().fit, classifier().partial_fit):
        with pytest.raises(ParameterError, match="y and sample_weight expect two columns, received 'y' for both; name another"):
            fit(table, "y", sample_weight="y")
    classifier().fit(table, "y", "weight", schema=Schema.infer(table.drop(columns=["y", "weight"])))


def test_a_file_where_a_table_belongs(tmp_path):
    X.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TypeError, match=r"expected a table in memory, received Parquet\(.*read it with `.read\(\)`"):
        Schema.infer(Parquet(tmp_path / "t.parquet"))


@pytest.mark.parametrize("bagging", ["auto", 3])
def test_warm_start_after_folds(bagging):
    model = classifier(bagging=bagging).fit(X, Y)
    with pytest.raises(ParameterError, match="one model, received a last fit with one for each of [35] folds; .*bagging=1"):
        model.set_params(warm_start=True, bagging="auto").fit(X, Y)


def test_points_in_time_as_target():
    with pytest.raises(TargetError, match=r"expected numbers or durations in y, received points in time; subtract one"):
        regressor().fit(X, pd.date_range("2024-01-01", periods=ROWS))
    with pytest.raises(TargetError, match="received points in time"):
        regressor().fit(X.assign(when=pd.date_range("2024-01-01", periods=ROWS)), "when")


def test_a_failed_fit_leaves_an_old_model_usable(fitted):
    model = classifier().fit(X, Y)
    with pytest.raises(TargetError):
        model.fit(X, Y[:-1])
    np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
