"""What an estimator learns and shows: rows held out, class weights, history, pictures, HTML, devices, warm starts."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import types
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pandas as pd
import pyarrow
import pytest
from sklearn.utils.class_weight import compute_class_weight

import tabdl
from tabdl import MLPClassifier, MLPRegressor, TabMClassifier
from tabdl.errors import SchemaError, TargetError
from tabdl.estimators.state import pack, unpack

RNG = np.random.default_rng(0)
ROWS = 150
X = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "city": RNG.choice(["Oslo", "Bergen", "Bodø"], ROWS)})
SIGNAL = X["a"] + 0.3 * X["b"]
Y = (SIGNAL > 0.8).astype(int).to_numpy()
FAST = {"units": (8,), "epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    return MLPClassifier(**FAST).fit(X, Y)


# ---- fit -----------------------------------------------------------------------------------------------------------


def test_nothing_of_the_users_is_changed():
    table, target, weight = X.copy(), pd.Series(Y.copy()), np.linspace(0, 2, ROWS)
    params = {"units": [8], "callbacks": [keras.callbacks.TerminateOnNaN()], "class_weight": {0: 1.0, 1: 3.0}}
    model = MLPClassifier(**FAST | params).fit(table, target, weight)
    model.predict_proba(table)
    pd.testing.assert_frame_equal(table, X)
    np.testing.assert_array_equal(target, Y)
    np.testing.assert_array_equal(weight, np.linspace(0, 2, ROWS))
    assert params["units"] == [8]
    assert all(model.get_params()[k] is v for k, v in params.items())


def test_balanced_class_weight_equals_scikit_learns_weights():
    weights = dict(zip((0, 1), compute_class_weight("balanced", classes=np.array([0, 1]), y=Y), strict=True))
    options = FAST | {"validation_fraction": 0}
    balanced, given, by_row, plain = (
        MLPClassifier(**options, class_weight=w).fit(X, Y, s).predict_proba(X)
        for w, s in (("balanced", None), (weights, None), (None, np.where(Y == 1, weights[1], weights[0])), (None, None))
    )
    np.testing.assert_allclose(balanced, given, rtol=1e-5)
    assert balanced[:, 1].mean() > plain[:, 1].mean() + 0.02
    assert by_row[:, 1].mean() > plain[:, 1].mean() + 0.02


def test_history_has_a_list_a_quantity_and_the_best_epoch_is_the_best():
    model = MLPClassifier(units=(8,), epochs=8, learning_rate=0.05, random_state=0, metric="auc").fit(X, Y)
    history = model.history_
    assert history.keys() == {"epoch", "loss", "learning_rate", "seconds", "val_auc"}
    assert history["epoch"] == list(range(1, 9))
    assert all(len(v) == 8 and all(isinstance(x, (int, float)) for x in v) for v in history.values())
    assert model.best_epoch_ == 1 + int(np.argmax(history["val_auc"]))
    assert min(history["seconds"]) > 0
    without = MLPClassifier(**FAST, validation_fraction=0).fit(X, Y)
    assert not any(k.startswith("val_") for k in without.history_)
    assert without.best_epoch_ == 2


def test_given_validation_rows_are_scored_and_leave_all_rows_to_training():
    from sklearn.metrics import log_loss

    half = np.arange(ROWS) < 100
    weight = np.random.default_rng(2).uniform(0.5, 2, 50)
    model = MLPClassifier(**FAST | {"epochs": 1}, calibrate=False)
    model.fit(X[half], Y[half], X_val=X[~half], y_val=Y[~half], sample_weight_val=weight)
    expected = log_loss(Y[~half], model.predict_proba(X[~half]), sample_weight=weight)
    assert model.history_["val_log_loss"] == [pytest.approx(expected, rel=1e-6)]


def test_plot_history_writes_a_picture(fitted, tmp_path):
    figure = fitted.plot_history(tmp_path / "curve.png")
    data = (tmp_path / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 5_000
    assert figure.axes[0].lines[0].get_ydata().tolist() == fitted.history_["loss"]
    assert "matplotlib.pyplot" not in str(type(figure.canvas.manager)), "no window is opened"


def test_plot_confusion_counts_what_is_taken_for_what(fitted):
    truth = np.where(np.arange(ROWS) < 3, 7, Y)
    panel = fitted.plot_confusion(X, truth).axes[0]
    expected = pd.crosstab(truth, fitted.predict(X)).reindex(index=[*fitted.classes_, 7], columns=fitted.classes_)
    counts = np.array([int(text.get_text()) for text in panel.texts]).reshape(len(expected), -1)
    np.testing.assert_array_equal(counts[:, :-1], expected.fillna(0))
    assert not counts[:, -1].any()
    named = fitted.plot_confusion(X.assign(bought=truth), "bought").axes[0]
    assert named.get_title(loc="left") == panel.get_title(loc="left")


def test_html_shows_schema_and_curve_only_when_fitted(fitted):
    html = fitted._repr_html_()
    curve = ET.fromstring(re.search(r"<svg.*?val_log_loss.*?</svg>", html, re.DOTALL).group())
    assert "val_log_loss" in curve.attrib["aria-label"]
    count = sum(w.size for w in fitted.weights_.values())
    assert f"{count:,} weights, 3 columns" in html
    for name in X.columns:
        assert name in html.split("<summary>Schema</summary>")[1]
    blank = MLPClassifier()._repr_html_()
    assert "Schema" not in blank
    assert "MLPClassifier" in blank


def test_html_escapes_what_the_table_holds():
    nasty = "<script>alert(1)</script>"
    table = X.assign(**{nasty: np.where(X["a"] > 0, "<img src=x>", "plain")})
    html = MLPClassifier(**FAST).fit(table, Y)._repr_html_()
    shown = html.split("<summary>Schema</summary>")[1]
    assert nasty not in html
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown


def test_summary_and_model_are_those_of_keras(fitted):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        fitted.summary()
    assert "Dense" in out.getvalue()
    assert isinstance(fitted.model_, keras.Model)
    logits = keras.ops.convert_to_numpy(fitted.model_(fitted.encoder_.encode(X), training=False))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0] / fitted.temperature_)), fitted.predict_proba(X)[:, 1], rtol=1e-5)
    for weight in fitted.model_.weights:
        weight.assign(weight * 0)
    assert np.ptp(fitted.predict_proba(X)) > 0.01, "model_ is a copy to look at"


def test_device_cpu_gives_the_same_model(fitted):
    model = MLPClassifier(**FAST, device="cpu").fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X), fitted.predict_proba(X), rtol=1e-6)


def test_warm_start_goes_on_and_without_it_starts_anew():
    options = FAST | {"epochs": 1, "validation_fraction": 0, "schedule": "constant", "warmup": 0.0, "dropout": 0.0}
    cold = MLPClassifier(**options)
    first = cold.fit(X, Y).history_["loss"][0]
    assert cold.fit(X, Y).history_["loss"][0] == first
    warm = MLPClassifier(**options, warm_start=True)
    losses = [warm.fit(X, Y).history_["loss"][0] for _ in range(6)]
    assert losses[0] == first
    assert losses[-1] < 0.97 * first
    assert warm.encoder_ is not None


def test_partial_fit_learns_chunk_by_chunk():
    model = MLPClassifier(units=(8,), learning_rate=0.02, random_state=0)
    first = MLPClassifier(units=(8,), learning_rate=0.02, random_state=0)
    negatives = np.flatnonzero(Y == 0)[:40]
    model.partial_fit(X.iloc[negatives], Y[negatives], classes=[0, 1])
    assert model.classes_.tolist() == [0, 1]
    encoder = model.encoder_
    for _ in range(15):
        model.partial_fit(X, Y)
    first.partial_fit(X, Y)
    assert model.encoder_ is encoder, "the scales of the first rows stay"
    assert model.score(X, Y) >= first.score(X, Y)
    assert model.score(X, Y) > 0.85
    with pytest.raises(tabdl.errors.TargetError, match="received one class: 0; add rows of another class"):
        MLPClassifier().partial_fit(X.iloc[negatives], Y[negatives])
    with pytest.raises(tabdl.errors.TargetError, match="received 2"):
        model.partial_fit(X, Y + 1)


@pytest.mark.parametrize(
    "y, classes",
    [
        (np.where(Y, "yes", "no"), ["no", "yes"]),
        (Y.astype(bool), [False, True]),
        (pd.Series(np.digitize(SIGNAL, [-0.5, 0.5]) * 10, dtype="Int64"), [0, 10, 20]),
        (pd.Series(np.where(Y, "yes", "no"), dtype="category"), ["no", "yes"]),
        (Y[:, None].astype(float), [0.0, 1.0]),
    ],
    ids=["text", "bool", "Int64", "category", "column of floats"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_classes_keep_their_kind(y, classes):
    model = MLPClassifier(**FAST).fit(X, y)
    assert model.classes_.tolist() == classes
    proba = model.predict_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[proba.argmax(1)])
    state, arrays = pack(model)
    again = unpack(MLPClassifier, state, arrays)
    assert again.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(again.predict_proba(X), proba)


def test_labels_counts_several_outputs_and_ordered_classes():
    labels = np.column_stack([Y, X["b"] > 0]).astype(int)
    model = MLPClassifier(**FAST).fit(X, labels)
    assert model.predict_proba(X).shape == (ROWS, 2)
    assert set(np.unique(model.predict(X))) <= {0, 1}
    counts = MLPRegressor(**FAST, loss="poisson").fit(X, np.random.default_rng(0).poisson(3, ROWS))
    assert (counts.predict(X) > 0).all()
    pair = MLPRegressor(**FAST).fit(X, np.column_stack([SIGNAL, 1000 * SIGNAL]))
    assert pair.predict(X).shape == (ROWS, 2)
    assert MLPRegressor(**FAST).fit(X, SIGNAL.to_numpy()[:, None]).predict(X).shape == (ROWS, 1)
    sizes = pd.Series(pd.cut(SIGNAL, [-9, -0.5, 0.5, 9], labels=["S", "M", "L"]))
    ordinal = MLPClassifier(**FAST, loss="ordinal").fit(X, sizes)
    assert ordinal.classes_.tolist() == ["S", "M", "L"]
    np.testing.assert_allclose(ordinal.predict_proba(X).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("cls", [MLPRegressor, tabdl.TabMRegressor], ids=lambda c: c.__name__)
def test_quantiles_never_cross_also_far_from_the_training_rows(cls):
    levels = tuple(np.linspace(0.05, 0.95, 7))
    model = cls(epochs=3, learning_rate=0.1, schedule="cosine", random_state=0, quantiles=levels).fit(X, SIGNAL)
    far = X.assign(a=X["a"] * 1e4, b=-X["b"] * 1e4)
    for table in (X, far):
        predicted = model.predict(table)
        assert predicted.shape == (ROWS, 7)
        assert (np.diff(predicted, axis=1) >= 0).all()
    share = (SIGNAL.to_numpy()[:, None] <= model.predict(X)).mean(0)
    assert (np.diff(share) >= 0).all()
    assert share[-1] - share[0] > 0.4


def test_declared_kinds_and_a_whole_schema_are_used():
    table = X.assign(code=np.arange(ROWS) % 4)
    assert MLPClassifier(**FAST).fit(table, Y).schema_["code"].kind != "category"
    declared = MLPClassifier(**FAST).fit(table, Y, schema={"code": "category"})
    assert declared.schema_["code"].kind == "category"
    whole = tabdl.Schema.infer(table, kinds={"code": "category"})
    np.testing.assert_array_equal(
        MLPClassifier(**FAST).fit(table, Y, schema=whole).predict_proba(table), declared.predict_proba(table)
    )
    assert MLPClassifier(**FAST).fit(table, Y, schema=whole).schema_ is whole


def test_weights_equal_repetition_with_given_validation_rows():
    weight = np.random.default_rng(3).integers(0, 4, ROWS)
    again = np.repeat(np.arange(ROWS), weight)
    options = {"epochs": 15, "batch_size": "full", "dropout": 0.0, "random_state": 0, "width": 16, "bins": 6, "members": 2}
    shared = {"X_val": X[:50], "y_val": Y[:50]}
    weighted = TabMClassifier(**options).fit(X, Y, weight, **shared).predict_proba(X)
    repeated = TabMClassifier(**options).fit(X.iloc[again], Y[again], **shared).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-4 * repeated.std())
    assert np.abs(weighted - TabMClassifier(**options).fit(X, Y, **shared).predict_proba(X)).max() > 1e-2


def test_row_order_of_predictions_and_chunks_changes_nothing(fitted):
    expected, order = fitted.predict_proba(X), np.random.default_rng(4).permutation(ROWS)
    np.testing.assert_allclose(fitted.predict_proba(X.iloc[order]), expected[order], rtol=1e-5)
    np.testing.assert_allclose(np.vstack([fitted.predict_proba(X[i : i + 7]) for i in range(0, ROWS, 7)]), expected, rtol=1e-5)


NOTEBOOK = '''
import keras
import tabdl
from tabdl import layers, param


class Wide(tabdl.TableNetwork):
    """One wide layer."""

    width: int = param(16, "units", low=1, high=64)

    def forward(self, inputs):
        x = layers.blocks.join(inputs.numbers, inputs.flags, layers.categories.embed(inputs))
        return layers.blocks.dense_block(x, self.width)


class WideClassifier(tabdl.Classifier, Wide):
    """Wide for classes."""


def features(inputs):
    x = keras.layers.Dense(12, activation="relu")(inputs.numbers)
    return keras.layers.Dropout(0.2)(x)
'''


def test_networks_of_ones_own_from_a_notebook(tmp_path):
    import pickle

    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    main = sys.modules["__main__"]
    before = dict(vars(main))
    try:
        exec(compile(NOTEBOOK, "<cell>", "exec"), vars(main))
        for model in (
            main.WideClassifier(epochs=1, random_state=0),
            tabdl.KerasClassifier(forward=main.features, epochs=1, random_state=0),
        ):
            model = clone(model).fit(X, Y)
            expected = model.predict_proba(X)
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
            tabdl.save(model, tmp_path / "mine.tabdl")
            loaded = tabdl.load(tmp_path / "mine.tabdl", classes=[main.WideClassifier, main.features])
            np.testing.assert_array_equal(loaded.predict_proba(X), expected)
        search = GridSearchCV(main.WideClassifier(epochs=1, random_state=0), {"width": [4, 8]}, cv=2).fit(X, Y)
        assert search.best_estimator_.model_.layers[-1].kernel.shape == (search.best_params_["width"], 1)
    finally:
        for name in set(vars(main)) - set(before):
            delattr(main, name)
    assert isinstance(main, types.ModuleType)


# ---- targets by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_score_takes_names_of_columns_as_fit_does(kind, tmp_path):
    table = X.assign(y=Y, weight=np.linspace(0, 1, ROWS))
    table.to_parquet(tmp_path / "t.parquet")
    model = kind(**FAST).fit(table, "y", "weight")
    expected = model.score(X, Y, table["weight"])
    for own in (table, pyarrow.Table.from_pandas(table), tabdl.Parquet(tmp_path / "t.parquet")):
        assert model.score(own, "y", "weight") == expected
        assert model.score(own, "y") == model.score(X, Y)
        with pytest.raises(SchemaError, match="y='yy' expects a column of X, .* name one such as 'y'"):
            model.score(own, "yy")


def test_durations_are_seconds_however_they_come():
    seconds = 90 * SIGNAL
    durations = pd.Series(pd.to_timedelta(seconds, unit="s"))
    expected = MLPRegressor(**FAST).fit(X, durations.dt.total_seconds())
    for fit in (
        lambda model: model.fit(X, durations),
        lambda model: model.fit(X, durations.to_numpy().astype("timedelta64[ms]")),
        lambda model: model.fit(X.assign(y=durations), "y"),
        lambda model: model.fit(X, list(durations.array.to_pytimedelta())),
    ):
        model = fit(MLPRegressor(**FAST))
        np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-3, atol=1e-2)
        assert model.score(X, durations) == pytest.approx(expected.score(X, seconds), abs=1e-4)
    with pytest.raises(TargetError, match="NaN"):
        MLPRegressor(**FAST).fit(X, durations.where(durations.index > 0))
