"""Fits from Parquet files: what is learned, from which rows, with which weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from longfiles import FAST, ROWS, SAMPLE, SERIES, SIZE, TABLE, Classifier, Regressor, X, shrink, table_of, written
from small import series_sizes

from tabdl import models
from tabdl.errors import ParameterError, SchemaError
from tabdl.estimators import streaming
from tabdl.training import fitting


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def same_weights(first: Any, second: Any) -> bool:
    return all(np.array_equal(first.weights_[k], second.weights_[k]) for k in second.weights_)


# ---- what is learned -------------------------------------------------------------------------------------------------


def every_estimator() -> list[Any]:
    """All public ones; `make test` runs one of each network of tables, and the first of those that read series only."""
    tables, series = [], []
    for name in models.catalogue("Classifier"):
        (tables if getattr(models.load_class(name), "reads_tables", True) else series).append(name)
    once = {*tables, "TabularRegressor", *series[:1]}
    return [
        pytest.param(name, marks=[] if name in once else pytest.mark.full) for name in models.catalogue("Classifier", "Regressor")
    ]


@pytest.mark.parametrize("name", every_estimator())
def test_every_estimator_fits_from_a_long_file(name, tmp_path, small):
    cls = models.load_class(name)
    rows = TABLE if getattr(cls, "reads_tables", True) else SERIES
    table, X = written(tmp_path, rows), rows.drop(columns=["bought", "spent"])
    y, other = ("bought", "spent") if hasattr(cls, "predict_proba") else ("spent", "bought")
    model = cls(**FAST, **series_sizes(name)).fit(table, y=y)
    found = model.predict(table)
    expected = model.predict(rows.drop(columns=y))
    assert (found == expected).all() if y == "bought" else np.allclose(found, expected, rtol=1e-5)
    assert list(model.feature_names_in_) == [*X.columns, other]
    if hasattr(cls, "predict_proba"):
        assert list(model.classes_) == ["no", "yes"]
        assert model.predict_proba(table).shape == (ROWS, 2)
    else:
        assert np.isfinite(found).all()
        assert model.predict_interval(X.assign(bought="no"), alpha=0.2).shape == (ROWS, 2)


def test_a_short_file_is_fitted_like_the_table_in_memory(tmp_path):
    table = written(tmp_path, TABLE.drop(columns="spent"))
    model = Classifier(**FAST).fit(table, y="bought")
    assert same_weights(model, Classifier(**FAST).fit(X, TABLE["bought"]))
    bagged = Classifier(bagging=2, **FAST).fit(table, "bought")
    assert bagged.out_of_fold_.shape == (ROWS, 2)


def test_a_long_file_teaches_about_as_much_as_the_table(tmp_path, small):
    table, new = table_of(2_000).drop(columns="bought"), table_of(1_000, seed=7)
    options = {"units": (32,), "epochs": 6, "batch_size": 32, "random_state": 0}
    streamed = Regressor(**options).fit(written(tmp_path, table), y="spent")
    held = Regressor(**options).fit(table, y="spent")
    scores = [model.score(new.drop(columns=["bought", "spent"]), new["spent"]) for model in (streamed, held)]
    assert scores[0] > scores[1] - 0.02, scores
    sample = Regressor(**options).fit(table[:SAMPLE], y="spent").score(new, new["spent"])
    assert scores[0] > sample + 0.05, "more should be learned than from a sample alone"


def test_a_file_sorted_by_its_target_teaches_as_much(tmp_path, small):
    table, new = table_of(2_000).drop(columns="bought"), table_of(1_000, seed=7)
    options = {"units": (32,), "epochs": 3, "batch_size": 32, "random_state": 0}
    shuffled, ordered = (
        Regressor(**options).fit(written(tmp_path, t), y="spent").score(new, new["spent"])
        for t in (table, table.sort_values("spent"))
    )
    assert ordered > shuffled - 0.02, (ordered, shuffled)


def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, list[Any], Any]]:
    """(settings, blocks, validation) of each training."""
    real, calls = fitting.train, []

    def train(program: Any, copies: Any, arrays: Any, settings: Any, **options: Any) -> Any:
        given = []

        def give(epoch: int) -> Any:
            given.append(arrays(epoch))
            return given[-1]

        calls.append((settings, given, copies[0].validation))
        return real(program, copies, give, settings, **options)

    monkeypatch.setattr(fitting, "train", train)
    return calls


def test_held_out_rows_are_never_trained_on_and_all_others_are(tmp_path, small, monkeypatch):
    calls = spied(monkeypatch)
    table = TABLE.drop(columns="bought").assign(spent=np.arange(ROWS) / 7)
    model = Regressor(**FAST | {"epochs": 2}).fit(written(tmp_path, table), y="spent")
    (settings, given, validation), *_ = calls
    shown = np.concatenate([model.target_.decode(block["target"].astype(float)) for block in given])
    shown = np.rint(7 * shown).astype(int)
    held = np.rint(7 * validation.arrays["truth"]).astype(int)
    assert len(held) == 20
    assert set(shown) | set(held) == set(range(ROWS))
    assert not set(shown) & set(held)
    assert settings.epochs == len(given) == int(np.ceil(2 * (ROWS - 20) / SIZE))
    assert {block["numbers"].shape for block in given} == {(1, SIZE, given[0]["numbers"].shape[2])}
    assert settings.patience == np.ceil(16 * (ROWS - 20) / SIZE), "patience counts passes"
    assert len(model.history_["epoch"]) == settings.epochs


def test_automatic_epochs_are_the_usual_steps_and_at_least_a_pass(tmp_path, small, monkeypatch):
    calls = spied(monkeypatch)
    for aim, expected in ((8, 2), (1, np.ceil((ROWS - 20) / SIZE))):
        monkeypatch.setattr(Classifier, "automatic_training", (aim, 50))
        Classifier(random_state=0).fit(written(tmp_path), y="bought")
        settings = calls[-1][0]
        assert settings.plan.steps == 4
        assert settings.epochs == max(expected, np.ceil((ROWS - 20) / SIZE))
    monkeypatch.setattr(Classifier, "automatic_training", (80, 50))
    Classifier(random_state=0, patience=1).fit(written(tmp_path), y="bought")
    assert calls[-1][0].epochs == 20


def test_all_classes_are_known_even_those_that_the_sample_lacks(tmp_path, small):
    seed, at = 0, 111
    table = X.assign(bought=np.where(np.arange(ROWS) == at, "maybe", TABLE["bought"]))
    file = written(tmp_path, table)
    drawn = streaming.sample(file, "bought", None, np.asarray, True, seed)
    assert "maybe" not in drawn.y, "choose another row: the sample has this one"
    assert len(drawn.y) == SAMPLE
    model = Classifier(random_state=seed, epochs=2).fit(file, y="bought")
    assert list(model.classes_) == ["maybe", "no", "yes"]
    assert model.predict_proba(X).shape == (ROWS, 3)
    balanced = Classifier(class_weight="balanced", random_state=seed, epochs=2).fit(file, y="bought")
    assert np.isfinite(balanced.history_["loss"]).all()
    assert balanced.predict_proba(X)[:, 0].mean() > model.predict_proba(X)[:, 0].mean()


def test_the_sample_is_even_over_the_file(tmp_path, small):
    table = written(tmp_path, pd.DataFrame({"at": np.arange(2_000.0), "y": np.arange(2_000) % 2}), 100)
    at = np.concatenate([streaming.sample(table, "y", None, np.asarray, True, s).frame.columns["at"] for s in range(5)])
    counts = np.histogram(at, bins=4, range=(0, 2_000))[0]
    assert len(at) == 5 * SAMPLE
    assert (abs(counts - 200) < 50).all(), counts


def test_the_same_random_state_gives_the_same_model(tmp_path, small):
    first, again, other = (Classifier(epochs=2, random_state=s).fit(written(tmp_path), y="bought") for s in (0, 0, 1))
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_members_see_each_block_in_their_own_order(tmp_path, small):
    model = Classifier(members=2, **FAST).fit(written(tmp_path), y="bought")
    assert len(model.models_) == 2
    assert any((w[0] != w[1]).any() for w in model.weights_.values())


# ---- weights, columns by name, validation rows -----------------------------------------------------------------------


def test_weights_come_from_a_column(tmp_path, small, monkeypatch):
    calls = spied(monkeypatch)
    table = X.assign(spent=np.arange(ROWS) / 7, weight=np.arange(ROWS) % 3)
    model = Regressor(**FAST).fit(written(tmp_path, table), y="spent", sample_weight="weight")
    assert "weight" not in model.feature_names_in_
    block = calls[0][1][0]
    rows = np.rint(7 * model.target_.decode(block["target"].astype(float))).astype(int)
    assert (rows % 3 > 0).all(), "rows of weight zero should be as if absent"
    ratio = block["weight"][rows % 3 == 2].mean() / block["weight"][rows % 3 == 1].mean()
    assert ratio == pytest.approx(2)
    assert block["weight"].mean() == pytest.approx(1, abs=0.1)
    assert calls[0][0].epochs == np.ceil((ROWS * 2 / 3 - 16) / SIZE), "a pass has the rows that count"


def test_names_of_columns_do_for_tables_in_memory_too():
    table = X.assign(bought=TABLE["bought"], weight=np.linspace(1, 2, ROWS))
    expected = Classifier(**FAST).fit(X, TABLE["bought"], table["weight"])
    for own in (table, pyarrow.Table.from_pandas(table)):
        model = Classifier(**FAST).fit(own, y="bought", sample_weight="weight")
        assert same_weights(model, expected)
    assert list(table.columns) == [*X.columns, "bought", "weight"]
    held = Classifier(**FAST).fit(table[:300], "bought", X_val=table[300:], y_val="bought")
    assert list(held.feature_names_in_) == [*X.columns, "weight"]
    with pytest.raises(SchemaError, match="y='boughtt' expects a column of X, .* name one such as 'bought'"):
        Classifier().fit(table, y="boughtt")


def test_validation_rows_of_the_user_are_taken(tmp_path, small, monkeypatch):
    calls = spied(monkeypatch)
    file = written(tmp_path, TABLE.drop(columns="spent"))
    Classifier(**FAST).fit(file, y="bought", X_val=X[:30], y_val=TABLE["bought"][:30])
    assert len(calls[0][2].arrays["truth"]) == 30
    assert calls[0][0].epochs == np.ceil(ROWS / SIZE), "then no row of the file is held out"
    with pytest.raises(ParameterError, match="rows that fit into memory in X_val"):
        Classifier(**FAST).fit(file, y="bought", X_val=file, y_val="bought")


def test_categories_of_row_groups_have_different_numbers(tmp_path, small):
    colours = pd.Categorical(np.repeat(["red", "green", "blue"], ROWS // 3), ["blue", "green", "red"])
    table = pd.DataFrame({"colour": colours, "noise": np.sin(np.arange(ROWS)), "y": colours.codes * 2.0})
    model = Regressor(units=(16,), epochs=30, learning_rate=0.03, random_state=0).fit(written(tmp_path, table, 30), y="y")
    assert model.schema_["colour"].kind == "category"
    assert model.score(table[["colour", "noise"]], table["y"]) > 0.95


def test_warm_start_and_callbacks_and_time_limit(tmp_path, small):
    class Seen(keras.callbacks.Callback):
        count = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            Seen.count += 1

    file = written(tmp_path)
    model = Classifier(warm_start=True, callbacks=[Seen()], **FAST).fit(file, y="bought")
    assert Seen.count == len(model.history_["epoch"]) == 4
    before = model.weights_
    model.set_params(learning_rate=1e-6, callbacks=None).fit(file, y="bought")
    assert all(np.abs(model.weights_[k] - before[k]).max() < 1e-3 for k in before)
    limited = Classifier(epochs=10_000, time_limit=0.5, random_state=0).fit(file, y="bought")
    assert limited.history_["epoch"][-1] < 30_000
    assert sum(limited.history_["seconds"]) < 3


def test_a_model_of_columns_without_names_predicts_a_file_by_position(tmp_path):
    table = TABLE[["number", "visits"]]
    model = Regressor(**FAST).fit(table.to_numpy(), TABLE["spent"])
    np.testing.assert_allclose(model.predict(written(tmp_path, table)), model.predict(table.to_numpy()), rtol=1e-6)
