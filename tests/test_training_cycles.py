"""Schedules with cycles: when their training stops."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from trainings import DATA, SETTINGS, Killed, make_program, run, scripted

from tabdl.training.checkpoint import Checkpoint
from tabdl.training.train import Copy, train


@pytest.fixture(scope="module")
def program():
    return make_program()


def stopped_after(program, best, epochs=60, **settings):
    """Epochs of a cyclic training whose score becomes better in the epochs `best` only."""
    scores = [-float(epoch) if epoch in best else 1.0 for epoch in range(1, epochs + 1)]
    state, _ = run(program, scripted(scores)[0], epochs=epochs, schedule="coslog4", **settings)
    return len(state.history["epoch"])


@pytest.mark.parametrize(
    "best, last",
    [
        ([1], 12),  # cycles end in epochs 4, 12, 28 and 60
        ([4, 5], 12),
        ([8], 28),
        ([8, 13], 28),
        ([4, 12, 28], 60),
        (list(range(1, 61)), 60),
    ],
)
def test_a_cyclic_schedule_asks_for_patience_where_a_cycle_ends(program, best, last):
    assert stopped_after(program, best, patience=5) == last
    assert stopped_after(program, best, patience=99) == 60


@pytest.mark.parametrize("epochs, last", [(3, 3), (7, 7), (20, 9), (40, 8), (99, 20)])
def test_a_cycle_ends_in_the_epoch_nearest_to_its_end(program, epochs, last):
    """Cycles end at 1/15, 3/15 and 7/15 of the training."""
    assert stopped_after(program, [1], epochs, patience=7) == last


def test_a_cyclic_training_that_is_resumed_stops_where_it_would_have(program, tmp_path, monkeypatch):
    monkeypatch.setattr("tabdl.training.checkpoint.BUDGET", np.inf)

    def killed(epoch, logs):
        if epoch == 5:
            raise Killed

    kill, path = keras.callbacks.LambdaCallback(on_epoch_end=killed), tmp_path / "fit.npz"
    settings = {"epochs": 60, "schedule": "coslog4", "patience": 5}
    with pytest.raises(Killed):
        run(program, scripted([1.0] * 9)[0], [kill], Checkpoint(path, "mark"), **settings)
    state, _ = run(program, scripted([1.0] * 60)[0], (), Checkpoint(path, "mark"), **settings)
    assert len(state.history["epoch"]) == 12


def test_a_cycle_waits_for_every_copy(program):
    shared, network = program
    settings = replace(SETTINGS, epochs=60, schedule="coslog4", patience=5)
    scores = [[1.0] * 60, [1.0] * 9 + [0.5] * 51]  # the second copy becomes better in epoch 10
    copies = [Copy(shared.fresh_model(network, s), s, validation=scripted(own)[0]) for s, own in enumerate(scores)]
    assert len(train(shared, copies, DATA, settings).history["epoch"]) == 28
