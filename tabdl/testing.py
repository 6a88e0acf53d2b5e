"""The promises of every estimator, as checks that you run on your own network too.

    @pytest.mark.parametrize("check", tabdl.testing.checks(MineClassifier), ids=str)
    def test_mine(check):
        check()

`tabdl.testing.check_network(MineClassifier, width=32)` runs all of them; the first broken promise is an AssertionError.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tabdl
from tabdl.errors import SchemaError
from tabdl.estimators.base import Estimator
from tabdl.estimators.supervised import Classifier

ROWS = 120
CITIES = ("Oslo", "Bergen", "Tromsø", "Bodø")


def mixed_table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A raw table: numbers, counts, categories, ordered ones, booleans, dates, free text, with gaps."""
    rng = np.random.default_rng(seed)
    words = ("red", "green", "blue", "warm", "cold", "fast", "slow", "round", "square", "heavy", "light", "old", "new", "dark")
    plans = pd.Categorical(rng.choice(["basic", "plus", "pro"], rows), ["basic", "plus", "pro"], ordered=True)
    table = pd.DataFrame(
        {
            "number": rng.normal(size=rows),
            "gappy": np.where(rng.uniform(size=rows) < 0.2, np.nan, rng.normal(50, 9, rows)),
            "visits": np.floor(rng.lognormal(2, 2.5, rows)).astype(np.int64),
            "city": pd.Series(rng.choice(np.array([*CITIES, None]), rows), dtype=object),
            "plan": plans,
            "active": rng.uniform(size=rows) < 0.5,
            "since": pd.Timestamp("2021-03-01 07:30") + pd.to_timedelta(rng.integers(0, 600_000, rows), unit="min"),
            "note": [" ".join(rng.choice(words, 5)) for _ in range(rows)],
        }
    )
    table.loc[3, "since"] = pd.NaT
    return table


class Case:
    """One estimator class with the table, the target and the fitted model that its checks share."""

    def __init__(self, estimator_class: type[Estimator], params: dict[str, Any]):
        self.cls: Any = estimator_class
        self.params = {"epochs": 2, "random_state": 0, "bagging": 1} | params
        self.classifier = issubclass(estimator_class, Classifier)
        self.table = mixed_table()
        rng = np.random.default_rng(1)
        self.signal = 2 * self.table["number"].to_numpy() + self.table["active"].to_numpy() + 0.3 * rng.normal(size=ROWS)
        self.y = np.where(self.signal > np.median(self.signal), "yes", "no") if self.classifier else 40 + 10 * self.signal

    def new(self, **params: Any) -> Any:
        return self.cls(**self.params | params)

    @cached_property
    def model(self) -> Any:
        """Fitted once; no check may change it."""
        return self.new().fit(self.table, self.y)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.outputs(self.model)

    def outputs(self, model: Any, X: Any = None) -> np.ndarray:
        """Probabilities or numbers."""
        X = self.table if X is None else X
        return model.predict_proba(X) if self.classifier else model.predict(X)


@dataclass(frozen=True)
class Check:
    """One promise about one estimator class: call it."""

    promise: Callable[[Case], None]
    case: Case

    def __call__(self) -> None:
        self.promise(self.case)

    def __str__(self) -> str:
        return f"{self.case.cls.__name__}-{self.promise.__name__.removeprefix('check_')}"


def checks(estimator_class: type[Estimator], **params: Any) -> Iterator[Check]:
    """The checks that apply to an estimator class, made with `params` (2 epochs, random_state 0 and no folds unless given)."""
    case = Case(estimator_class, params)
    for promise in (*PROMISES, *(CLASSIFIER_PROMISES if case.classifier else REGRESSOR_PROMISES)):
        yield Check(promise, case)


def check_network(estimator_class: type[Estimator], **params: Any) -> None:
    """Run all checks on an estimator class.

    Raises
    ------
    AssertionError
        At the first promise that does not hold, naming it.
    """
    for check in checks(estimator_class, **params):
        try:
            check()
        except Exception as cause:
            raise AssertionError(f"{check}: {cause}") from cause


def _require(holds: Any, promise: str) -> None:
    if not holds:
        raise AssertionError(promise)


def _refuses(error: type[Exception], says: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except error as received:
        _require(says in str(received), f"expected an error that names {says!r}, received: {received}")
    else:
        raise AssertionError(f"expected {error.__name__} that names {says!r}, received no error")


def _same(first: np.ndarray, second: np.ndarray, promise: str) -> None:
    """To the bit."""
    np.testing.assert_array_equal(first, second, err_msg=promise)


def _near(first: np.ndarray, second: np.ndarray, promise: str) -> None:
    """Up to the order of float32 sums."""
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5 * max(float(np.std(second)), 1e-3), err_msg=promise)


def _saved_and_loaded(model: Any) -> Any:
    own = [type(model), *(value for value in model.get_params().values() if callable(value))]
    with tempfile.TemporaryDirectory() as folder:
        return tabdl.load(tabdl.save(model, Path(folder) / "model.tabdl"), classes=own)


# ---- promises of every estimator -------------------------------------------------------------------------------------


def check_parameters(case: Case) -> None:
    """`__init__` stores what it is given, and `clone` makes an equal, unfitted estimator."""
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    params = case.model.get_params()
    _require(set(params) == set(case.cls.fields), "get_params should return every declared parameter")
    _require(all(params[name] is value for name, value in case.params.items()), "parameters should be stored as given")
    copied: Any = clone(case.model)
    _require(type(copied) is case.cls and copied.get_params() == params, "a clone should have the same parameters")
    _require(copied.set_params(epochs=7).get_params()["epochs"] == 7, "set_params should set")
    _refuses(TypeError, "no_such_parameter", lambda: case.cls(no_such_parameter=1))
    _refuses(NotFittedError, case.cls.__name__, lambda: copied.predict(case.table))


def check_pickle(case: Case) -> None:
    """A pickled copy predicts the same to the bit."""
    copied = pickle.loads(pickle.dumps(case.model))
    _same(case.outputs(copied), case.predicted, "a pickled copy should predict the same")
    _require(copied.get_params() == case.model.get_params(), "a pickled copy should have the same parameters")


def check_artifact(case: Case) -> None:
    """What is saved and loaded predicts the same to the bit."""
    loaded = _saved_and_loaded(case.model)
    _require(type(loaded) is case.cls, "a loaded model should be of the saved class")
    _same(case.outputs(loaded), case.predicted, "a loaded model should predict the same")
    _same(loaded.predict(case.table), case.model.predict(case.table), "a loaded model should decide the same")


def check_repeatable(case: Case) -> None:
    """The same random_state gives the same model to the bit; another one gives another model."""
    again = case.new().fit(case.table, case.y)
    _same(case.outputs(again), case.predicted, "the same random_state should give the same predictions")
    for name, weight in case.model.weights_.items():
        _same(again.weights_[name], weight, f"the same random_state should give the same weights {name}")
    other = case.new(random_state=1).fit(case.table, case.y)
    _require(np.any(case.outputs(other) != case.predicted), "another random_state should give another model")


def check_rows_alone(case: Case) -> None:
    """A row's prediction depends neither on the other rows nor on their order; one row is enough."""
    order = np.random.default_rng(0).permutation(ROWS)
    _near(case.outputs(case.model, case.table.iloc[order]), case.predicted[order], "the order of rows should not matter")
    parts = [case.outputs(case.model, case.table.iloc[start : start + 50]) for start in range(0, ROWS, 50)]
    _near(np.concatenate(parts), case.predicted, "rows should be predicted alike in pieces")
    for row in (0, 3, ROWS - 1):
        alone = case.outputs(case.model, case.table.iloc[[row]])
        _near(alone, case.predicted[[row]], f"row {row} alone should be predicted as among others")


def check_strange_cells(case: Case) -> None:
    """Unseen categories and gaps in every column are predicted, all unseen categories alike."""
    first, second = (case.outputs(case.model, case.table.assign(city=name)) for name in ("Atlantis", "Utopia"))
    _require(np.isfinite(first).all(), "an unseen category should be predicted")
    _same(first, second, "all unseen categories should be predicted alike")
    gaps = case.table.assign(**dict.fromkeys(("number", "gappy", "city", "active", "since", "note")))
    _require(np.isfinite(case.outputs(case.model, gaps)).all(), "gaps should be predicted")


def check_columns(case: Case) -> None:
    """Columns are found by name: reordered is fine, extra ones are ignored, a missing one is named."""
    reordered = case.table[case.table.columns[::-1]].assign(extra="surplus")
    _same(case.outputs(case.model, reordered), case.predicted, "columns should be found by name")
    _refuses(SchemaError, "gappy", lambda: case.model.predict(case.table.drop(columns="gappy")))
    _require(list(case.model.feature_names_in_) == list(case.table.columns), "feature_names_in_ should list the columns")
    _require(case.model.n_features_in_ == case.table.shape[1], "n_features_in_ should count the columns")


def check_weights(case: Case) -> None:
    """Heavier rows pull predictions towards them; rows of weight zero are as if absent."""
    high = case.signal > np.median(case.signal)
    up, down = (case.new().fit(case.table, case.y, np.where(side, 9.0, 1.0)) for side in (high, ~high))
    means = [(case.outputs(m)[:, 1] if case.classifier else case.outputs(m)).mean() for m in (up, down)]
    _require(means[0] > means[1], f"heavier rows should pull predictions towards them, received means {means}")
    weight = (np.arange(ROWS) % 4 > 0).astype(float)
    without = case.new().fit(case.table[weight > 0], case.y[weight > 0])
    zeroed = case.new().fit(case.table, case.y, weight)
    _same(case.outputs(zeroed), case.outputs(without), "rows of weight zero should be as if absent")


def check_model(case: Case) -> None:
    """`model_` is a Keras model, `summary()` prints it, `history_` and `plot_history` show the training."""
    import keras

    _require(isinstance(case.model.model_, keras.Model), "model_ should be a keras.Model")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        case.model.summary()
    _require("params" in shown.getvalue(), "summary() should print the layers")
    history = case.model.history_
    _require({"epoch", "loss", "seconds"} <= set(history), f"history_ should hold epoch, loss, seconds; received {list(history)}")
    _require(len({len(column) for column in history.values()}) == 1, "history_ should have one entry an epoch")
    _require(any(key.startswith("val_") for key in history), "history_ should hold a validation score")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "curve.png"
        case.model.plot_history(picture)
        _require(picture.stat().st_size > 1000, "plot_history should write a picture")
    _require("Schema" in case.model._repr_html_(), "the HTML repr should show the schema")


def check_continued(case: Case) -> None:
    """`partial_fit` and `warm_start` go on from the weights that are there."""
    options = {"classes": np.unique(case.y)} if case.classifier else {}
    model = case.new().partial_fit(case.table[:60], case.y[:60], **options)
    losses = [model.history_["loss"][0]]
    first = case.outputs(model)
    for _ in range(9):
        losses.append(model.partial_fit(case.table, case.y).history_["loss"][0])
    _require(losses[-1] < losses[0], f"partial_fit should learn, received losses {losses}")
    _require(np.any(case.outputs(model) != first), "partial_fit should change the model")
    _refuses(SchemaError, "gappy", lambda: model.partial_fit(case.table.drop(columns="gappy"), case.y))
    model = case.new(warm_start=True).fit(case.table, case.y)
    first = model.weights_
    model.set_params(learning_rate=1e-6).fit(case.table, case.y)
    cold = case.new(learning_rate=1e-6, random_state=1, warm_start=True).fit(case.table, case.y)
    near, far = (sum(np.abs(m.weights_[k] - first[k]).sum() for k in first) for m in (model, cold))
    _require(near < far / 2, f"warm_start should go on from the last weights, received distances {near} and {far} from them")


def check_members(case: Case) -> None:
    """Copies of the network, and folds of the rows with a copy each, fit, predict, save and load."""
    for copies in ({"members": 3}, {"bagging": 2}):
        model = case.new(**copies).fit(case.table, case.y)
        predicted = case.outputs(model)
        other = predicted.shape == case.predicted.shape and np.any(predicted != case.predicted)
        _require(other, f"{copies} should give other predictions of the same shape")
        _same(case.outputs(_saved_and_loaded(model)), predicted, f"a model with {copies} should predict the same when loaded")
    apart = np.isfinite(model.out_of_fold_).all() and np.any(model.out_of_fold_ != predicted)
    _require(apart, "out_of_fold_ should have a prediction for each row, by models that have not seen it")


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
    _require(after == before, "fit and predict should not touch the global random state")
    pd.testing.assert_frame_equal(table, case.table)
    _same(y, case.y, "y should stay as it is")
    _same(weight, np.linspace(1, 2, ROWS), "sample_weight should stay as it is")
    _require(model.get_params() == params, "fit should not change parameters")
    _require({name: id(value) for name, value in vars(model).items()} == fitted, "predict should not change the model")


# ---- promises of classifiers -----------------------------------------------------------------------------------------


def check_classes(case: Case) -> None:
    """Two classes of text: shapes, order of the classes, probabilities that sum to one."""
    _require(case.model.classes_.tolist() == ["no", "yes"], "classes_ should be sorted")
    _probabilities(case.predicted, 2)
    decided = case.model.predict(case.table)
    _same(decided, case.model.classes_[case.predicted.argmax(axis=1)], "predict should return the most probable class")
    _require(0 <= case.model.score(case.table, case.y) <= 1, "score should be the accuracy")


def check_many_classes(case: Case) -> None:
    """Three classes of numbers, whose dtype stays."""
    y = np.digitize(case.signal, np.quantile(case.signal, [0.3, 0.6])) + 10
    model = case.new().fit(case.table, y)
    _probabilities(model.predict_proba(case.table), 3)
    _require(model.predict(case.table).dtype == y.dtype, "predicted classes should have the dtype of y")
    _require(model.classes_.tolist() == [10, 11, 12], "classes_ should be sorted")


def check_ordered_classes(case: Case) -> None:
    """loss='ordinal' follows the order of the categories."""
    order = ["low", "middle", "high"]
    codes = np.digitize(case.signal, np.quantile(case.signal, [0.3, 0.6]))
    y = pd.Series(pd.Categorical.from_codes(codes, order, ordered=True))
    model = case.new(loss="ordinal").fit(case.table, y)
    _require(model.classes_.tolist() == order, f"classes_ should keep the order of the categories, received {model.classes_}")
    _probabilities(model.predict_proba(case.table), 3)


def check_labels(case: Case) -> None:
    """Several labels at once: a column each."""
    y = np.column_stack([case.signal > cut for cut in np.quantile(case.signal, [0.2, 0.5, 0.8])]).astype(int)
    model = case.new().fit(case.table, y)
    p, decided = model.predict_proba(case.table), model.predict(case.table)
    _require(p.shape == decided.shape == y.shape, f"expected labels of shape {y.shape}, received {p.shape}, {decided.shape}")
    _same(decided, (p > 0.5).astype(int), "a label should be on when its probability is above one half")


def _probabilities(p: np.ndarray, classes: int) -> None:
    _require(p.shape == (ROWS, classes), f"expected probabilities of shape {(ROWS, classes)}, received {p.shape}")
    _require(((p >= 0) & (p <= 1)).all(), "probabilities should lie between 0 and 1")
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


# ---- promises of regressors ------------------------------------------------------------------------------------------


def check_number(case: Case) -> None:
    """One number a row, in the units of y."""
    _require(case.predicted.shape == (ROWS,), f"expected predictions of shape {(ROWS,)}, received {case.predicted.shape}")
    _require(abs(case.predicted.mean() - case.y.mean()) < 2 * case.y.std(), "predictions should be in the units of y")
    _require(np.isscalar(case.model.score(case.table, case.y)), "score should be a number")


def check_many_numbers(case: Case) -> None:
    """Several numbers a row."""
    y = np.column_stack([case.y, 1000 - case.y])
    predicted = case.new().fit(case.table, y).predict(case.table)
    _require(predicted.shape == y.shape, f"expected predictions of shape {y.shape}, received {predicted.shape}")
    _require((predicted[:, 1] > predicted[:, 0]).all(), "each output should be in its own units")


def check_quantiles(case: Case) -> None:
    """Quantiles never cross."""
    predicted = case.new(quantiles=(0.1, 0.5, 0.9)).fit(case.table, case.y).predict(case.table)
    _require(predicted.shape == (ROWS, 3), f"expected quantiles of shape {(ROWS, 3)}, received {predicted.shape}")
    _require((np.diff(predicted, axis=1) >= 0).all(), "quantiles should not cross")


def check_counts(case: Case) -> None:
    """loss='poisson' predicts counts that are never negative."""
    y = np.floor(np.exp(case.signal / 2 + 1))
    predicted = case.new(loss="poisson").fit(case.table, y).predict(case.table)
    _require(predicted.shape == (ROWS,) and (predicted >= 0).all(), "expected counts should not be negative")


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
