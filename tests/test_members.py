"""Copies of a network side by side, `members=`, folds of `bagging=` or both: predictions, out of fold, going on, keeping."""

from __future__ import annotations

import pickle
import time
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import tabdl
from tabdl.encoding.table import TableEncoder
from tabdl.estimators.rows import derive, make_folds
from tabdl.testing import mixed_table

ROWS = 120
TABLE = mixed_table(ROWS)
SIGNAL = 2 * TABLE["number"].to_numpy() + np.random.default_rng(1).normal(size=ROWS)
CLASSES = np.where(SIGNAL > 0, "yes", "no")
SMALL: dict[str, Any] = {"units": (8,), "dropout": 0.2, "epochs": 5, "random_state": 0}
KINDS = {"members": {"members": 3}, "bagging": {"bagging": 3}, "both": {"members": 2, "bagging": 2}}
each_kind = pytest.mark.parametrize("kind", KINDS)


def classifier(**params: Any) -> Any:
    return tabdl.MLPClassifier(**SMALL | params)


def regressor(**params: Any) -> Any:
    return tabdl.MLPRegressor(**SMALL | params)


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {kind: classifier(**params).fit(TABLE, CLASSES) for kind, params in KINDS.items()}


def by_copy(model: Any, X: pd.DataFrame = TABLE) -> np.ndarray:
    """Probability of "yes" as each Keras model says it, (copies, rows)."""
    each = len(model.models_) // len(model.encoders_)
    logits = [m(model.encoders_[i // each].encode(X)) for i, m in enumerate(model.models_)]
    return np.array([1 / (1 + np.exp(-keras.ops.convert_to_numpy(v)[:, 0].astype(np.float64))) for v in logits])


def folds_of(model: Any, y: np.ndarray = CLASSES) -> list[tuple[np.ndarray, np.ndarray]]:
    return make_folds(y, model.bagging, model.random_state, stratify=y.dtype.kind != "f")


# ---- what is predicted -------------------------------------------------------------------------------------------------


@each_kind
def test_predictions_are_the_mean_of_the_single_models(kind, fitted):
    model = fitted[kind]
    alone = by_copy(model)
    assert alone.shape == (3 if kind != "both" else 4, ROWS)
    assert len(np.unique(alone.round(6), axis=0)) == len(alone), "no two copies are alike"
    np.testing.assert_allclose(model.predict_proba(TABLE)[:, 1], alone.mean(axis=0), rtol=1e-5)
    assert model.model_ is model.models_[0]
    one_row = model.predict_proba(TABLE[:1])
    np.testing.assert_allclose(one_row, model.predict_proba(TABLE)[:1], rtol=1e-5)


@each_kind
def test_refits_are_equal_to_the_bit(kind, fitted):
    again = classifier(**KINDS[kind]).fit(TABLE, CLASSES)
    np.testing.assert_array_equal(again.predict_proba(TABLE), fitted[kind].predict_proba(TABLE))
    np.testing.assert_array_equal(again.fit(TABLE, CLASSES).predict_proba(TABLE), fitted[kind].predict_proba(TABLE))
    other = clone(again).set_params(random_state=1).fit(TABLE, CLASSES)
    assert (other.predict_proba(TABLE) != again.predict_proba(TABLE)).any()


def spy_on_training(monkeypatch):
    """Trainings that have run, and what each step was shown."""
    from tabdl.training import fitting, train

    runs, orders = [], []
    inner, order = fitting.train, train.Training.order
    monkeypatch.setattr(fitting, "train", lambda *a, **k: runs.append(inner(*a, **k)) or runs[-1])
    monkeypatch.setattr(train.Training, "order", lambda self: orders.append(order(self)) or orders[-1])
    return runs, orders


@pytest.mark.parametrize("kind", ["members", "bagging"])
def test_each_copy_has_its_own_order_and_best_epoch(kind, monkeypatch):
    runs, orders = spy_on_training(monkeypatch)
    noise = np.random.default_rng(3).integers(0, 2, ROWS)
    model = classifier(**KINDS[kind], epochs=25, learning_rate=0.01, schedule="constant").fit(TABLE, noise)
    (run,) = runs
    assert len(set(run.best_epoch)) > 1, "on random labels the copies have their best epoch at different times"
    assert model.best_epoch_ == round(np.mean(run.best_epoch))
    rows, keep = orders[0]
    assert rows.shape[2] == 3
    assert (rows[:, :, 0] != rows[:, :, 1]).any()
    if kind == "bagging":
        for c, (learned, _) in enumerate(folds_of(model, noise)):
            np.testing.assert_array_equal(np.sort(rows[:, :, c][keep[:, :, c] > 0]), learned)


def test_each_copy_is_as_it_was_at_its_own_best_epoch(monkeypatch):
    """Copies that stop at one epoch too many are caught: a fit of just that many epochs ends in the same weights."""
    runs, _ = spy_on_training(monkeypatch)
    noise = np.random.default_rng(3).integers(0, 2, ROWS)
    options = {"members": 3, "learning_rate": 0.01, "schedule": "constant", "warmup": 0}
    model = classifier(**options, epochs=25).fit(TABLE, noise)
    for c, best in enumerate(runs[0].best_epoch):
        short = classifier(**options, epochs=best).fit(TABLE, noise)
        assert runs[-1].best_epoch[c] == best
        for name, weight in model.weights_.items():
            np.testing.assert_array_equal(weight[c], short.weights_[name][c], err_msg=f"copy {c}: {name}")


def test_patience_waits_for_the_last_copy(monkeypatch):
    runs, _ = spy_on_training(monkeypatch)
    noise = np.random.default_rng(3).integers(0, 2, ROWS)
    model = classifier(members=3, epochs=200, learning_rate=0.01, schedule="constant", patience=6).fit(TABLE, noise)
    assert len(model.history_["epoch"]) == max(runs[0].best_epoch) + 6 < 200


@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_copy_equals_a_single_fit_with_its_seed_and_rows(norm):
    """To float tolerance: dropout, batch statistics, order, decay and clipping are each copy's own."""
    held = {"X_val": TABLE[80:], "y_val": SIGNAL[80:]}
    options = {"norm": norm, "dropout": 0.3, "epochs": 4, "clip_norm": 0.5, "weight_decay": 0.1}
    model = regressor(members=3, **options).fit(TABLE[:80], SIGNAL[:80], **held)
    for c in range(3):
        single = regressor(**options | {"random_state": derive(0, f"copy {c}")}).fit(TABLE[:80], SIGNAL[:80], **held)
        for name, weight in single.weights_.items():
            np.testing.assert_allclose(model.weights_[name][c], weight, rtol=1e-4, atol=1e-5, err_msg=f"copy {c}: {name}")


def test_a_fold_equals_a_single_fit_on_its_rows():
    """Same seed, same rows, the other fold to validate, and an encoder that has seen these rows alone."""
    X = TABLE[["number", "visits", "city", "active"]]
    model = classifier(bagging=2, epochs=8).fit(X, CLASSES)
    for f, (index, rest) in enumerate(folds_of(model)):
        single = classifier(epochs=8, random_state=derive(0, f"copy {f}"))
        single.fit(X.iloc[index], CLASSES[index], X_val=X.iloc[rest], y_val=CLASSES[rest], schema=model.schema_)
        for name, array in single.encoder_.state()[1].items():
            np.testing.assert_array_equal(model.encoders_[f].state()[1][name], array, err_msg=name)
        for name, weight in single.weights_.items():
            np.testing.assert_allclose(model.weights_[name][f], weight, rtol=1e-4, atol=1e-5, err_msg=f"fold {f}: {name}")
        np.testing.assert_allclose(model.out_of_fold_[rest], single.predict_proba(X.iloc[rest]), rtol=1e-4)


def test_members_are_better_than_one():
    X, y = tabdl.datasets.make_conversion(1_200, random_state=0)
    losses = {}
    for members in (1, 8):
        model = tabdl.MLPClassifier(units=(32,), epochs=10, members=members, random_state=0).fit(X[:600], y[:600])
        p = np.clip(model.predict_proba(X[600:])[np.arange(600), np.asarray(y[600:]).astype(int)], 1e-6, 1)
        losses[members] = -np.log(p).mean()
    assert losses[8] < losses[1]


# ---- out of fold -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2])
def test_out_of_fold_predictions_are_by_copies_that_have_not_seen_the_row(members):
    """A network that learns random labels by heart knows nothing of the rows that it has not seen."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 30)), rng.integers(0, 2, 400)
    model = tabdl.MLPClassifier(
        units=(256,), dropout=0.0, epochs=40, learning_rate=0.01, bagging=4, members=members, metric="accuracy", random_state=0,
        schedule="constant", weight_decay=0.0,
    ).fit(X, y)  # fmt: skip
    assert model.out_of_fold_.shape == (400, 2)
    unseen = (model.out_of_fold_.argmax(axis=1) == y).mean()
    each = [
        keras.ops.convert_to_numpy(m(e.encode(X)))[:, 0] > 0
        for m, e in zip(model.models_[::members], model.encoders_, strict=True)
    ]
    seen = np.mean([(each[f][index] == y[index]).mean() for f, (index, _) in enumerate(folds_of(model, y))])
    assert seen > 0.75
    assert model.score(X, y) > 0.75
    assert abs(unseen - 0.5) < 0.12, "four deviations of chance, and the best of 40 epochs"


@each_kind
def test_out_of_fold_rows_are_those_of_their_fold(kind, fitted):
    model = fitted[kind]
    if model.bagging == 1:
        assert not hasattr(model, "out_of_fold_")
        return
    alone, expected = by_copy(model), np.full(ROWS, np.nan)
    for f, (_, rest) in enumerate(folds_of(model)):
        expected[rest] = alone[f * model.members : (f + 1) * model.members, rest].mean(axis=0)
    np.testing.assert_allclose(model.out_of_fold_[:, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(model.out_of_fold_.sum(axis=1), 1)


def test_out_of_fold_predictions_of_numbers_are_in_their_units_and_rank_the_rows():
    model = regressor(bagging=4, epochs=30, learning_rate=0.02).fit(TABLE[["number", "active"]], 1_000 + 50 * SIGNAL)
    assert model.out_of_fold_.shape == (ROWS,)
    assert np.corrcoef(model.out_of_fold_, SIGNAL)[0, 1] > 0.7
    assert abs(model.out_of_fold_.mean() - 1_000) < 50
    several = regressor(bagging=2).fit(TABLE, np.column_stack([SIGNAL, -SIGNAL]))
    assert several.out_of_fold_.shape == (ROWS, 2)
    levels = regressor(bagging=2, quantiles=(0.1, 0.9)).fit(TABLE, SIGNAL)
    assert levels.out_of_fold_.shape == (ROWS, 2)


def test_fold_encoders_do_not_see_the_held_out_fold():
    """Rows of the held-out fold at another place and with gaps move no scale, and no encoder but those that learn from them."""
    model = classifier(bagging=3).fit(TABLE, CLASSES)
    folds = folds_of(model)
    strange = TABLE.copy()
    strange.loc[folds[0][1], "number"] += 1_000
    strange.loc[folds[0][1], "gappy"] *= 7
    other = classifier(bagging=3).fit(strange, CLASSES, schema=model.schema_)
    states = [[e.state()[1] for e in m.encoders_] for m in (model, other)]
    for name, array in states[0][0].items():
        np.testing.assert_array_equal(states[1][0][name], array, err_msg=name)
    for f in (1, 2):
        assert (states[0][f]["numbers/scale"] != states[1][f]["numbers/scale"]).any()
    alone = TableEncoder(model.schema_).fit(model.schema_.read(TABLE.iloc[folds[0][0]]))
    np.testing.assert_array_equal(alone.state()[1]["numbers/center"], states[0][0]["numbers/center"])


def test_gaps_and_times_of_one_fold_alone_fit_the_network_of_all():
    """Where only one row has a gap or a time of day, most folds have not seen it: all have the same inputs still."""
    X = pd.DataFrame({"a": SIGNAL.copy(), "since": pd.date_range("2024-01-01", periods=ROWS)})
    X.loc[7, "a"] = np.nan
    X.loc[8, "since"] += pd.Timedelta("7h")
    model = classifier(bagging=4).fit(X, CLASSES)
    assert {e.spec for e in model.encoders_} == {model.encoder_.spec}
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.out_of_fold_).all()


def test_a_rare_class_missing_from_a_fold_is_no_trouble():
    y = CLASSES.astype(object)
    y[5] = "rare"
    model = classifier(bagging=3).fit(TABLE, y.astype(str))
    assert model.predict_proba(TABLE).shape == model.out_of_fold_.shape == (ROWS, 3)
    assert np.isfinite(model.out_of_fold_).all()


# ---- going on ----------------------------------------------------------------------------------------------------------


def test_warm_start_goes_on_from_each_copys_weights():
    model = classifier(members=3, warm_start=True).fit(TABLE, CLASSES)
    first = model.weights_
    model.set_params(learning_rate=1e-6, epochs=1).fit(TABLE, CLASSES)
    for name, weight in first.items():
        np.testing.assert_allclose(model.weights_[name], weight, atol=1e-3, err_msg=name)
    assert any((model.weights_[name] != weight).any() for name, weight in first.items())


def test_partial_fit_moves_each_copy():
    model = classifier(members=3, dropout=0.0).partial_fit(TABLE[:60], CLASSES[:60], classes=["no", "yes"])
    first, alone = model.weights_, by_copy(model)
    assert len(np.unique(alone.round(6), axis=0)) == 3
    losses = [model.partial_fit(TABLE, CLASSES).history_["loss"][0] for _ in range(12)]
    assert losses[-1] < losses[0]
    for c in range(3):
        assert any((model.weights_[name][c] != weight[c]).any() for name, weight in first.items())
    np.testing.assert_allclose(model.predict_proba(TABLE)[:, 1], by_copy(model).mean(axis=0), rtol=1e-5)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 3:
            raise Killed


@each_kind
def test_killed_and_resumed_is_the_same_to_the_bit(kind, fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("tabdl.training.checkpoint.BUDGET", np.inf)  # write every epoch
    path = tmp_path / "fit.npz"
    with pytest.raises(Killed):
        classifier(**KINDS[kind], checkpoint=path, callbacks=[Kill()]).fit(TABLE, CLASSES)
    with np.load(path) as file:
        assert file["flat/0"].shape[0] == len(fitted[kind].models_)
    resumed = classifier(**KINDS[kind], checkpoint=path).fit(TABLE, CLASSES)
    assert not path.exists()
    np.testing.assert_array_equal(resumed.predict_proba(TABLE), fitted[kind].predict_proba(TABLE))
    for key in ("epoch", "loss", "learning_rate", "val_log_loss"):
        assert resumed.history_[key] == fitted[kind].history_[key], key
    if "bagging" in KINDS[kind]:
        np.testing.assert_array_equal(resumed.out_of_fold_, fitted[kind].out_of_fold_)


@pytest.mark.parametrize("changed", [{"members": 3}, {"bagging": 3}, {"bagging": 2}])
def test_a_checkpoint_of_other_copies_is_refused(changed, tmp_path):
    path = tmp_path / "fit.npz"
    with pytest.raises(Killed):
        classifier(members=2, checkpoint=path, callbacks=[Kill()]).fit(TABLE, CLASSES)
    with pytest.raises(tabdl.errors.ArtifactError, match="other data or parameters"):
        classifier(**{"members": 2} | changed, checkpoint=path).fit(TABLE, CLASSES)


@each_kind
def test_time_limit_is_kept_by_all_copies_together(kind, fitted):
    begun = time.monotonic()
    model = classifier(**KINDS[kind], epochs=100_000, patience=100_000, time_limit=1.0).fit(TABLE, CLASSES)
    assert sum(model.history_["seconds"]) < 1.5
    assert time.monotonic() - begun < 10
    assert model.history_["learning_rate"][-1] < 0.2 * max(model.history_["learning_rate"])


def test_callbacks_see_the_first_copy_and_change_it_alone():
    class Zero(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            for weight in self.model.trainable_weights:
                weight.assign(np.zeros(weight.shape))

    options = {"members": 3, "validation_fraction": 0, "epochs": 2}
    plain, changed = classifier(**options).fit(TABLE, CLASSES), classifier(**options, callbacks=[Zero()]).fit(TABLE, CLASSES)
    for name, weight in plain.weights_.items():
        np.testing.assert_array_equal(changed.weights_[name][1:], weight[1:])
        assert not name.endswith("kernel") or not changed.weights_[name][0].any()


# ---- keeping -----------------------------------------------------------------------------------------------------------


@each_kind
def test_pickled_and_saved_models_predict_the_same_to_the_bit(kind, fitted, tmp_path):
    model = fitted[kind]
    loaded = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"))
    for copied in (pickle.loads(pickle.dumps(model)), loaded):
        np.testing.assert_array_equal(copied.predict_proba(TABLE), model.predict_proba(TABLE))
        assert len(copied.models_) == len(model.models_)
        np.testing.assert_array_equal(by_copy(copied), by_copy(model))
        assert (copied.members, copied.bagging) == (model.members, model.bagging)
    if model.bagging > 1:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).out_of_fold_, model.out_of_fold_)
        assert not hasattr(loaded, "out_of_fold_"), "rows stay out of the file"


@each_kind
def test_a_clone_is_unfitted_and_fits_the_same(kind, fitted):
    copied = clone(fitted[kind])
    assert not hasattr(copied, "weights_")
    assert not hasattr(copied, "out_of_fold_")
    np.testing.assert_array_equal(copied.fit(TABLE, CLASSES).predict_proba(TABLE), fitted[kind].predict_proba(TABLE))


def test_a_loaded_model_goes_on(tmp_path, fitted):
    loaded = tabdl.load(tabdl.save(fitted["members"], tmp_path / "model.tabdl"))
    loaded.partial_fit(TABLE, CLASSES)
    assert len(loaded.models_) == 3


def test_parameters_set_after_fit_do_not_mix_folds(fitted):
    model = pickle.loads(pickle.dumps(fitted["both"]))
    before = model.predict_proba(TABLE)
    model.set_params(members=3, bagging=1)
    np.testing.assert_array_equal(model.predict_proba(TABLE), before)


def test_a_refit_without_copies_leaves_nothing_of_them(fitted):
    model = pickle.loads(pickle.dumps(fitted["both"])).set_params(members=1, bagging=1)
    single = classifier().fit(TABLE, CLASSES)
    np.testing.assert_array_equal(model.fit(TABLE, CLASSES).predict_proba(TABLE), single.predict_proba(TABLE))
    assert len(model.models_) == len(model.encoders_) == 1
    assert not hasattr(model, "out_of_fold_")


@pytest.mark.parametrize("name", ["TabMClassifier", "EmbeddingClassifier", "ResNetClassifier"])
def test_other_networks_bag_too(name, tmp_path):
    cls = getattr(tabdl, name)
    small = {k: v for k, v in {"width": 8, "bins": 4, "members": 2, "units": (8,)}.items() if k in cls.fields}
    model = cls(**small, bagging=3, epochs=2, random_state=0).fit(TABLE, CLASSES)
    assert len(model.models_) == (3 if cls is tabdl.TabMClassifier else 6)
    assert model.out_of_fold_.shape == (ROWS, 2)
    loaded = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"))
    np.testing.assert_array_equal(loaded.predict_proba(TABLE), model.predict_proba(TABLE))
