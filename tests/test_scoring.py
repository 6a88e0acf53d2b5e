"""The task that a target asks for, and scores against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from tabdl.errors import TargetError
from tabdl.scoring import class_scores, encode_labels, format_scores, infer_task, number_scores

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values, task",
    [
        ([0, 1] * 50, "classifier"),
        ([True, False] * 50, "classifier"),
        (["no", "yes"] * 50, "classifier"),
        (["a", "b", "c"] * 30, "classifier"),
        ([0.0, 1.0] * 50, "classifier"),
        (list(range(10)) * 10, "classifier"),
        (list(range(11)) * 10, "regressor"),
        ([0.5, 1.0] * 50, "regressor"),
        (RNG.normal(size=100).tolist(), "regressor"),
    ],
)
def test_infer_task(values: list, task: str) -> None:
    found, reason = infer_task(pd.Series(values, name="y"))
    assert found == task
    assert "different" in reason


def test_texts_that_are_no_classes() -> None:
    with pytest.raises(TargetError, match="'y' holds text, 100 different values in 100 rows"):
        infer_task(pd.Series([f"€ {i}" for i in range(100)], name="y"))


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_scores(weighted: bool) -> None:
    y, p = RNG.integers(0, 2, 200), RNG.random(200)
    weight = RNG.integers(1, 4, 200) if weighted else None
    scores = class_scores(["no", "yes"], np.where(y, "yes", "no"), np.column_stack([1 - p, p]), weight)
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=weight))
    assert scores["average_precision"] == pytest.approx(metrics.average_precision_score(y, p, sample_weight=weight))
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(y, p, sample_weight=weight))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(y, p > 0.5, sample_weight=weight))


def test_scores_of_many_classes() -> None:
    y, p = RNG.integers(0, 3, 200), RNG.dirichlet(np.ones(3), 200)
    scores = class_scores([0, 1, 2], y, p)
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, p.argmax(axis=1)))


def test_number_scores() -> None:
    y, predicted = RNG.normal(size=(2, 200))
    scores = number_scores(y, predicted)
    assert scores["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert scores["mae"] == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert scores["r2"] == pytest.approx(metrics.r2_score(y, predicted))


def test_quantile_scores() -> None:
    y, levels = RNG.normal(size=400), (0.1, 0.9)
    scores = number_scores(y, np.tile(np.quantile(y, levels), (400, 1)), None, levels)
    assert scores["share_below_0.1"] == pytest.approx(0.1, abs=0.01)
    assert scores["share_below_0.9"] == pytest.approx(0.9, abs=0.01)
    expected = np.mean(
        [metrics.mean_pinball_loss(y, np.full(400, q), alpha=a) for q, a in zip(np.quantile(y, levels), levels, strict=True)]
    )
    assert scores["pinball"] == pytest.approx(expected)


def test_labels_match_by_their_text() -> None:
    assert encode_labels([1, 0], [0, 1]).tolist() == [1, 0]
    assert encode_labels(["1", "0"], np.array([0, 1])).tolist() == [1, 0]
    assert encode_labels([1.0, 0.0, 7.0], ["0", "1"]).tolist() == [1, 0, -1]
    assert encode_labels([True, False], ["False", "True"]).tolist() == [1, 0]


def test_unknown_classes_are_left_out_aloud() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    with pytest.warns(UserWarning, match="1 rows of classes"):
        scores = class_scores(["a", "b"], ["a", "b", "c"], p, [1, 1, 5])
    assert scores == class_scores(["a", "b"], ["a", "b"], p[:2])
    with pytest.raises(TargetError, match="expected the classes a, b, received 'x'"):
        class_scores(["a", "b"], ["x", "y", "z"], p)


def test_scores_are_printed_in_columns() -> None:
    assert format_scores({"auc": 0.5, "average_precision": 0.25}) == "auc                0.5000\naverage precision  0.2500"
    assert format_scores({"rmse": 31753.4}) == "rmse  31753.4"
