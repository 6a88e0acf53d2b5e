"""Classifier and Regressor: three hooks each."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from tabdl.errors import ParameterError, TargetError
from tabdl.estimators import calibration
from tabdl.estimators.base import Estimator
from tabdl.estimators.rows import Rows
from tabdl.estimators.streaming import named_cells
from tabdl.frames import canonical
from tabdl.params import param
from tabdl.targets import Classes, Counts, Labels, Numbers, Ordinal, Quantiles, Target


class Classifier(ClassifierMixin, Estimator):
    """Base of classifiers: two or many classes, ordered classes, or several labels at once."""

    loss: str = param(
        "cross_entropy",
        "what is minimised; 'ordinal' uses the order of the classes (that of an ordered pandas category, else sorted), "
        "'kl' is cross-entropy less the label's entropy",
        options=("cross_entropy", "focal", "hinge", "kl", "ordinal"),
    )
    label_smoothing: float = param(0.0, "probability mass spread evenly over the classes", low=0, high=0.5)
    class_weight: str | dict | None = param(
        None,
        "weight of each class in the loss and the validation score, {class: weight}; 'balanced': inverse to its share",
        options=("balanced",),
    )
    metric: str = param(
        "log_loss",
        "validation score that picks the best epoch; log_loss and brier are at the temperature that `calibrate` would find, "
        "where no `members` or folds are averaged",
        options=("log_loss", "accuracy", "balanced_accuracy", "auc", "average_precision", "brier"),
    )
    calibrate: bool = param(
        True,
        "whether rows held out of training, weighted as in the validation score, set a temperature for all probabilities where "
        "that lowers their log-loss: `temperature_`, above 1 for a network that was too sure of itself (never with `bagging`, "
        "whose average softens by itself), 1.0 without such rows. It leaves predicted classes as they are, and of two classes "
        "the ranking of rows; but see `metric`",
    )
    temperature_: float

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """One pass over some rows, at the constant peak rate; the first call learns the columns and scales.

        Parameters are those of `fit`; `classes` names all classes, in their order, when the first rows may lack some.
        """
        return self._continue(X, y, classes, sample_weight)

    def _check_y(self, y: Any) -> np.ndarray:
        from sklearn.utils.multiclass import check_classification_targets, type_of_target
        from sklearn.utils.validation import column_or_1d

        y = _plain(y)
        if y.ndim == 2 and y.shape[1] > 1:
            if type_of_target(y, input_name="y") != "multilabel-indicator":
                raise TargetError("expected one column of classes or 0/1 columns of labels; for more use MultiOutputClassifier")
            return y.astype(np.int8)
        y = column_or_1d(y, warn=True)
        if y.dtype.kind in "fO" and any(v is None or type(v).__name__ == "NAType" or v != v for v in y.tolist()):
            raise TargetError("Input y contains NaN.; drop the rows without a class")
        check_classification_targets(y)
        return y

    def _make_target(self, rows: Rows) -> Target:
        if rows.y.ndim == 2:
            if self.loss == "ordinal":
                raise ParameterError(
                    "loss='ordinal' expects one column of ordered classes, received several labels; use 'cross_entropy'"
                )
            self.classes_ = np.arange(rows.y.shape[1])
            return Labels(rows.y.shape[1], self.loss, float(self.label_smoothing))
        order, classes = rows.order, rows.classes
        if self.loss == "ordinal" and order is not None:
            classes = np.array([c for c in order if c in set(classes.tolist())], dtype=classes.dtype)
        if len(classes) < 2:
            raise TargetError(
                f"expected two classes or more, received one class: {classes.tolist()[0]!r}; add rows of another class"
            )
        self.classes_ = classes
        kind = Ordinal if self.loss == "ordinal" else Classes
        return kind(classes, self.loss, float(self.label_smoothing))

    def _row_weights(self, rows: Rows) -> np.ndarray | None:
        if self.class_weight is None:
            return rows.weight
        if rows.y.ndim == 2:
            raise ParameterError("class_weight expects one column of classes, received several labels; use sample_weight instead")
        own = np.ones(len(rows.y)) if rows.weight is None else rows.weight
        codes = self.target_.encode(rows.y)[:, 0].astype(int)
        if not isinstance(self.class_weight, dict):
            share = np.bincount(codes, own, len(self.classes_))
            if rows.stream is not None:
                share = np.array([rows.stream.counted[c] for c in self.classes_.tolist()])
            factors = share.sum() / (np.count_nonzero(share) * np.maximum(share, 1e-300))
        else:
            unknown = [c for c in self.class_weight if c not in self.classes_]
            if unknown:
                raise ParameterError(f"class_weight names {unknown[0]!r}, expected classes among {self.classes_.tolist()}")
            factors = np.array([float(self.class_weight.get(c, 1.0)) for c in self.classes_.tolist()])
            if not (factors > 0).all():
                raise ParameterError(f"class_weight={self.class_weight!r}: expected weights above 0; or drop the rows")
        return own * factors[codes]

    def _truth(self, y: np.ndarray) -> np.ndarray:
        return self.target_.encode(y)

    def _metric(self) -> str:
        return self.metric

    def _stratify(self, y: np.ndarray) -> bool:
        return y.ndim == 1

    def _forget_held_out(self) -> None:
        super()._forget_held_out()
        self.temperature_ = 1.0

    def _learn_from_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None, count: float) -> None:
        """The temperature, under the weights of the loss.

        These have `class_weight` in them: it asks for probabilities of classes that are weighted so, and a temperature, which
        leaves every choice as it is, could not turn them back into those of the plain rows.

        Folds are predicted by one model each, new rows by the average of all, which is less sure already: what would soften
        each is not applied to the average.
        """
        if self.calibrate:
            found = calibration.fit_temperature(self._truth(y), outputs, weight, count)
            self.temperature_ = found if len(self.encoders_) == 1 else min(found, 1.0)

    def _tempering(self, held: Rows) -> Callable[..., np.ndarray] | None:
        """The best epoch knows most, however sure it is of it (arXiv 2501.19195); copies that are averaged stay as they are.

        RealMLP, three splits of the training rows of coupon: log-loss .556 -> .543, AUC .781 -> .794; adult, churn: equal;
        online_shoppers: .2295 -> .2323.
        """
        if not self.calibrate or self.copies > 1 or self.metric not in ("log_loss", "brier"):
            return None
        count = calibration.effective_rows(len(held.y), self._row_weights(held), held.weight)

        def temper(truth: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
            found = calibration.fit_temperature(truth, outputs, weight, count)
            return calibration.temper(outputs, found, isinstance(self.target_, Labels))

        return temper

    def _calibrated(self, outputs: np.ndarray) -> np.ndarray:
        return calibration.temper(outputs, self.temperature_, isinstance(self.target_, Labels))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float64 (rows, classes) in the order of `classes_`, or (rows, labels) of each label being on.

        They are at `temperature_`, see `calibrate`; with `class_weight` they are those of classes weighted so.
        """
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:
        """Most probable class of each row (rows,), or 0/1 labels (rows, labels)."""
        return self._answer(self._outputs(X))

    def _answer(self, outputs: np.ndarray) -> np.ndarray:
        return (outputs > 0.5).astype(int) if isinstance(self.target_, Labels) else self.classes_[outputs.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, of several labels that of the whole row; y and sample_weight may be names of columns of X."""
        y, sample_weight = named_cells(self, X, y, "y"), named_cells(self, X, sample_weight, "sample_weight")
        return float(super().score(X, y, sample_weight))

    def plot_confusion(self, X: Any, y: Any, path: Any = None) -> Any:
        """How many rows of each class are taken for which, as a matplotlib Figure; saved when `path` is given.

        X: rows that the model has not learned from. y: their classes, or the name of a column of X.
        """
        from sklearn.metrics import confusion_matrix

        from tabdl.pictures import plot_confusion

        found = self.predict(X)
        if found.ndim > 1:
            raise TargetError("expected one class a row, received several labels; draw the confusion of each label by itself")
        truth = _plain(named_cells(self, X, y, "y"))
        classes = [*self.classes_, *sorted(set(truth.tolist()) - set(self.classes_.tolist()), key=str)]
        counts = confusion_matrix(truth, found, labels=classes)
        share = f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {counts.sum():,} rows right"
        return plot_confusion(counts, classes, f"{type(self).__name__}: {share}", path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class Regressor(RegressorMixin, Estimator):
    """Base of regressors: one or several numbers, counts, or quantiles."""

    loss: str = param(
        "mse",
        "what is minimised; 'log_mse' learns log(1 + y), 'poisson' is for counts, 'huber' bends at one standard deviation",
        options=("mse", "mae", "huber", "log_mse", "poisson"),
    )
    quantiles: tuple[float, ...] | None = param(
        None,
        "levels in ascending order; predict returns (rows, levels) that never cross, and `loss` is not used",
        low=0.001,
        high=0.999,
        longest=99,
    )
    metric: str = param(
        "auto",
        "validation score that picks the best epoch; 'auto': what the loss suggests, else rmse",
        options=("auto", "rmse", "mae", "r2", "poisson_deviance", "pinball"),
    )

    radii_: np.ndarray

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One pass over some rows, at the constant peak rate; the first call learns the columns and scales.

        Parameters are those of `fit`.
        """
        return self._continue(X, y, None, sample_weight)

    def _check_y(self, y: Any) -> np.ndarray:
        y = _plain(y)
        if y.dtype.kind in "mO":  # durations in seconds, as where y is the name of a column
            y = canonical(y.reshape(-1), "y").reshape(y.shape)
        if y.dtype.kind == "M":
            raise TargetError(
                "expected numbers or durations in y, received points in time; subtract one, as y - y.min() does: durations are "
                "learned and predicted in seconds"
            )
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as cause:
            raise TargetError(
                f"expected numbers in y, received {y.dtype} such as {y.flat[0]!r}; use a Classifier for classes"
            ) from cause
        if y.ndim > 2 or y.ndim == 0:
            raise TargetError(f"expected y of shape (rows,) or (rows, outputs), received {y.shape}")
        if not np.all(np.isfinite(y)):
            raise TargetError("Input y contains NaN or infinity.; drop those rows")
        return y

    def _make_target(self, rows: Rows) -> Target:
        if self.quantiles is not None:
            levels = tuple(map(float, self.quantiles))
            if not levels or any(a >= b for a, b in pairwise(levels)):
                raise ParameterError(f"quantiles={self.quantiles!r}: expected levels in ascending order such as (0.1, 0.5, 0.9)")
            return Quantiles.fit(rows.y, rows.weight, levels)
        if self.loss == "poisson":
            return Counts.fit(rows.y, rows.weight)
        return Numbers.fit(rows.y, rows.weight, self.loss)

    def _truth(self, y: np.ndarray) -> np.ndarray:
        return y

    def _forget_held_out(self) -> None:
        super()._forget_held_out()
        self.__dict__.pop("radii_", None)

    def _learn_from_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None, count: float) -> None:
        self.radii_ = calibration.learn_radii(self.target_, y, outputs, weight, count)

    def _metric(self) -> str:
        if self.quantiles is not None:
            if self.metric not in ("auto", "pinball"):
                raise ParameterError(
                    f"metric={self.metric!r} needs one prediction a row; with quantiles= use 'auto' or 'pinball'"
                )
            return "pinball"
        return {"mae": "mae", "poisson": "poisson_deviance"}.get(self.loss, "rmse") if self.metric == "auto" else self.metric

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in the units of y, float64: (rows,), (rows, outputs) or (rows, levels)."""
        return self._outputs(X)

    def predict_interval(self, X: Any, alpha: float = 0.1) -> np.ndarray:
        """Bounds that hold the target of a share 1 - alpha of new rows, from how far off held-out rows were (split conformal).

        Parameters
        ----------
        X : table (rows, columns)
        alpha : share of the rows that may lie outside, 0.001 to 0.999; 0.1 needs 9 held-out rows, 0.01 needs 99

        Returns
        -------
        float64 (rows, 2), lower and upper bound in the units of y; (rows, outputs, 2) where y has several columns, and then
        each output has its share. The prediction lies between them; with `quantiles=` the level nearest the median.

        Notes
        -----
        Widths are equal for all rows, on a logarithmic scale with loss='log_mse', and on that of roots with loss='poisson'
        (never below 0). With `quantiles=` they follow the row: the two levels nearest alpha / 2 and 1 - alpha / 2, moved.

        The share holds on average over new rows that are like the held-out ones, whatever the network has learned. Three things
        bend it: the held-out rows also picked the best epoch (a little too narrow); with `sample_weight` it holds for the
        weighted rows, approximately; with `bagging` the errors are those of models on fewer rows, the intervals lie around their
        average (usually a little too wide; proven is only 1 - 2 alpha, for the related CV+). With `warm_start`, no held-out row
        may be one that an earlier fit learned from: give the same rows and an int as random_state, or X_val.

        `radii_`, which is saved, holds the 1,001 radii of all alphas, rounded up to three digits, and no row.

        Raises
        ------
        ParameterError
            When no rows, or too few for alpha, were held out.
        """
        self._check_fitted()
        if not 0.001 <= alpha <= 0.999:
            raise ParameterError(f"alpha={alpha!r}: expected the share of rows outside the interval, from 0.001 to 0.999")
        if not hasattr(self, "radii_"):
            raise ParameterError(
                "predict_interval needs rows that the model has not learned from, received a fit that held none out; fit with "
                "X_val and y_val, with validation_fraction above 0 and enough rows for it, or with bagging=5"
            )
        step = calibration.step_of(float(alpha))
        if not np.isfinite(self.radii_[:, step]).all():
            raise ParameterError(
                f"alpha={alpha!r} expects {int(np.ceil(calibration.STEPS / (calibration.STEPS - step))) - 1} held-out rows or "
                "more, received fewer; raise alpha, or hold out more rows: X_val, validation_fraction or bagging=5"
            )
        return calibration.interval(self.target_, self.radii_, self.predict(X), step)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2, with `quantiles=` of the level nearest the median; y and sample_weight may be names of columns of X."""
        y, sample_weight = self._check_y(named_cells(self, X, y, "y")), named_cells(self, X, sample_weight, "sample_weight")
        if self.quantiles is None:
            return float(super().score(X, y, sample_weight))
        from sklearn.metrics import r2_score

        middle = int(np.argmin(np.abs(np.array(self.quantiles) - 0.5)))
        return float(r2_score(y, self.predict(X)[:, middle], sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.quantiles is None
        return tags


def _plain(y: Any) -> np.ndarray:
    """Targets of any table library as one NumPy array."""
    if hasattr(y, "toarray"):
        raise TargetError("expected a dense y, received a sparse matrix; convert it with .toarray()")
    if hasattr(y, "to_numpy"):
        y = y.to_numpy(zero_copy_only=False) if type(y).__module__.startswith("pyarrow") else y.to_numpy()
    values = np.asarray(y)
    if values.dtype.kind == "c":
        raise TargetError("Complex data not supported: expected real targets")
    return values
