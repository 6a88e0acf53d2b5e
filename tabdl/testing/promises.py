"""What every estimator of tables promises."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tabdl
from tabdl.errors import SchemaError
from tabdl.testing.cases import ROWS, Case


def require(holds: Any, promise: str) -> None:
    if not holds:
        raise AssertionError(promise)


def refuses(error: type[Exception], says: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except error as received:
        require(says in str(received), f"expected an error that names {says!r}, received: {received}")
    else:
        raise AssertionError(f"expected {error.__name__} that names {says!r}, received no error")


def same(first: np.ndarray, second: np.ndarray, promise: str) -> None:
    """To the bit."""
    np.testing.assert_array_equal(first, second, err_msg=promise)


def near(first: np.ndarray, second: np.ndarray, promise: str) -> None:
    """Up to the order of float32 sums."""
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5 * max(float(np.std(second)), 1e-3), err_msg=promise)


def saved_and_loaded(model: Any) -> Any:
    own = [type(model), *(value for value in model.get_params().values() if callable(value))]
    with tempfile.TemporaryDirectory() as folder:
        return tabdl.load(tabdl.save(model, Path(folder) / "model.tabdl"), classes=own)


# ---- promises of every estimator -------------------------------------------------------------------------------------


def check_parameters(case: Case) -> None:
    """`__init__` stores what it is given, and `clone` makes an equal, unfitted estimator."""
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    params = case.model.get_params()
    require(set(params) == set(case.cls.fields), "get_params should return every declared parameter")
    require(all(params[name] is value for name, value in case.params.items()), "parameters should be stored as given")
    copied: Any = clone(case.model)
    require(type(copied) is case.cls and copied.get_params() == params, "a clone should have the same parameters")
    require(copied.set_params(epochs=7).get_params()["epochs"] == 7, "set_params should set")
    refuses(TypeError, "no_such_parameter", lambda: case.cls(no_such_parameter=1))
    refuses(NotFittedError, case.cls.__name__, lambda: copied.predict(case.table))


def check_pickle(case: Case) -> None:
    """A pickled copy predicts the same to the bit."""
    copied = pickle.loads(pickle.dumps(case.model))
    same(case.outputs(copied), case.predicted, "a pickled copy should predict the same")
    require(copied.get_params() == case.model.get_params(), "a pickled copy should have the same parameters")


def check_artifact(case: Case) -> None:
    """What is saved and loaded predicts the same to the bit."""
    loaded = saved_and_loaded(case.model)
    require(type(loaded) is case.cls, "a loaded model should be of the saved class")
    same(case.outputs(loaded), case.predicted, "a loaded model should predict the same")
    same(loaded.predict(case.table), case.model.predict(case.table), "a loaded model should decide the same")


def check_repeatable(case: Case) -> None:
    """The same random_state gives the same model to the bit; another one gives another model."""
    again = case.new().fit(case.table, case.y)
    same(case.outputs(again), case.predicted, "the same random_state should give the same predictions")
    for name, weight in case.model.weights_.items():
        same(again.weights_[name], weight, f"the same random_state should give the same weights {name}")
    other = case.new(random_state=1).fit(case.table, case.y)
    require(np.any(case.outputs(other) != case.predicted), "another random_state should give another model")


def check_rows_alone(case: Case) -> None:
    """A row's prediction depends neither on the other rows nor on their order; one row is enough."""
    order = np.random.default_rng(0).permutation(ROWS)
    near(case.outputs(case.model, case.table.iloc[order]), case.predicted[order], "the order of rows should not matter")
    parts = [case.outputs(case.model, case.table.iloc[start : start + 50]) for start in range(0, ROWS, 50)]
    near(np.concatenate(parts), case.predicted, "rows should be predicted alike in pieces")
    for row in (0, 3, ROWS - 1):
        alone = case.outputs(case.model, case.table.iloc[[row]])
        near(alone, case.predicted[[row]], f"row {row} alone should be predicted as among others")


def check_strange_cells(case: Case) -> None:
    """Unseen categories and gaps in every column are predicted, all unseen categories alike."""
    first, second = (case.outputs(case.model, case.table.assign(city=name)) for name in ("Atlantis", "Utopia"))
    require(np.isfinite(first).all(), "an unseen category should be predicted")
    same(first, second, "all unseen categories should be predicted alike")
    gaps = case.table.assign(**dict.fromkeys(("number", "gappy", "city", "active", "since", "note")))
    require(np.isfinite(case.outputs(case.model, gaps)).all(), "gaps should be predicted")


def check_columns(case: Case) -> None:
    """Columns are found by name: reordered is fine, extra ones are ignored, a missing one is named."""
    reordered = case.table[case.table.columns[::-1]].assign(extra="surplus")
    same(case.outputs(case.model, reordered), case.predicted, "columns should be found by name")
    refuses(SchemaError, "gappy", lambda: case.model.predict(case.table.drop(columns="gappy")))
    require(list(case.model.feature_names_in_) == list(case.table.columns), "feature_names_in_ should list the columns")
    require(case.model.n_features_in_ == case.table.shape[1], "n_features_in_ should count the columns")


def check_weights(case: Case) -> None:
    """Heavier rows pull predictions towards them; rows of weight zero are as if absent."""
    high = case.signal > np.median(case.signal)
    up, down = (case.new().fit(case.table, case.y, np.where(side, 9.0, 1.0)) for side in (high, ~high))
    means = [(case.outputs(m)[:, 1] if case.classifier else case.outputs(m)).mean() for m in (up, down)]
    require(means[0] > means[1], f"heavier rows should pull predictions towards them, received means {means}")
    weight = (np.arange(ROWS) % 4 > 0).astype(float)
    without = case.new().fit(case.table[weight > 0], case.y[weight > 0])
    zeroed = case.new().fit(case.table, case.y, weight)
    same(case.outputs(zeroed), case.outputs(without), "rows of weight zero should be as if absent")


def check_model(case: Case) -> None:
    """`model_` is a Keras model, `summary()` prints it, `history_` and `plot_history` show the training."""
    import keras

    require(isinstance(case.model.model_, keras.Model), "model_ should be a keras.Model")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        case.model.summary()
    require("params" in shown.getvalue(), "summary() should print the layers")
    history = case.model.history_
    require({"epoch", "loss", "seconds"} <= set(history), f"history_ should hold epoch, loss, seconds; received {list(history)}")
    require(len({len(column) for column in history.values()}) == 1, "history_ should have one entry an epoch")
    require(any(key.startswith("val_") for key in history), "history_ should hold a validation score")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "curve.png"
        case.model.plot_history(picture)
        require(picture.stat().st_size > 1000, "plot_history should write a picture")
    require("Schema" in case.model._repr_html_(), "the HTML repr should show the schema")


def check_continued(case: Case) -> None:
    """`partial_fit` and `warm_start` go on from the weights that are there."""
    options = {"classes": np.unique(case.y)} if case.classifier else {}
    model = case.new().partial_fit(case.table[:60], case.y[:60], **options)
    losses = [model.history_["loss"][0]]
    first = case.outputs(model)
    for _ in range(9):
        losses.append(model.partial_fit(case.table, case.y).history_["loss"][0])
    require(losses[-1] < losses[0], f"partial_fit should learn, received losses {losses}")
    require(np.any(case.outputs(model) != first), "partial_fit should change the model")
    refuses(SchemaError, "gappy", lambda: model.partial_fit(case.table.drop(columns="gappy"), case.y))
    model = case.new(warm_start=True).fit(case.table, case.y)
    first = model.weights_
    model.set_params(learning_rate=1e-6).fit(case.table, case.y)
    cold = case.new(learning_rate=1e-6, random_state=1, warm_start=True).fit(case.table, case.y)
    moved = [k for k in first if "moving_" not in k]  # batch norm follows the rows at any rate
    near, far = (sum(np.abs(m.weights_[k] - first[k]).sum() for k in moved) for m in (model, cold))
    require(near < far / 2, f"warm_start should go on from the last weights, received distances {near} and {far} from them")


def check_members(case: Case) -> None:
    """Copies of the network, and folds of the rows with a copy each, fit, predict, save and load."""
    for copies in ({"members": 3}, {"bagging": 2}):
        model = case.new(**copies).fit(case.table, case.y)
        predicted = case.outputs(model)
        other = predicted.shape == case.predicted.shape and np.any(predicted != case.predicted)
        require(other, f"{copies} should give other predictions of the same shape")
        same(case.outputs(saved_and_loaded(model)), predicted, f"a model with {copies} should predict the same when loaded")
    apart = np.isfinite(model.out_of_fold_).all() and np.any(model.out_of_fold_ != predicted)
    require(apart, "out_of_fold_ should have a prediction for each row, by models that have not seen it")


def check_innocent(case: Case) -> None:
    """`fit` and `predict` leave the user's data, parameters and random state as they are."""
    table, y, weight = case.table.copy(), case.y.copy(), np.linspace(1, 2, ROWS)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the global state is what the check is about
    before = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    model = case.new()
    params = model.get_params()
    model.fit(table, y, weight)
    fitted = {name: id(value) for name, value in vars(model).items()}
    model.predict(table)
    after = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    require(after == before, "fit and predict should not touch the global random state")
    pd.testing.assert_frame_equal(table, case.table)
    same(y, case.y, "y should stay as it is")
    same(weight, np.linspace(1, 2, ROWS), "sample_weight should stay as it is")
    require(model.get_params() == params, "fit should not change parameters")
    require({name: id(value) for name, value in vars(model).items()} == fitted, "predict should not change the model")


# ---- promises of classifiers -----------------------------------------------------------------------------------------


def check_classes(case: Case) -> None:
    """Two classes of text: shapes, order of the classes, probabilities that sum to one."""
    require(case.model.classes_.tolist() == ["no", "yes"], "classes_ should be sorted")
    _probabilities(case.predicted, 2)
    decided = case.model.predict(case.table)
    same(decided, case.model.classes_[case.predicted.argmax(axis=1)], "predict should return the most probable class")
    require(0 <= case.model.score(case.table, case.y) <= 1, "score should be the accuracy")


def check_many_classes(case: Case) -> None:
    """Three classes of numbers, whose dtype stays."""
    y = np.digitize(case.signal, np.quantile(case.signal, [0.3, 0.6])) + 10
    model = case.new().fit(case.table, y)
    _probabilities(model.predict_proba(case.table), 3)
    require(model.predict(case.table).dtype == y.dtype, "predicted classes should have the dtype of y")
    require(model.classes_.tolist() == [10, 11, 12], "classes_ should be sorted")


def check_ordered_classes(case: Case) -> None:
    """loss='ordinal' follows the order of the categories."""
    order = ["low", "middle", "high"]
    codes = np.digitize(case.signal, np.quantile(case.signal, [0.3, 0.6]))
    y = pd.Series(pd.Categorical.from_codes(codes, order, ordered=True))
    model = case.new(loss="ordinal").fit(case.table, y)
    require(model.classes_.tolist() == order, f"classes_ should keep the order of the categories, received {model.classes_}")
    _probabilities(model.predict_proba(case.table), 3)


def check_labels(case: Case) -> None:
    """Several labels at once: a column each."""
    y = np.column_stack([case.signal > cut for cut in np.quantile(case.signal, [0.2, 0.5, 0.8])]).astype(int)
    model = case.new().fit(case.table, y)
    p, decided = model.predict_proba(case.table), model.predict(case.table)
    require(p.shape == decided.shape == y.shape, f"expected labels of shape {y.shape}, received {p.shape}, {decided.shape}")
    same(decided, (p > 0.5).astype(int), "a label should be on when its probability is above one half")


def _probabilities(p: np.ndarray, classes: int) -> None:
    require(p.shape == (ROWS, classes), f"expected probabilities of shape {(ROWS, classes)}, received {p.shape}")
    require(((p >= 0) & (p <= 1)).all(), "probabilities should lie between 0 and 1")
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


# ---- promises of regressors ------------------------------------------------------------------------------------------


def check_number(case: Case) -> None:
    """One number a row, in the units of y."""
    require(case.predicted.shape == (ROWS,), f"expected predictions of shape {(ROWS,)}, received {case.predicted.shape}")
    require(abs(case.predicted.mean() - case.y.mean()) < 2 * case.y.std(), "predictions should be in the units of y")
    require(np.isscalar(case.model.score(case.table, case.y)), "score should be a number")


def check_many_numbers(case: Case) -> None:
    """Several numbers a row."""
    y = np.column_stack([case.y, 1000 - case.y])
    predicted = case.new().fit(case.table, y).predict(case.table)
    require(predicted.shape == y.shape, f"expected predictions of shape {y.shape}, received {predicted.shape}")
    require((predicted[:, 1] > predicted[:, 0]).all(), "each output should be in its own units")


def check_quantiles(case: Case) -> None:
    """Quantiles never cross."""
    predicted = case.new(quantiles=(0.1, 0.5, 0.9)).fit(case.table, case.y).predict(case.table)
    require(predicted.shape == (ROWS, 3), f"expected quantiles of shape {(ROWS, 3)}, received {predicted.shape}")
    require((np.diff(predicted, axis=1) >= 0).all(), "quantiles should not cross")


def check_counts(case: Case) -> None:
    """loss='poisson' predicts counts that are never negative."""
    y = np.floor(np.exp(case.signal / 2 + 1))
    predicted = case.new(loss="poisson").fit(case.table, y).predict(case.table)
    require(predicted.shape == (ROWS,) and (predicted >= 0).all(), "expected counts should not be negative")


PROMISES = (
    check_parameters,
    check_pickle,
    check_artifact,
    check_repeatable,
    check_rows_alone,
    check_strange_cells,
    check_columns,
    check_weights,
    check_model,
    check_continued,
    check_members,
    check_innocent,
)
CLASSIFIER_PROMISES = (check_classes, check_many_classes, check_ordered_classes, check_labels)
REGRESSOR_PROMISES = (check_number, check_many_numbers, check_quantiles, check_counts)
