"""What callbacks see and may change, apart from any training."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.models.mlp import MLP
from tabdl.network import build
from tabdl.spec import Head, Spec
from tabdl.training.listeners import Listeners

TOLD = {"epochs": 3, "steps": 4, "verbose": 0}


def model():
    return build(MLP(units=(2,), norm="batch", dropout=0.3), Spec(numbers=3), Head(1, "identity", "mse"), 0)


def arrays_of(network):
    return [np.array(v.numpy()) for v in (*network.trainable_variables, *network.non_trainable_variables)]


def listen(*callbacks, rate=0.01):
    network = model()
    return Listeners(list(callbacks), network, rate, TOLD), network


def begin(action):
    return keras.callbacks.LambdaCallback(on_epoch_begin=action)


def test_without_callbacks_nothing_is_kept():
    listeners, network = listen()
    assert not listeners.present
    assert not listeners.stopped
    assert not hasattr(listeners, "list")
    assert not hasattr(network, "stop_training") or not network.stop_training


def test_callbacks_see_the_weights_the_rate_and_what_they_are_told():
    class Sees(keras.callbacks.Callback):
        seen: list = []

        def on_epoch_end(self, epoch, logs=None):
            rate = float(self.model.optimizer.learning_rate.numpy())
            self.seen.append((epoch, logs, rate, self.params, [np.array(w) for w in self.model.get_weights()]))

    mine = Sees()
    listeners, network = listen(mine)
    shown = [(a + 1).astype(a.dtype) for a in arrays_of(network)]  # NumPy 1 widens sums of single numbers
    listeners.rate = 0.25
    assert listeners.tell(shown, "on_epoch_end", 2, {"loss": 0.5}) == (False, 1.0)
    ((epoch, logs, rate, params, weights),) = Sees.seen
    assert (epoch, logs["loss"], rate, params) == (2, 0.5, 0.25, TOLD)
    saved = {v.path: a for v, a in zip((*network.trainable_variables, *network.non_trainable_variables), shown, strict=True)}
    for weight, variable in zip(weights, network.weights, strict=True):
        np.testing.assert_array_equal(weight, saved[variable.path])
    assert mine.model is None, "the user's own object never saw a model"


@pytest.mark.parametrize("where", ["kernel", "moving_mean"])
def test_a_change_of_weights_is_told_and_written_into_the_arrays(where):
    def change(epoch, logs):
        next(v for v in network.weights if v.name == where).assign(np.full(shape, 7.0))

    network = model()
    shape = tuple(next(v for v in network.weights if v.name == where).shape)
    listeners = Listeners([begin(change)], network, 0.01, TOLD)
    arrays = arrays_of(network)
    before = [a.copy() for a in arrays]
    assert listeners.tell(arrays, "on_epoch_begin", 0) == (True, 1.0)
    moved = [i for i, (a, b) in enumerate(zip(arrays, before, strict=True)) if not np.array_equal(a, b)]
    names = [v.name for v in (*network.trainable_variables, *network.non_trainable_variables)]
    assert moved == [names.index(where)]
    np.testing.assert_array_equal(arrays[moved[0]], np.full(shape, 7.0))


def test_weights_that_are_nan_are_no_change():
    listeners, network = listen(begin(lambda epoch, logs: None))
    assert listeners.tell(
        [np.full_like(a, np.nan) if a.dtype.kind == "f" else a for a in arrays_of(network)], "on_epoch_begin", 0
    )[0] in (False, np.False_)


def test_a_rate_that_is_set_scales_and_is_seen_by_the_next():
    listeners, network = listen(
        begin(lambda epoch, logs: network_rate(0.04)), begin(lambda epoch, logs: network_rate(None, 0.5)), rate=0.01
    )

    def network_rate(value, factor=None):
        rate = network.optimizer.learning_rate
        rate.assign(value if factor is None else factor * float(rate.numpy()))

    changed, scale = listeners.tell(arrays_of(network), "on_epoch_begin", 0)
    assert not changed
    assert scale == pytest.approx(2.0)
    assert listeners.rate == pytest.approx(0.02)


def test_a_rate_of_zero_cannot_be_scaled():
    listeners, network = listen(begin(lambda epoch, logs: network.optimizer.learning_rate.assign(0.5)), rate=0.0)
    assert listeners.tell(arrays_of(network), "on_epoch_begin", 0) == (False, 1.0)


def test_stop_training_is_heard():
    def stop(epoch, logs):
        network.stop_training = True

    listeners, network = listen(begin(stop))
    listeners.tell(arrays_of(network), "on_train_begin")
    assert not listeners.stopped
    listeners.tell(arrays_of(network), "on_epoch_begin", 0)
    assert listeners.stopped
