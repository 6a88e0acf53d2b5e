"""Small trainings of one network, with validations that say what a test wants to hear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tabdl.models.mlp import MLP
from tabdl.spec import Head, Spec
from tabdl.training.order import Plan
from tabdl.training.program import get_program
from tabdl.training.train import Copy, Settings, Validation, train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = (X[:, :1] * 2 - X[:, 1:2]).astype(np.float32)
DATA = {"numbers": X[None], "target": Y, "weight": np.ones(60, np.float32)}  # one table
SETTINGS = Settings(
    plan=Plan.of(60, 20), epochs=4, learning_rate=0.01, schedule="constant", warmup=0.0, weight_decay=0.0, patience=99, seed=5
)


def make_program():
    return get_program(MLP(units=(4,), dropout=0.2), Spec(numbers=3), Head(1, "identity", "mse"))


def run(program, validation=None, callbacks=(), checkpoint=None, data=DATA, **changes):
    """One copy from the weights of seed 1, in the order of `seed`."""
    shared, network = program
    settings = replace(SETTINGS, **changes)
    copies = [Copy(shared.fresh_model(network, 1), settings.seed, validation=validation)]
    state = train(shared, copies, data, settings, callbacks=list(callbacks), checkpoint=checkpoint)
    return state, state.weights()


def same(a, b):
    return all(np.array_equal(a[k], b[k]) for k in a)


def scripted(scores, larger=False):
    """A validation that returns given scores, and the weights that it saw."""
    seen = []

    def score(predict):
        seen.append(predict({"numbers": X}))
        return scores[len(seen) - 1]

    return Validation("made_up", larger, score), seen


class Killed(Exception):
    """Stands for the end of the process."""
