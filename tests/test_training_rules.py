"""The rules of the optimisers against Keras's own, and against their formulas."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.training import rules
from tabdl.training.optimizers import OPTIMIZERS

RATE = 0.1
GRADIENTS = np.random.default_rng(0).normal(size=(12, 7)) * np.geomspace(0.05, 10, 7)
SCHEDULED = RATE * np.linspace(1, 0.1, 12)
KERAS = {  # the same rule there, (momentum, second moment) -> optimizer
    "adam": lambda b1, b2: keras.optimizers.Adam(beta_1=b1, beta_2=b2),
    "adamax": lambda b1, b2: keras.optimizers.Adamax(beta_1=b1, beta_2=b2),
    "sgd": lambda b1, b2: keras.optimizers.SGD(momentum=b1),
    "nesterov": lambda b1, b2: keras.optimizers.SGD(momentum=b1, nesterov=True),
    "rmsprop": lambda b1, b2: keras.optimizers.RMSprop(momentum=b1, rho=b2, epsilon=1e-14),  # inside of the root there
    "adagrad": lambda b1, b2: keras.optimizers.Adagrad(),
    "lion": lambda b1, b2: keras.optimizers.Lion(beta_1=b1, beta_2=b2),
}
REMEMBERS_RATES = ("sgd", "nesterov", "rmsprop")  # in Keras, whose velocity has the rate of each of its steps


def moves(name, gradients, rates, b1=0.5, b2=0.9):
    """Each step of a rule from its first slots; all in float64."""
    count, first = OPTIMIZERS[name]
    slots = [np.full_like(gradients[0], first) for _ in range(count)]
    steps = []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        direction, slots = getattr(rules, name)(g, slots, np.float64(t), np.float64(b1), np.float64(b2))
        slots = [keras.ops.convert_to_numpy(s) for s in slots]
        steps.append(rate * keras.ops.convert_to_numpy(direction))
    return np.array(steps)


def moves_of_keras(name, gradients, rates, b1=0.5, b2=0.9):
    optimizer = KERAS[name](b1, b2)
    variable = keras.Variable(np.zeros(gradients.shape[1], np.float32))
    optimizer.build([variable])
    places = [np.zeros(gradients.shape[1])]
    for g, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate.assign(rate)
        optimizer.apply([keras.ops.convert_to_tensor(g.astype(np.float32))], [variable])
        places.append(np.array(variable.numpy()))
    return np.diff(places, axis=0)


@pytest.mark.parametrize("b1, b2", [(0.9, 0.99), (0.5, 0.9)])
@pytest.mark.parametrize("name", KERAS)
def test_rule_moves_as_keras_does(name, b1, b2):
    rates = np.full(12, RATE) if name in REMEMBERS_RATES else SCHEDULED
    expected = moves_of_keras(name, GRADIENTS, rates, b1, b2)
    np.testing.assert_allclose(moves(name, GRADIENTS, rates, b1, b2), expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", REMEMBERS_RATES)
def test_velocity_is_of_gradients_and_the_rate_of_a_step_counts_for_that_step_alone(name):
    """NOTE[DIFF] to Keras: after a rate of zero nothing moves, however fast it went before."""
    rates = np.array([*[RATE] * 11, 0.0])
    assert (moves(name, GRADIENTS, rates)[-1] == 0).all()
    assert (moves_of_keras(name, GRADIENTS, rates)[-1] != 0).all()


def test_nadam_follows_its_formula():
    m, v, expected = np.zeros(7), np.zeros(7), []
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g**2
        ahead = 0.5 * m / (1 - 0.5 ** (t + 1)) + 0.5 * g / (1 - 0.5**t)
        expected.append(-RATE * ahead / (np.sqrt(v / (1 - 0.9**t)) + 1e-7))
    np.testing.assert_allclose(moves("nadam", GRADIENTS, np.full(12, RATE)), expected, rtol=1e-6)
    assert not np.allclose(expected, moves("adam", GRADIENTS, np.full(12, RATE)), rtol=0.01)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_goes_against_the_gradient_and_zero_gradients_move_nothing(name):
    assert (np.sign(moves(name, GRADIENTS, SCHEDULED)[0]) == -np.sign(GRADIENTS[0])).all()
    assert (moves(name, np.zeros((3, 2)), [RATE] * 3) == 0).all()


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != "adagrad"])
def test_momentum_changes_the_second_step(name):
    turning = np.array([[0.3, -0.2], [-0.015, 0.01]])
    assert not np.allclose(moves(name, turning, [RATE] * 2, 0.0)[1], moves(name, turning, [RATE] * 2, 0.9)[1], rtol=1e-3)


@pytest.mark.parametrize("name", ["adam", "nadam", "adamax", "rmsprop", "lion"])
def test_the_second_moment_changes_what_follows(name):
    assert not np.allclose(moves(name, GRADIENTS, SCHEDULED, b2=0.5), moves(name, GRADIENTS, SCHEDULED, b2=0.99), rtol=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_shape_does_not_matter(name):
    whole = moves(name, GRADIENTS[:, :6].reshape(12, 2, 3), SCHEDULED)
    np.testing.assert_array_equal(whole.reshape(12, 6), moves(name, GRADIENTS[:, :6], SCHEDULED))
