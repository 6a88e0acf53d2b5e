"""Fits from Parquet files: what is read, in which order, in how much memory, and what is learned."""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import psutil
import pyarrow
import pyarrow.parquet
import pytest

import tabdl
from tabdl import models, parquet
from tabdl.errors import MissingDependency, ParameterError, SchemaError, TargetError
from tabdl.estimators import streaming
from tabdl.estimators.rows import hold_out
from tabdl.frames import read_frame
from tabdl.testing import mixed_table
from tabdl.training import blocks, fitting

ROWS, SAMPLE, SIZE = 420, 160, 128
FAST: dict[str, Any] = {"epochs": 1, "random_state": 0}
Classifier: Any = tabdl.MLPClassifier
Regressor: Any = tabdl.MLPRegressor


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few hundred rows are a long file."""
    monkeypatch.setattr(streaming, "SAMPLE", SAMPLE)
    monkeypatch.setattr(streaming, "HELD", 20)
    monkeypatch.setattr(blocks, "SIZE", SIZE)
    monkeypatch.setattr(parquet, "BATCH", 48)
    monkeypatch.setattr(parquet, "PIECE", 16)
    monkeypatch.setattr(parquet, "TURN", 10)


def table_of(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = mixed_table(rows, seed)
    signal = 2 * table["number"] + table["active"] + 0.3 * rng.normal(size=rows)
    return table.assign(bought=np.where(signal > 0.5, "yes", "no"), spent=40 + 10 * signal)


TABLE = table_of()
X = TABLE.drop(columns=["bought", "spent"])


def written(folder: Path, table: pd.DataFrame = TABLE, group: int = 40, name: str = "t.parquet") -> tabdl.Parquet:
    table.to_parquet(folder / name, row_group_size=group)
    return tabdl.Parquet(folder / name)


def same_weights(first: Any, second: Any) -> bool:
    return all(np.array_equal(first.weights_[k], second.weights_[k]) for k in second.weights_)


# ---- reading ---------------------------------------------------------------------------------------------------------


def numbers_of(pieces: Any) -> list[int]:
    """The column "at" of all pieces, which has to agree with the numbers that come along."""
    found = []
    for first, piece in pieces:
        at = piece.column("at").to_pylist()
        assert at == (list(range(first, first + len(at))) if np.ndim(first) == 0 else first.tolist())
        found += at
    return found


def test_every_row_is_read_once_in_the_order_of_the_file_or_shuffled(tmp_path, small):
    table = written(tmp_path, pd.DataFrame({"at": range(1_000), "other": 0.5}), group=30)
    assert (table.rows, table.columns) == (1_000, ["at", "other"])
    assert numbers_of(table.batches()) == list(range(1_000))
    shuffled = numbers_of(table.shuffled(0))
    assert sorted(shuffled) == list(range(1_000))
    assert shuffled == numbers_of(table.shuffled(0)) != numbers_of(table.shuffled(1))
    places = np.array(shuffled[:200])
    assert len(np.unique(places // 30)) >= 10, "the first rows should come from all over the file"
    assert table.read().column("at").to_pylist() == list(range(1_000))
    assert next(table.batches(["other"]))[1].column_names == ["other"]


def test_a_folder_is_the_files_below_each_other(tmp_path, small):
    whole = pd.DataFrame({"at": range(100)})
    for start in range(0, 100, 25):
        written(tmp_path, whole[start : start + 25].reset_index(drop=True), 10, f"part{start:03d}.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    table = tabdl.Parquet(str(tmp_path))
    assert numbers_of(table.batches()) == list(range(100))
    assert sorted(numbers_of(table.shuffled(0))) == list(range(100))
    written(tmp_path, pd.DataFrame({"other": [1.0]}), name="z.parquet")
    with pytest.raises(SchemaError, match=r"z\.parquet lacks the column 'at', which .*part000\.parquet has; write all files"):
        table.rows  # noqa: B018


NUMBERED = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())


@pytest.mark.parametrize(
    "first, second, wider",
    [
        (pyarrow.int32(), pyarrow.int64(), pyarrow.int64()),
        (pyarrow.int64(), pyarrow.float64(), pyarrow.float64()),
        (pyarrow.float64(), pyarrow.float32(), pyarrow.float64()),
        (NUMBERED, pyarrow.string(), pyarrow.string()),
        (pyarrow.large_string(), NUMBERED, pyarrow.large_string()),
        (NUMBERED, pyarrow.dictionary(pyarrow.int16(), pyarrow.string()), None),
        (pyarrow.null(), pyarrow.string(), pyarrow.string()),
        (pyarrow.timestamp("ms"), pyarrow.timestamp("us"), pyarrow.timestamp("us")),
    ],
    ids=str,
)
def test_types_of_a_folder_differ_in_width(first, second, wider, tmp_path, small):
    cells = ["2", "1"] if "string" in f"{first}{second}" else [2, 1]
    expected = []
    for name, kind in (("a", first), ("b", second), ("c", first)):
        own = pyarrow.array([None, None] if kind == pyarrow.null() else cells).cast(kind)
        expected += own.cast(wider or own.type).to_pylist()
        columns = {"x": own, "at": pyarrow.array([0, 1])}
        table = pyarrow.table(columns if name != "b" else dict(reversed(columns.items())))  # in another order, too
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
    folder = tabdl.Parquet(tmp_path)
    table = folder.read()
    assert table.column_names == folder.columns == ["x", "at"]
    assert table.schema.field("x").type == wider or wider is None
    assert table.column("x").to_pylist() == expected
    assert [batch.schema.field("x").type for _, batch in folder.shuffled(0, ["x"])] == [table.schema.field("x").type] * 3
    assert read_frame(table).categorical == ({"x"} if wider is None else set())


@pytest.mark.parametrize(
    "second, message",
    [
        (pyarrow.array(["a"]), r"column 'x' holds string in .*b\.parquet and double in .*a\.parquet; write one type into all"),
        (pyarrow.array([True]), r"column 'x' holds bool in .*b\.parquet and double in .*a\.parquet"),
        (pyarrow.array([1.0]).cast(pyarrow.float32()), r"a\.parquet lacks the column 'more', which .*b\.parquet has"),
    ],
    ids=["text", "boolean", "column"],
)
def test_columns_of_a_folder_that_mean_different_things_are_refused(second, message, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"x": pyarrow.array([1.5])}), tmp_path / "a.parquet")
    more = {"more": pyarrow.array([1])} if "more" in message else {}
    pyarrow.parquet.write_table(pyarrow.table({"x": second, **more}), tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=message):
        tabdl.Parquet(tmp_path).read()


def test_columns_of_one_name_are_refused(tmp_path):
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"])
    pyarrow.parquet.write_table(twice, tmp_path / "t.parquet")
    for read in (lambda table: table.columns, lambda table: table.read(), lambda table: table.rows):
        with pytest.raises(SchemaError, match="column names that differ, received more than one 'a'; rename them"):
            read(tabdl.Parquet(tmp_path / "t.parquet"))


def test_an_index_of_pandas_is_no_column(tmp_path):
    table = written(tmp_path, pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["x", "y", "z"]))
    assert table.columns == table.read().column_names == ["a"]


def test_memory_of_the_reader_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "OPEN_GROUPS", (4, 8))
    rng, most, opened = np.random.default_rng(0), [], []
    for rows in (5_000, 20_000):
        table = written(tmp_path, pd.DataFrame(rng.normal(size=(rows, 10)), columns=list("abcdefghij")), 200, f"{rows}.parquet")
        before = pyarrow.total_allocated_bytes()
        path, taken, files = str(table.path), [], []
        for _ in table.shuffled(0):
            taken.append(pyarrow.total_allocated_bytes() - before)
            files.append(sum(file.path == path for file in psutil.Process().open_files()))
        most.append(max(taken))
        opened.append(max(files))
    assert most[1] <= 1.5 * most[0], "the file is four times as long"
    assert max(opened) <= 8
    assert min(opened) > 4
    assert not [file for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]


# ---- blocks ----------------------------------------------------------------------------------------------------------


def pieces_of(rows: int, piece: int = 7) -> Any:
    def pieces(seed: int) -> Any:
        for start in range(0, rows, piece):
            at = np.arange(start, min(start + piece, rows))
            yield {"at": at, "weight": np.ones(len(at), np.float32)}

    return pieces


@pytest.mark.parametrize("rows", [1_000, 64, 40, 129])
def test_blocks_have_one_shape_and_hold_each_row_once_a_pass(rows):
    source = blocks.Blocks(rows, 64, pieces_of(rows))
    stream = source.stream(0)
    seen = []
    for passes in (1, 2, 3):
        while len(seen) < passes * rows:
            block = next(stream)
            assert {k: v.shape for k, v in block.items()} == {"at": (64,), "weight": (64,)}
            seen += block["at"].tolist()
        counts = np.bincount(seen, minlength=rows)
        assert counts.min() >= passes, "each row should have come as often as there were passes"
        assert len(seen) - passes * rows < 64
    again = source.stream(0)
    np.testing.assert_array_equal(next(again)["at"], seen[:64])
    assert rows <= 64 or next(source.stream(1))["at"].tolist() != seen[:64]


def test_a_block_is_drawn_from_a_bounded_pool():
    stream = blocks.Blocks(5_000, 64, pieces_of(5_000)).stream(0)
    spans = [np.ptp(next(stream)["at"]) for _ in range(60)]
    assert min(spans) > 1.5 * 64, "in-order rows should be mixed with later ones"
    pool = stream.gi_frame.f_locals["pool"]
    assert len(pool.arrays["weight"]) <= blocks.POOL * 64 + 7


def test_pieces_without_rows_are_an_error_not_an_endless_loop():
    with pytest.raises(ValueError, match="received none"):
        next(blocks.Blocks(10, 64, pieces_of(0)).stream(0))


def test_the_next_block_is_made_ahead_and_its_failure_arrives():
    def source() -> Any:
        yield from (1, 2)
        raise SchemaError("made up")

    with blocks.ahead(source()) as give:
        assert [give(0), give(1)] == [1, 2]
        with pytest.raises(SchemaError, match="made up"):
            give(2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]


# ---- what is learned -------------------------------------------------------------------------------------------------


def every_estimator() -> list[Any]:
    """All public ones; `make test` runs one of each network."""
    once = {name for name in models.catalogue() if name.endswith("Classifier")} | {"TabularRegressor"}
    return [pytest.param(name, marks=[] if name in once else pytest.mark.full) for name in models.catalogue()]


@pytest.mark.parametrize("name", every_estimator())
def test_every_estimator_fits_from_a_long_file(name, tmp_path, small):
    table, cls = written(tmp_path), models.load_class(name)
    y, other = ("bought", "spent") if hasattr(cls, "predict_proba") else ("spent", "bought")
    model = cls(**FAST).fit(table, y=y)
    found = model.predict(table)
    expected = model.predict(TABLE.drop(columns=y))
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


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_the_file_stays_as_it_was_and_no_handle_stays_open(tmp_path, small):
    file = written(tmp_path)
    before = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    Classifier(**FAST).fit(file, y="bought").predict(file)
    assert hashlib.sha256(Path(file.path).read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert not [own for own in psutil.Process().open_files() if own.path.startswith(str(tmp_path))]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nonsense" * 10)
    (tmp_path / "empty").mkdir()
    written(tmp_path, TABLE[:0], name="none.parquet")
    for name, error, message in (
        ("no.parquet", FileNotFoundError, "there is no file"),
        ("empty", FileNotFoundError, "there is no .parquet file in the folder"),
        ("bad.parquet", SchemaError, "bad.parquet is not a readable Parquet file"),
        ("none.parquet", SchemaError, "expected rows in .*none.parquet"),
    ):
        with pytest.raises(error, match=message):
            Classifier().fit(tabdl.Parquet(tmp_path / name), y="bought")


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"y": "bougth"},
            SchemaError,
            "y='bougth' expects a column of X, .* name one such as 'bought'",
        ),
        ({"y": None}, TargetError, "requires y"),
        ({"y": TABLE["bought"]}, ParameterError, "y expects the name of a column where X is a tabdl.Parquet, received Series"),
        ({"y": "bought", "sample_weight": "w"}, SchemaError, "sample_weight='w' expects a column"),
        ({"y": "bought", "sample_weight": np.ones(ROWS)}, ParameterError, "sample_weight expects the name"),
        ({"y": "bought", "sample_weight": "number"}, ParameterError, "finite and not negative"),
        ({"y": "city"}, TargetError, "NaN"),
        ({"y": "gappy"}, TargetError, "NaN"),
    ],
)
def test_names_and_targets_that_do_not_fit_are_refused(options, error, message, tmp_path, small):
    with pytest.raises(error, match=message):
        Classifier(**FAST).fit(written(tmp_path), **options)


@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_table_of_targets_alone_is_refused(weight, tmp_path, small):
    bare = TABLE.assign(weight=1.0)[["bought", *([] if weight is None else [weight])]]
    for X in (bare, written(tmp_path, bare)):
        with pytest.raises(SchemaError, match="expected columns to learn from beside y and sample_weight, received none"):
            Classifier(**FAST).fit(X, y="bought", sample_weight=weight)


def test_one_class_is_refused(tmp_path, small):
    with pytest.raises(TargetError, match="received one class: 'yes'"):
        Classifier(**FAST).fit(written(tmp_path, TABLE.assign(bought="yes")), y="bought")


@pytest.mark.parametrize("options", [{"bagging": 3}, {"checkpoint": "c.npz"}, {"checkpoint": "auto"}], ids=str)
def test_what_needs_all_rows_is_refused(options, tmp_path, small):
    with pytest.raises(ParameterError, match=f"{next(iter(options))}=.* expects rows in memory, .*more than {SAMPLE} rows"):
        Classifier(**FAST | options).fit(written(tmp_path), y="bought")
    with pytest.raises(ParameterError, match="partial_fit"):
        Classifier(**FAST).partial_fit(written(tmp_path), "bought")


def test_what_the_sample_did_not_show_is_told_with_its_place(tmp_path, small):
    rows = 2_000
    table = pd.DataFrame({"a": [f"{i % 90}" for i in range(rows)], "b": np.arange(rows) % 7.0, "y": np.arange(rows) % 2})
    table.loc[1_234, "a"] = "strange"
    for seed in range(5):
        file = written(tmp_path, table, 100)
        drawn = streaming.sample(file, "y", None, np.asarray, True, seed)
        if "strange" not in drawn.frame.columns["a"]:
            break
    with pytest.raises(SchemaError, match=r"text such as 'strange' in row \d+.*\(among rows 1,[12]\d\d to 1,[23]\d\d of "):
        Classifier(epochs=1, random_state=seed).fit(file, y="y", schema={"a": "number"})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]


def test_without_pyarrow_the_remedy_is_named(tmp_path, monkeypatch):
    file = written(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependency, match=r'pip install "tabdl\[parquet\]"'):
        Classifier().fit(file, y="bought")


def test_the_docstring_names_the_numbers_of_the_code():
    text = inspect.getdoc(tabdl.Parquet)
    fewest, most = parquet.OPEN_GROUPS
    texts = (f"{fewest} to {most}", f"up to {parquet.TURNS} turns")
    for number in (streaming.SAMPLE, streaming.HELD, blocks.SIZE, blocks.SIZE * blocks.POOL, parquet.TURN, *texts):
        assert (number if isinstance(number, str) else f"{number:,}") in text
    assert f"{parquet.BATCH:,}" in tabdl.Parquet.batches.__doc__


def test_it_is_a_value():
    assert tabdl.Parquet("a") == tabdl.Parquet("a")
    with pytest.raises(AttributeError):
        tabdl.Parquet("a").path = "b"
    assert hold_out(np.zeros(1_000), 0.15, 0, False, most=40)[1].shape == (40,)
