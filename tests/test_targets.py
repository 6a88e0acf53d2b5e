"""y <-> arrays: every kind of target encodes, decodes and comes back from JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tabdl.errors import TargetError
from tabdl.targets import Classes, Counts, Labels, Numbers, Ordinal, Quantiles, Target, tag_labels, untag_labels

Y = np.random.default_rng(0).normal(30, 4, 50)
W = np.random.default_rng(1).integers(1, 4, 50).astype(float)
PAIR = np.column_stack([Y, 1000 * Y**2])


def revive(target):
    return Target.kinds[type(target).__name__].from_state(json.loads(json.dumps(target.state())))


@pytest.mark.parametrize(
    "target",
    [
        Classes(np.array(["no", "yes"])),
        Classes(np.array([1, 5, 9]), "focal", 0.1),
        Ordinal(np.array(["low", "mid", "high"])),
        Labels(3, "hinge", 0.05),
        Numbers.fit(Y, None, "mse"),
        Numbers.fit(PAIR, W, "huber"),
        Numbers.fit(np.abs(Y), None, "log_mse"),
        Quantiles.fit(Y, W, (0.1, 0.5, 0.9)),
        Counts.fit(np.abs(np.round(Y)), None),
    ],
    ids=lambda t: f"{type(t).__name__}-{t.head.loss}",
)
def test_state_round_trips_exactly(target):
    back = revive(target)
    assert back.head == target.head
    outputs = np.random.default_rng(2).uniform(0.1, 0.9, (6, target.head.outputs))
    np.testing.assert_array_equal(back.decode(outputs), target.decode(outputs))
    assert back.state() == target.state()


@pytest.mark.parametrize(
    "labels",
    [
        np.array([False, True]),
        np.array([1, 3], np.int32),
        np.array([1, 3], np.uint8),
        np.array([0.5, 2.0]),
        np.array([0.1, 0.3], np.float32),
        np.array(["a", "bc"]),
        np.array(["a", "bc"], dtype=object),
        np.array([-(2**60), 2**60 + 1]),
    ],
    ids=lambda a: a.dtype.name,
)
def test_labels_keep_values_and_dtype_through_json(labels):
    back = untag_labels(json.loads(json.dumps(tag_labels(labels))))
    assert back.dtype == labels.dtype
    np.testing.assert_array_equal(back, labels)


def test_mixed_labels_and_foreign_dtypes_are_refused():
    with pytest.raises(TargetError, match="mixture; make them alike"):
        tag_labels(np.array(["a", 1], dtype=object))
    with pytest.raises(ValueError, match="unknown dtype 'V8'"):
        untag_labels({"dtype": "V8", "values": []})


def test_classes_code_by_position_whatever_their_order():
    target = Classes(np.array(["mid", "high", "low"], dtype=object))
    y = np.array(["low", "mid", "high", "low"], dtype=object)
    assert target.encode(y).tolist() == [[2], [0], [1], [2]]
    assert target.encode(y).dtype == np.float32
    assert (target.head.outputs, target.head.link) == (3, "softmax")


def test_binary_classes_use_one_sigmoid_and_decode_to_two_columns():
    target = Classes(np.array([0, 1]))
    assert (target.head.outputs, target.head.link) == (1, "sigmoid")
    np.testing.assert_allclose(target.decode(np.array([[0.25], [1.0]])), [[0.75, 0.25], [0, 1]])


def test_unknown_class_is_named_with_the_remedy():
    with pytest.raises(TargetError, match=r"classes seen in fit \('a', 'b' ...\), received 'c'; drop those rows"):
        Classes(np.array(["a", "b"])).encode(np.array(["a", "c"]))


def test_ordinal_probabilities_are_differences_of_thresholds():
    target = Ordinal(np.array([1, 2, 3]))
    assert (target.head.outputs, target.head.link, target.head.loss) == (2, "cumulative", "ordinal")
    np.testing.assert_allclose(target.decode(np.array([[0.9, 0.4]])), [[0.1, 0.5, 0.4]])


def test_labels_want_their_number_of_columns():
    assert Labels(2).encode(np.array([[0, 1]])).dtype == np.float32
    with pytest.raises(TargetError, match=r"shape \(rows, 2\), received \(1, 3\); give one column a label"):
        Labels(2).encode(np.zeros((1, 3)))


@pytest.mark.parametrize("y", [Y, PAIR, Y[:, None]], ids=["flat", "pair", "column"])
@pytest.mark.parametrize("loss", ["mse", "log_mse"])
def test_numbers_come_back_in_their_units_and_shape(y, loss):
    target = Numbers.fit(y, None, loss)
    encoded = target.encode(y)
    assert encoded.dtype == np.float32
    assert encoded.shape == (50, 1 if y.ndim == 1 else y.shape[1])
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=0), 1, atol=1e-5)
    decoded = target.decode(encoded.astype(np.float64))
    assert decoded.shape == y.shape
    np.testing.assert_allclose(decoded, y, rtol=1e-5)


def test_log_mse_learns_the_logarithm():
    y = np.expm1(Y / 10)
    target = Numbers.fit(y, None, "log_mse")
    z = np.log1p(y)
    np.testing.assert_allclose(target.encode(y)[:, 0], (z - z.mean()) / z.std(), rtol=1e-4, atol=1e-5)
    assert target.head.loss == "mse"


def test_weights_of_moments_equal_repeated_rows():
    weighted, repeated = Numbers.fit(Y, W, "mse"), Numbers.fit(np.repeat(Y, W.astype(int)), None, "mse")
    np.testing.assert_allclose([weighted.center, weighted.scale], [repeated.center, repeated.scale], rtol=1e-12)
    counts = Counts.fit(np.abs(Y), W), Counts.fit(np.repeat(np.abs(Y), W.astype(int)), None)
    np.testing.assert_allclose(counts[0].scale, counts[1].scale, rtol=1e-12)
    pair = Quantiles.fit(Y, W, (0.5,)), Quantiles.fit(np.repeat(Y, W.astype(int)), None, (0.5,))
    np.testing.assert_allclose([pair[0].center, pair[0].scale], [pair[1].center, pair[1].scale], rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 7.0, 1e-9, 1e12])
def test_a_constant_target_decodes_to_itself(value):
    target = Numbers.fit(np.full(20, value), None, "mse")
    assert np.isfinite(target.encode(np.full(3, value))).all()
    np.testing.assert_allclose(target.decode(np.zeros((3, 1))), value, rtol=1e-12)
    counts = Counts.fit(np.zeros(20), None)
    assert counts.scale.tolist() == [1.0]


def test_wrong_column_count_and_wrong_signs_say_so():
    with pytest.raises(TargetError, match="expected y with 2 columns, received 1; fit and validation must agree"):
        Numbers.fit(PAIR, None, "mse").encode(Y)
    with pytest.raises(TargetError, match=r"'log_mse' expects targets above -1, received a minimum of -1.0; choose another loss"):
        Numbers.fit(np.array([-1.0, 2.0]), None, "log_mse")
    with pytest.raises(TargetError, match="'poisson' expects targets of 0 or more, received a minimum of -0.5"):
        Counts.fit(np.array([-0.5, 2.0]), None)
    with pytest.raises(TargetError, match=r"one target column, received y of shape \(50, 2\); fit one model a column"):
        Quantiles.fit(PAIR, None, (0.5,))


def test_quantiles_and_counts_decode_in_the_units_of_y():
    target = Quantiles.fit(Y, None, (0.1, 0.9))
    np.testing.assert_allclose(target.decode(target.encode(Y).astype(float))[:, 0], Y, rtol=1e-5)
    assert (target.head.link, target.head.levels) == ("ascending", (0.1, 0.9))
    counts = Counts.fit(np.array([0.0, 2.0, 4.0]), None)
    assert (counts.head.link, counts.head.loss) == ("exp", "poisson")
    np.testing.assert_allclose(counts.decode(counts.encode(np.array([0.0, 2.0, 4.0]))), [0, 2, 4])
    two = Counts.fit(np.array([[1.0, 10.0], [3.0, 30.0]]), None)
    assert two.decode(np.ones((1, 2))).tolist() == [[2.0, 20.0]]
