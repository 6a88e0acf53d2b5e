"""From ridge outputs to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tabdl
from tabdl.estimators.closed import USUAL, find_factor, link


def outputs(rows: int, right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ridge outputs (rows, 1) of which a share is right, and the truth."""
    rng = np.random.default_rng(seed)
    on = rng.random((rows, 1)) < 0.5
    sides = np.where(rng.random((rows, 1)) < right, 1, -1) * np.where(on, 1, -1)
    return sides * rng.uniform(0.2, 1.0, (rows, 1)), on


def test_a_few_right_rows_make_no_model_sure():
    assert USUAL < find_factor(*outputs(10, right=1.0), None, "sigmoid") < 2 * USUAL
    assert find_factor(*outputs(10_000, right=1.0), None, "sigmoid") > 4 * USUAL


def test_many_rows_find_the_factor_of_their_log_loss():
    rng = np.random.default_rng(1)
    left_out = rng.normal(0, 0.5, (50_000, 3))
    on = np.array([np.eye(3, dtype=bool)[rng.choice(3, p=p)] for p in link(8.0 * left_out, "softmax")])
    assert find_factor(left_out, on, None, "softmax") == pytest.approx(8.0, rel=0.03)


def test_outputs_that_say_nothing_give_little():
    assert find_factor(*outputs(5_000, right=0.5), None, "sigmoid") < 0.2
    assert find_factor(*outputs(5_000, right=0.0), None, "sigmoid") < 0.2


def test_copies_say_no_more_than_weights():
    left_out, on = outputs(12, right=0.9)
    weight = np.arange(12) % 3 + 1.0
    counts = weight.astype(int)
    copied = find_factor(left_out.repeat(counts, axis=0), on.repeat(counts, axis=0), None, "sigmoid")
    assert copied == pytest.approx(find_factor(left_out, on, weight, "sigmoid"), rel=1e-4)


def test_more_rows_reach_the_model_that_stands_for_those_of_the_folds(tmp_path: Path) -> None:
    X, y = tabdl.datasets.make_waves(40, random_state=0)
    model = tabdl.SeriesClassifier(epochs=1, random_state=0).fit(X[:30], y[:30])
    assert [len(part.encoders_) for part in model.parts_.values()] == [1, 5]
    tabdl.save(model, tmp_path / "m.tabdl")
    loaded, before = tabdl.load(tmp_path / "m.tabdl"), model.predict_proba(X)
    for continued in (model, loaded):
        continued.partial_fit(X[30:], y[30:])
        assert [len(part.encoders_) for part in continued.parts_.values()] == [1, 5]
    assert np.abs(model.predict_proba(X) - before).max() > 0
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), atol=1e-6)
