"""Optimisers by name: each one's first steps against its formula."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.training.optimizers import OPTIMIZERS, make_optimizer

RATE = 0.1
G1, G2 = np.array([0.3, -0.2]), np.array([0.1, 0.4])


def moves(name, momentum=0.5, clip_norm=None, gradients=(G1, G2)):
    """Steps of two weights under given gradients."""
    variable = keras.Variable(np.zeros(2, np.float32))
    optimizer = make_optimizer(name, momentum, clip_norm)
    optimizer.build([variable])
    places = [np.zeros(2)]
    for gradient in gradients:
        optimizer.learning_rate.assign(RATE)
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [variable])
        places.append(np.array(keras.ops.convert_to_numpy(variable.value)))
    return np.diff(places, axis=0)


def test_every_documented_optimizer_moves_against_the_gradient():
    for name in OPTIMIZERS:
        first = moves(name)[0]
        np.testing.assert_array_equal(np.sign(first), -np.sign(G1), err_msg=name)


def test_sgd_and_nesterov_follow_their_formulas():
    np.testing.assert_allclose(moves("sgd"), [-RATE * G1, -RATE * (0.5 * G1 + G2)], rtol=1e-5)
    velocity = [-RATE * G1, 0.5 * -RATE * G1 - RATE * G2]
    np.testing.assert_allclose(
        moves("nesterov"), [0.5 * v - RATE * g for v, g in zip(velocity, (G1, G2), strict=True)], rtol=1e-5
    )
    np.testing.assert_allclose(moves("sgd", momentum=0.0), [-RATE * G1, -RATE * G2], rtol=1e-5)


def test_adam_follows_its_formula_with_momentum_as_first_moment():
    m, v, expected = np.zeros(2), np.zeros(2), []
    for t, g in enumerate((G1, G2), 1):
        m, v = 0.5 * m + 0.5 * g, 0.99 * v + 0.01 * g**2
        expected.append(-RATE * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-7))
    np.testing.assert_allclose(moves("adam"), expected, rtol=1e-4)


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in ("adagrad",)])
def test_momentum_changes_the_second_step(name):
    turning = (G1, -0.05 * G1)
    assert not np.allclose(moves(name, 0.0, gradients=turning)[1], moves(name, 0.9, gradients=turning)[1], rtol=1e-3)


def test_clip_norm_limits_the_global_norm():
    big = (30 * G1, G2)
    np.testing.assert_allclose(moves("sgd", 0.0, 1.0, big)[0], -RATE * G1 / np.linalg.norm(G1), rtol=1e-5)
    np.testing.assert_allclose(moves("sgd", 0.0, 1.0, big)[1], -RATE * G2, rtol=1e-5, err_msg="a small gradient stays")
    np.testing.assert_allclose(moves("sgd", 0.0, None, big)[0], -RATE * 30 * G1, rtol=1e-5)
