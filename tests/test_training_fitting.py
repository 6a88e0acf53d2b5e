"""From an estimator's parameters to settings."""

from __future__ import annotations

import pytest

import tabdl
from tabdl.training.fitting import make_settings
from tabdl.training.program import Updates


def settings(rows=5_000, partial=False, **params):
    return make_settings(tabdl.MLPClassifier(**params), rows, 3, partial)


@pytest.mark.parametrize(
    "batch_size, batch, steps", [("auto", 125, 40), ("full", 5_000, 1), (1_000, 1_000, 5), (9_999, 5_000, 1), (1, 1, 125)]
)
def test_batch_size_becomes_a_plan(batch_size, batch, steps):
    plan = settings(batch_size=batch_size).plan
    assert (plan.batch, plan.steps, plan.chunks) == (batch, steps, 40 if batch_size == 1 else 1)


def test_automatic_epochs_follow_the_steps_and_given_ones_stay():
    assert settings().epochs == 50
    assert settings(batch_size=1).epochs == 12
    assert settings(epochs=7).epochs == 7


def test_every_parameter_of_training_arrives():
    made = settings(
        learning_rate=0.5, schedule="step", warmup=0.2, weight_decay=0.3, patience=4, time_limit=9.0, verbose=2,
        optimizer="lion", momentum=0.7, clip_norm=None,
    )  # fmt: skip
    assert (made.learning_rate, made.schedule, made.warmup, made.weight_decay) == (0.5, "step", 0.2, 0.3)
    assert (made.patience, made.time_limit, made.verbose, made.seed, made.title) == (4, 9.0, 2, 3, "MLPClassifier")
    assert made.updates == Updates("lion", 0.7, None)


def test_partial_fit_is_one_epoch_at_the_peak_rate():
    made = settings(partial=True, epochs=9, schedule="cosine", warmup=0.3)
    assert (made.epochs, made.schedule, made.warmup) == (1, "constant", 0.0)
