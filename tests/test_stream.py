"""Stream: after every step the prediction of the model for the series so far."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl import RNNClassifier, RNNRegressor, Stream, TCNClassifier, TCNRegressor
from tabdl.errors import ParameterError, SchemaError

ROWS, STEPS = 20, 8
RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(ROWS, STEPS, 2))
level = X[:, :, 0].max(axis=1) + X[:, -1, 1]
CLASSES = np.where(level > np.quantile(level, 0.66), "high", np.where(level > np.median(level) - 1, "mid", "low"))
LABELS = np.column_stack([level > np.median(level), X[:, 0, 0] > 3]).astype(int)
SMALL = {"width": 4, "epochs": 1, "random_state": 0, "batch_size": 4, "learning_rate": 0.03}
RNN_OF = {"bidirectional": False, **SMALL}
TCN_OF = {"blocks": 2, "kernel_size": 3, **SMALL}


@cache
def regressor() -> Any:
    return TCNRegressor(**TCN_OF).fit(X, level)


def near(found: Any, expected: Any, scale: float = 1.0) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


def assert_equal_at_every_step(model: Any, X: Any = X, rows: tuple[int, ...] = (0, 7), scale: float = level.std()) -> None:
    """The stream of each row against the predictions of all its prefixes."""
    for row in rows:
        stream, prefixes = Stream(model), [X[row][: n + 1] for n in range(len(X[row]))]
        expected = model.predict_proba(prefixes) if hasattr(model, "predict_proba") else model.predict(prefixes)
        answers = model.predict(prefixes)
        assert np.ptp(expected, axis=0).max() > 1e-3 * scale, "a network that ignores the series tells nothing"
        for step, values in enumerate(X[row]):
            stream.update(values)
            if hasattr(model, "predict_proba"):
                near(stream.predict_proba_next(), expected[step])
                assert np.array_equal(stream.predict_next(), answers[step])
            else:
                near(stream.predict_next(), expected[step], scale)
        assert stream.steps == len(X[row])


@pytest.mark.parametrize(
    ("cell", "layers", "pooling"),
    [
        *((cell, layers, pooling) for cell in ("simple", "gru", "lstm") for layers, pooling in ((1, "last"), (2, "mean_max"))),
        ("gru", 2, "last"),
        ("lstm", 1, "mean"),
        ("simple", 3, "max"),
    ],
)
def test_recurrent_networks(cell: str, layers: int, pooling: str) -> None:
    assert_equal_at_every_step(RNNRegressor(cell=cell, layers=layers, pooling=pooling, **RNN_OF).fit(X, level))


@pytest.mark.parametrize(
    ("pooling", "sizes"),
    [
        ("last", {"blocks": 1, "kernel_size": 2}),
        ("mean", {}),
        ("max", {"kernel_size": 5}),
        ("mean_max", {"blocks": 3, "kernel_size": 4}),
    ],
)
def test_causal_convolutions(pooling: str, sizes: dict[str, int]) -> None:
    assert_equal_at_every_step(TCNRegressor(pooling=pooling, **TCN_OF | sizes).fit(X, level))


@pytest.mark.parametrize(
    ("cls", "y", "params"),
    [
        (TCNClassifier, CLASSES, {}),
        (RNNClassifier, CLASSES == "high", {}),
        (TCNClassifier, LABELS, {}),
        (RNNClassifier, CLASSES, {"loss": "ordinal"}),
        (TCNRegressor, level, {"quantiles": (0.1, 0.5, 0.9)}),
        (RNNRegressor, np.column_stack([level, -level]), {}),
        (TCNRegressor, np.round(np.abs(level)), {"loss": "poisson"}),
        (RNNRegressor, np.abs(level), {"loss": "log_mse"}),
    ],
)
def test_kinds_of_target(cls: type, y: np.ndarray, params: dict[str, Any]) -> None:
    sizes = RNN_OF if cls in (RNNClassifier, RNNRegressor) else TCN_OF
    assert_equal_at_every_step(cls(**sizes | params).fit(X, y))


def test_copies_and_folds_are_averaged() -> None:
    assert_equal_at_every_step(RNNRegressor(members=3, **RNN_OF).fit(X, level))
    assert_equal_at_every_step(TCNClassifier(members=2, bagging=2, **TCN_OF).fit(X, CLASSES))


def test_probabilities_are_at_the_temperature_of_the_model() -> None:
    for y in (CLASSES, CLASSES == "high", LABELS):
        model = TCNClassifier(**TCN_OF).fit(X, y)
        model.temperature_ = 1.7
        assert_equal_at_every_step(model)


def test_a_loaded_model_streams_alike(tmp_path: Any) -> None:
    model = RNNClassifier(**RNN_OF).fit(X, CLASSES)
    tabdl.save(model, tmp_path / "model.tabdl")
    assert_equal_at_every_step(tabdl.load(tmp_path / "model.tabdl"))


def test_steps_without_any_value_and_long_tails() -> None:
    """Empty steps inside and at the end, and a channel that is missing all along."""
    holed = X.copy()
    holed[:5, 2] = np.nan
    holed[:5, 6:] = np.nan
    holed[1, :, 1] = np.nan
    holed[2, 0] = np.nan
    holed[9, 3, 0] = 1e6
    for cls, sizes in ((RNNRegressor, RNN_OF), (TCNRegressor, TCN_OF)):
        for pooling in ("last", "mean_max"):
            model = cls(pooling=pooling, **sizes).fit(holed, level)
            assert model.encoder_.sequence.tail[0]
            assert model.encoder_.sequence.gaps.all()
            assert_equal_at_every_step(model, holed, (0, 1, 2, 9))
            empty = np.full((1, STEPS, 2), np.nan)
            near(Stream(model).predict_next(), model.predict(empty)[0], level.std())


def test_a_gap_in_one_channel_carries_its_last_value() -> None:
    holed = X.copy()
    holed[:5, 2, 1] = np.nan
    model = RNNRegressor(**RNN_OF).fit(holed, level)
    stream = Stream(model)
    for values in holed[0][:3]:
        stream.update(values)
    near(stream.predict_next(), model.predict([holed[0][:3]])[0], level.std())


def table_of(rows: int = ROWS) -> pd.DataFrame:
    states = np.where(X[:, :, 1] > 3, "on", "off")
    return pd.DataFrame(
        {
            "heat": pd.Series(list(X[:rows, :, 0]), dtype=object),
            "state": pd.Series([list(row) for row in states[:rows]], dtype=object),
            "city": np.where(X[:rows, 0, 0] > 3, "Oslo", "Rome"),
            "age": X[:rows, 0, 1],
        }
    )


@pytest.mark.parametrize(("cls", "sizes"), [(RNNRegressor, RNN_OF), (TCNRegressor, TCN_OF)])
def test_text_and_plain_columns(cls: type, sizes: dict[str, Any]) -> None:
    table = table_of()
    model = cls(**sizes).fit(table, level, schema={"city": "category"})
    for row in (0, 5):
        plain = {"city": table["city"][row], "age": table["age"][row]}
        stream = Stream(model, row=plain)
        for n in range(STEPS):
            stream.update({"heat": X[row, n, 0], "state": table["state"][row][n], "more": 1})
            so_far = [{"heat": X[row, : n + 1, 0], "state": table["state"][row][: n + 1], **plain}]
            near(stream.predict_next(), model.predict(so_far)[0], level.std())
        first = stream.predict_next()
        series = pd.Series({"state": "new", "heat": 1.0})
        assert stream.update(series).predict_next() != first
        listed = Stream(model, row=plain).update([2.0, "on"]).predict_next()
        assert listed == Stream(model, row=plain).update({"state": "on", "heat": 2.0}).predict_next()
        assert stream.update([None, None]).steps == STEPS + 2
    with pytest.raises(SchemaError, match="Stream.* expects columns that the table lacks: 'city'"):
        Stream(model, row={"age": 1.0})


def test_columns_of_steps_and_long_tables() -> None:
    model = TCNRegressor(**TCN_OF).fit(X[:, :, 0], level)
    long = pd.DataFrame(X[:, :, 0].reshape(-1, 1), columns=["heat"]).assign(who=np.repeat(np.arange(ROWS), STEPS))
    other = TCNRegressor(id="who", **TCN_OF).fit(long, level)
    stream, named = Stream(model), Stream(other)
    for values in X[3]:
        stream.update(values[:1])
        named.update({"heat": values[0], "who": 3})
    near(stream.predict_next(), model.predict(X[3:4, :, 0])[0], level.std())
    near(named.predict_next(), other.predict(long[long["who"] == 3])[0], level.std())


def test_streams_are_independent_and_start_over() -> None:
    model = TCNRegressor(**TCN_OF).fit(X, level)
    weights = {name: value.copy() for name, value in model.weights_.items()}
    expected, one, other = model.predict(X), Stream(model), Stream(model)
    start = one.predict_next()
    for n in range(STEPS):
        one.update(X[0, n])
        other.update(X[1, n].tolist())
    near([one.predict_next(), other.predict_next()], expected[:2], level.std())
    np.testing.assert_array_equal(model.predict(X), expected)
    assert all((weights[name] == value).all() for name, value in model.weights_.items())
    assert one.reset().steps == 0
    assert one.predict_next() == start
    for n in range(STEPS):
        one.update(X[1, n])
    assert one.predict_next() == other.predict_next()
    kept = pickle.loads(pickle.dumps(one))
    assert kept.predict_next() == one.predict_next()
    assert kept.update(X[2, 1]).predict_next() == one.update(X[2, 1]).predict_next()
    for _ in range(3):
        assert np.isfinite(one.update(X[2, 0]).predict_next())
    model.fit(X, 100 * level)
    near(other.predict_next(), expected[1], level.std())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0], r"one value for each of the channels \['x0', 'x1'\], received 1 values"),
        (3.0, "received 3.0"),
        (np.ones((1, 2)), "one value for each of the channels"),
        ({"x0": 1.0}, r"received one without \['x1'\]"),
        ([1.0, "warm"], "channel 'x1' expects a number or None in a step, received 'warm'"),
        ([1.0, [2.0, 3.0]], "channel 'x1' expects one value a step"),
        ([1.0, np.inf], "infinity: column 'x1'"),
    ],
)
def test_wrong_steps_are_refused_and_leave_the_stream_as_it_was(row: Any, message: str) -> None:
    stream = Stream(regressor()).update(X[0, 0])
    before = stream.predict_next()
    with pytest.raises(SchemaError, match=message):
        stream.update(row)
    assert (stream.steps, stream.predict_next()) == (1, before)


def test_numbers_in_a_channel_of_text_are_refused() -> None:
    model = TCNRegressor(**TCN_OF).fit(table_of()[["heat", "state"]], level)
    with pytest.raises(SchemaError, match="channel 'state' expects text or None in a step, received 3"):
        Stream(model).update([1.0, 3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RNNRegressor(**RNN_OF | {"bidirectional": True}).fit(X, level), "bidirectional=False"),
        (lambda: TCNRegressor(scale="series", **TCN_OF).fit(X, level), "scale='channel'"),
        (lambda: TCNRegressor(pooling="attention", **TCN_OF).fit(X, level), "pooling='last'"),
        (lambda: RNNRegressor(bins=4, **RNN_OF).fit(X[:, 0], level), "plain columns; fit it on series"),
        (lambda: tabdl.LITERegressor(), "a fitted RNN or TCN of series, received LITERegressor"),
        (lambda: "model", "received str"),
        (
            lambda: tabdl.RNNForecaster(horizon=2, time="day", target="heat"),
            "of series, received RNNForecaster; fit one of these",
        ),
    ],
)
def test_what_cannot_be_read_step_by_step_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Stream(make())


def test_no_probabilities_of_numbers_and_no_stream_without_a_fit() -> None:
    from sklearn.exceptions import NotFittedError

    with pytest.raises(ParameterError, match="expects a stream of a classifier, received one of TCNRegressor"):
        Stream(regressor()).predict_proba_next()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        Stream(TCNRegressor())
