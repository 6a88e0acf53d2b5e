"""Validation metrics by name: (target, predictions, weight) -> a number, and whether larger is better.

For classes, `y` holds encoded classes (rows, 1) or labels (rows, labels) and predictions are probabilities
(rows, classes or labels); for numbers both are in the units of y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CLASSIFICATION = ("log_loss", "accuracy", "balanced_accuracy", "auc", "average_precision", "brier")
REGRESSION = ("rmse", "mae", "r2", "poisson_deviance", "pinball")
LARGER_IS_BETTER = {"accuracy", "balanced_accuracy", "auc", "average_precision", "r2"}


def _hot(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """0/1 for each class or label, in the shape of p."""
    return (np.arange(p.shape[1]) == y).astype(float) if y.shape != p.shape else y


def _average(values: np.ndarray, weight: np.ndarray | None) -> float:
    """Weighted mean over rows of the mean over columns."""
    return float(np.average(values.reshape(len(values), -1).mean(axis=1), weights=weight))


def log_loss(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    p = np.clip(p.astype(np.float64), 1e-7, 1 - 1e-7)
    if y.shape == p.shape:
        return _average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), w)
    return _average(-np.log(np.take_along_axis(p, y.astype(int), axis=1)), w)


def accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    right = np.all((p > 0.5) == y, axis=1) if y.shape == p.shape else p.argmax(axis=1) == y[:, 0]
    return _average(right.astype(float), w)


def balanced_accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    w = np.ones(len(y)) if w is None else w
    hot, chosen = _hot(y, p), (p > 0.5 if y.shape == p.shape else _hot(p.argmax(axis=1)[:, None], p))
    present = w @ hot > 0
    return float(((w @ (hot * chosen))[present] / (w @ hot)[present]).mean())


def auc(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    """Area under the ROC curve, one class or label against the rest, averaged over those that occur both ways."""
    from sklearn.metrics import roc_auc_score

    return _by_column(y, p, lambda t, s: roc_auc_score(t, s, sample_weight=w))


def average_precision(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    from sklearn.metrics import average_precision_score

    return _by_column(y, p, lambda t, s: average_precision_score(t, s, sample_weight=w))


def brier(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return _average((_hot(y, p) - p) ** 2, w)


def _by_column(y: np.ndarray, p: np.ndarray, score: Callable[[np.ndarray, np.ndarray], float]) -> float:
    hot = _hot(y, p)
    columns = [1] if y.shape != p.shape and p.shape[1] == 2 else range(p.shape[1])
    scores = [score(hot[:, j], p[:, j]) for j in columns if 0 < hot[:, j].sum() < len(hot)]
    return float(np.mean(scores)) if scores else 0.5  # one class alone cannot be ranked


def rmse(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return float(np.sqrt(np.average((y - p) ** 2, axis=0, weights=w)).mean())


def mae(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return _average(np.abs(y - p), w)


def r2(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    around = np.average((y - np.average(y, axis=0, weights=w)) ** 2, axis=0, weights=w)
    error = np.average((y - p) ** 2, axis=0, weights=w)
    return float(np.mean(np.where(around > 0, 1 - error / np.where(around > 0, around, 1), 0.0)))


def poisson_deviance(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    p = np.maximum(p, 1e-12)
    return _average(2 * (np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / p), 0) - y + p), w)


def pinball(y: np.ndarray, p: np.ndarray, w: np.ndarray | None, levels: tuple[float, ...] = (0.5,)) -> float:
    error, level = y.reshape(len(p), -1) - p.reshape(len(p), -1), np.array(levels)
    return _average(np.maximum(level * error, (level - 1) * error), w)


METRICS: dict[str, Callable[..., float]] = {name: globals()[name] for name in (*CLASSIFICATION, *REGRESSION)}
