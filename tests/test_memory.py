"""Memory: searches and long-running services do not grow."""

from __future__ import annotations

import gc

import numpy as np
import psutil
import pytest
from sklearn.model_selection import RandomizedSearchCV

from tabdl import MLPClassifier, TabMClassifier
from tabdl.testing import mixed_table

X = mixed_table()
Y = (X["number"] > 0).astype(int)
RNG = np.random.default_rng(0)


def resident() -> float:
    """Memory of this process in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def growth(work, times: int) -> float:
    before = resident()
    for turn in range(times):
        work(turn)
    return resident() - before


def test_thirty_fits_of_one_architecture():
    def fit(turn):
        rates = {
            "learning_rate": 10 ** RNG.uniform(-4, -1),
            "dropout": RNG.uniform(0.01, 0.5),
            "weight_decay": RNG.uniform(0, 0.1),
        }
        MLPClassifier(units=(16,), epochs=1, random_state=turn, **rates).fit(X, Y).predict(X)

    fit(0)
    assert growth(fit, 30) <= 60


@pytest.mark.parametrize("cls", [MLPClassifier, TabMClassifier], ids=lambda c: c.__name__)
def test_three_hundred_predictions_of_one_row(cls):
    model = cls(epochs=1, random_state=0).fit(X, Y)
    model.predict_proba(X[:1])
    assert growth(lambda turn: model.predict_proba(X.iloc[[turn % len(X)]]), 300) <= 10


def test_predictions_of_any_number_of_rows_compile_nothing_new():
    model = MLPClassifier(units=(16,), epochs=1, random_state=0).fit(X, Y)
    model.predict_proba(X)
    sizes = growth(lambda turn: model.predict_proba(X[: 1 + turn % len(X)]), 120)
    assert sizes <= 40, "the backend plans each new shape once, far below the cost of a compilation"
    assert growth(lambda turn: model.predict_proba(X[: 1 + turn % len(X)]), 120) <= 8


@pytest.mark.full
def test_two_hundred_fits_of_one_search():
    space = {
        "learning_rate": list(10 ** RNG.uniform(-4, -1, 50)),
        "dropout": list(RNG.uniform(0.01, 0.5, 50)),
        "weight_decay": list(RNG.uniform(0, 0.1, 50)),
        "units": [(16,), (32,), (16, 16)],
    }
    MLPClassifier(units=(16,), epochs=1).fit(X, Y)
    search = RandomizedSearchCV(MLPClassifier(epochs=2, random_state=0), space, n_iter=100, cv=2, random_state=0, refit=False)
    assert growth(lambda _: search.fit(X, Y), 1) <= 200
    assert len(search.cv_results_["params"]) == 100
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.full
@pytest.mark.parametrize("cls", [MLPClassifier, TabMClassifier], ids=lambda c: c.__name__)
def test_ten_thousand_predictions_of_one_row(cls):
    model = cls(epochs=1, random_state=0).fit(X, Y)
    for _ in range(100):
        model.predict_proba(X[:1])
    assert growth(lambda turn: model.predict_proba(X.iloc[[turn % len(X)]]), 10_000) <= 20
