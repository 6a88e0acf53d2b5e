"""What kind of task a target asks for, and how good predictions of held-out rows are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.cells import text_of
from tabdl.errors import TargetError
from tabdl.training import metrics

if TYPE_CHECKING:
    import pandas as pd

FEW_VALUES = 10  # distinct whole numbers up to which a target is taken for classes
MOST_CLASSES = 0.5  # distinct texts a row, above which a target is no class
BINARY = ("auc", "average_precision", "log_loss", "accuracy")
MANY = ("auc", "log_loss", "accuracy", "balanced_accuracy")
NUMBERS = ("rmse", "mae", "r2")


def infer_task(y: pd.Series) -> tuple[str, str]:
    """("classifier" or "regressor", the reason in words) for a target column without gaps."""
    distinct = y.nunique()
    if y.dtype.kind not in "iuf":
        if distinct > max(2, MOST_CLASSES * len(y)):
            raise TargetError(
                f"target {y.name!r} holds text, {distinct} different values in {len(y)} rows: expected classes or numbers; "
                "clean the column, or choose another"
            )
        return "classifier", f"{distinct} different values that are not numbers"
    if distinct <= FEW_VALUES and bool((y == y.round()).all()):
        return "classifier", f"{distinct} different whole numbers"
    return "regressor", f"{distinct} different numbers"


def held_out_scores(model: Any, X: Any, y: Any, weight: Any = None) -> dict[str, float]:
    """Scores of a fitted estimator on rows that it has not seen, by name."""
    from sklearn.base import is_classifier

    if is_classifier(model):
        return class_scores(model.classes_, y, model.predict_proba(X), weight)
    return number_scores(y, model.predict(X), weight, getattr(model, "quantiles", None))


def class_scores(classes: Any, y: Any, probabilities: np.ndarray, weight: Any = None) -> dict[str, float]:
    """Scores of class probabilities (rows, classes); the second of two classes is the positive one."""
    codes, weight = encode_labels(y, classes), _weight(weight)
    known = codes >= 0
    if not known.any():
        listed = ", ".join(map(str, np.asarray(classes).tolist()[:20]))
        raise TargetError(f"expected the classes {listed}, received {np.asarray(y).tolist()[0]!r}; name another target")
    if not known.all():
        warnings.warn(f"{int((~known).sum())} rows of classes that the model has not learned are not scored", stacklevel=2)
        codes, probabilities, weight = codes[known], probabilities[known], None if weight is None else weight[known]
    names = BINARY if len(classes) == 2 else MANY
    return {name: metrics.METRICS[name](codes[:, None], np.asarray(probabilities), weight) for name in names}


def number_scores(y: Any, predictions: Any, weight: Any = None, levels: Any = None) -> dict[str, float]:
    """Scores of predicted numbers (rows,) or of quantiles (rows, levels)."""
    truth, predicted = np.asarray(y, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if levels is None:
        return {name: metrics.METRICS[name](truth, predicted, _weight(weight)) for name in NUMBERS}
    scores = {"pinball": metrics.pinball(truth, predicted, _weight(weight), tuple(levels))}
    below = np.average(truth[:, None] <= predicted, axis=0, weights=_weight(weight))
    return scores | {f"share_below_{level:g}": float(share) for level, share in zip(levels, below, strict=True)}


def encode_labels(y: Any, classes: Any) -> np.ndarray:
    """Position of each label in `classes`, -1 for others; labels are the same when their texts are (1, 1.0 and "1")."""
    places = {text_of(label): place for place, label in enumerate(np.asarray(classes).tolist())}
    return np.array([places.get(text_of(label), -1) for label in np.asarray(y).tolist()], dtype=np.int64)


def format_scores(scores: dict[str, float]) -> str:
    """One line a score: name and value."""
    width = max(map(len, scores))
    shown = {name.replace("_", " "): f"{value:.4f}" if abs(value) < 1000 else f"{value:.6g}" for name, value in scores.items()}
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown.items())


def _weight(weight: Any) -> np.ndarray | None:
    return None if weight is None else np.asarray(weight, dtype=np.float64)
