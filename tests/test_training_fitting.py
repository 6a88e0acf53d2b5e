"""From an estimator's parameters to settings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.errors import ParameterError
from tabdl.training import fitting
from tabdl.training.fitting import make_settings


def settings(rows=5_000, partial=False, **params):
    return make_settings(tabdl.MLPClassifier(**params), rows, 3, partial)


@pytest.mark.parametrize(
    "batch_size, batch, steps", [("auto", 125, 40), ("full", 5_000, 1), (1_000, 1_000, 5), (9_999, 5_000, 1), (1, 1, 125)]
)
def test_batch_size_becomes_a_plan(batch_size, batch, steps):
    plan = settings(batch_size=batch_size).plan
    assert (plan.batch, plan.steps, plan.chunks) == (batch, steps, 40 if batch_size == 1 else 1)


def test_some_networks_take_fewer_rows_of_small_tables():
    assert make_settings(tabdl.LITEClassifier(), 160, 3, partial=False).plan.steps == 10
    assert make_settings(tabdl.LITEClassifier(batch_size=32), 160, 3, partial=False).plan.steps == 5
    assert make_settings(tabdl.InceptionClassifier(), 160, 3, partial=False).plan.steps == 5


def test_automatic_epochs_follow_the_steps_and_given_ones_stay():
    assert settings().epochs == 50
    assert settings(batch_size=1).epochs == 12
    assert settings(epochs=7).epochs == 7


def test_small_tables_may_have_more_epochs():
    """Of LITE: 1,000 steps, then 200 epochs, then 5,000 steps."""
    rows = (16, 80, 160, 480, 900, 6_400, 64_000)
    assert [make_settings(tabdl.LITEClassifier(), n, 3, partial=False).epochs for n in rows] == [1000, 200, 200, 167, 88, 100, 20]


def test_every_parameter_of_training_arrives():
    made = settings(
        learning_rate=0.5, schedule="step", warmup=0.2, weight_decay=0.3, patience=4, time_limit=9.0, verbose=2,
        optimizer="lion", momentum=0.7, second_moment=0.8, clip_norm=None, fade="flat_cosine",
    )  # fmt: skip
    assert (made.learning_rate, made.schedule, made.warmup, made.weight_decay) == (0.5, "step", 0.2, 0.3)
    assert (made.patience, made.time_limit, made.verbose, made.seed, made.title) == (4, 9.0, 2, 3, "MLPClassifier")
    assert (made.optimizer, made.fade) == ("lion", "flat_cosine")
    np.testing.assert_allclose(made.knobs, [0.3, np.inf, 0.7, 0.8])
    np.testing.assert_allclose(settings(clip_norm=2.0, weight_decay=0.0).knobs, [0.0, 2.0, 0.9, 0.99])


def test_partial_fit_is_one_epoch_at_the_peak_rate():
    made = settings(partial=True, epochs=9, schedule="cosine", warmup=0.3)
    assert (made.epochs, made.schedule, made.warmup) == (1, "constant", 0.0)


def test_partial_fit_takes_the_steady_share_of_the_rate_that_a_network_names():
    model = tabdl.RealMLPRegressor(learning_rate=0.2)
    assert make_settings(model, 500, 3, partial=False).learning_rate == 0.2
    assert make_settings(model, 500, 3, partial=True).learning_rate == pytest.approx(0.02)
    assert settings(partial=True, learning_rate=0.2).learning_rate == 0.2


def test_partial_fit_does_not_fade():
    assert settings(fade="flat_cosine").fade == "flat_cosine"
    assert settings(partial=True, fade="flat_cosine").fade == "none"


X = np.random.default_rng(0).normal(size=(60, 2))
Y = X[:, 0]
SMALL = {"units": (4,), "epochs": 1, "random_state": 0}


@pytest.mark.parametrize("before, after", [(1, 2), (2, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_another_number_of_copies_cannot_go_on(before, after, how):
    model = tabdl.MLPRegressor(**SMALL, warm_start=True, members=before).fit(X, Y)
    weights = model.weights_
    model.set_params(members=after)
    with pytest.raises(ParameterError, match="expects the network of the last fit"):
        (model.fit if how == "warm_start" else model.partial_fit)(X, Y)
    assert model.weights_ is weights


def test_categories_without_a_word_to_say_are_given_up_by_fit_and_not_by_partial_fit():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=180), "city": [f"city {i % 60}" for i in range(180)]})
    y = X["x"] + 0.1 * rng.normal(size=180)
    away = X.assign(city="elsewhere")

    def moved(model):
        return float(np.abs(model.predict(X) - model.predict(away)).max())

    assert moved(tabdl.MLPRegressor(epochs=2, random_state=0).fit(X, y)) == 0
    assert moved(tabdl.MLPRegressor(epochs=2, unseen=0.2, random_state=0).fit(X, y)) > 0
    assert moved(tabdl.MLPRegressor(random_state=0).partial_fit(X, y)) > 0, "rows that follow may tell more"
    lively = y + rng.normal(size=60)[np.arange(180) % 60] * 3
    model = tabdl.MLPRegressor(epochs=2, random_state=0, warm_start=True).fit(X, lively)
    assert moved(model) > 0
    assert moved(model.fit(X, y)) == 0, "a warm start looks again"
    assert moved(model.set_params(unseen=0.5).fit(X, y)) > 0


@pytest.mark.parametrize(
    "model, least",
    [
        (tabdl.InceptionClassifier(depth=1, width=2), 8),
        (tabdl.LITEClassifier(width=2), 8),
        (tabdl.CNNClassifier(width=2, residual=False), 8),
        (tabdl.CNNClassifier(width=2), 1),
        (tabdl.ResNetClassifier(width=4, blocks=1), 8),
        (tabdl.ResNetClassifier(width=4, blocks=1, norm="layer"), 1),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_batch_norm_sees_eight_rows_or_more(model, least, monkeypatch):
    plans, plain = [], fitting.Plan.of
    monkeypatch.setattr(fitting.Plan, "of", lambda *args, **told: plans.append(plain(*args, **told)) or plans[-1])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(17, 6, 1)) if "series" in model.reads or hasattr(model, "channels_first") else rng.normal(size=(17, 6))
    model.set_params(batch_size=2, epochs=1, validation_fraction=0.0, random_state=0).fit(X, np.arange(17) % 2)
    assert {plan.batch >= least for plan in plans} == {True}
    assert {plan.batch for plan in plans} == {9 if least == 8 else 2}
