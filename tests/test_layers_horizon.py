"""Blocks of forecasting networks: pieces keep every step in its place, and nothing is lost on the way back."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.layers import horizon
from tabdl.network import HorizonNetwork, build, seeded
from tabdl.spec import Head, Inputs, Spec

X = np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)  # (rows, steps, channels)
MASK = np.ones((4, 9), np.float32)


def as_numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("size", [1, 2, 4, 9, 12])
def test_pieces_of_the_past_end_with_the_last_step(size):
    pieces = as_numpy(horizon.past_pieces(X, MASK, size))
    count = -(-9 // size)
    assert pieces.shape == (4, count, size * 4)
    flat = pieces.reshape(4, count * size, 4)
    np.testing.assert_array_equal(flat[:, -9:, :3], X)
    assert (flat[:, -9:, 3] == 1).all()
    assert not flat[:, : count * size - 9].any()


@pytest.mark.parametrize("size", [1, 2, 4, 9, 12])
def test_pieces_ahead_begin_with_the_first_step_and_unfold_to_the_horizon(size):
    pieces = as_numpy(horizon.future_pieces(X[:, :, :1], size))
    assert pieces.shape == (4, -(-9 // size), size)
    np.testing.assert_array_equal(as_numpy(horizon.unfold(pieces, 9)), X[:, :, 0])


def test_shapes_are_turned_without_mixing_rows():
    np.testing.assert_array_equal(as_numpy(horizon.transpose(X)), X.transpose(0, 2, 1))
    np.testing.assert_array_equal(as_numpy(horizon.flatten(X)), X.reshape(4, 27))
    np.testing.assert_array_equal(as_numpy(horizon.repeat(X[:, 0], 2))[:, 1], X[:, 0])
    np.testing.assert_array_equal(as_numpy(horizon.along_steps(X[:, :4], X[:, 4:])), X)
    np.testing.assert_array_equal(as_numpy(horizon.as_channel(MASK))[:, :, 0], MASK)


def test_features_of_the_future_and_of_the_series_move_what_was_found():
    found = keras.Input((5,))
    future, numbers = keras.Input((7, 2)), keras.Input((3,))
    with seeded(0):
        inputs = Inputs(Spec(numbers=3, horizon=7, future=2), numbers=numbers, future=future)
        model = keras.Model([found, future, numbers], horizon.add_future(found, inputs))
    rng = np.random.default_rng(0)
    given = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 5), (4, 7, 2), (4, 3))]
    plain = as_numpy(model(given))
    assert plain.shape == (4, 5)
    for i in range(3):
        moved = [part + (i == j) for j, part in enumerate(given)]
        assert np.abs(as_numpy(model(moved)) - plain).max() > 1e-4
    assert horizon.known_of_series(Inputs(Spec())) is None


def test_a_network_of_the_horizon_gives_its_numbers_as_they_are():
    class Last(HorizonNetwork):
        """What is known of each step ahead."""

        def forward(self, inputs):
            return inputs.future[:, :, 0]

    spec = Spec(steps=9, channels=3, horizon=7, future=2)
    assert spec.shapes == {"sequence": (9, 3), "mask": (9,), "future": (7, 2)}
    assert spec.only(Last.reads) == spec
    assert spec.only(("sequence", "mask")) == Spec(steps=9, channels=3)
    model = build(Last(), spec, Head(7, "identity", "mae"), 0)
    future = np.arange(28, dtype=np.float32).reshape(2, 7, 2)
    found = model({"sequence": X[:2], "mask": MASK[:2], "future": future})
    np.testing.assert_array_equal(as_numpy(found), future[:, :, 0])
