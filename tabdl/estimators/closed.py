"""Estimators whose only layer is fitted in closed form, with predictions of every row by the fit without it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tabdl.estimators.base import Estimator
from tabdl.estimators.rows import Fold, Rows
from tabdl.estimators.trained import Live
from tabdl.targets import Target
from tabdl.training.closed import Ridge, fit_ridge

LOSSES = ("cross_entropy", "mse")  # what a ridge stands for; the others are learned by gradients
STEEP = 64.0  # largest factor from ridge outputs, which aim at -1 and 1, to logits
USUAL, SPREAD = 3.0, 0.4  # factor that 16 to 120 rows of eleven sets ask for, and how far its logarithm lies around
BLOCK = 1_024  # rows whose features are joined at a time


class ClosedForm(Estimator):
    """Base of estimators of a linear network. It stands before Classifier or Regressor.

    A first fit with the usual loss is a ridge: classes are -1 and 1, and one factor makes logits of its outputs, the one with the
    least log-loss of rows left out. These also calibrate, so that no rows are held out. All else (`partial_fit`,
    `warm_start`, other losses, `quantiles`) are steps of gradients, as in every network.
    """

    def _fit_folds(self, rows: Rows, folds: list[Fold], seed: int, partial: bool) -> list[np.ndarray]:
        self.__dict__.pop("_left_out", None)
        if not self._closed(rows, self.target_, partial, hasattr(self, "weights_")):
            return super()._fit_folds(rows, folds[: len(self.encoders_)], seed, partial)  # one, where it stands for all
        from tabdl.training.program import get_program

        start, head = time.perf_counter(), self.target_.head
        program, network = get_program(self, self.encoder_.spec, head)
        model = program.fresh_model(network, seed)
        weight, target = self._row_weights(rows), self.target_.encode(rows.y)
        fits, found = [], []
        for fold in folds:
            pick = np.arange(len(target)) if fold.rows is None else fold.rows
            own = None if weight is None else weight[pick]
            ridge, factor = fit_head(_joined(model, fold.arrays, pick), target[pick], own, head.link, head.outputs)
            fits.append((ridge, factor))
            if fold.held is None:
                left_out = self.target_.decode(link(factor * ridge.left_out, head.link))
                self._left_out = rows.take(pick), left_out
                found.append(left_out)
        self._keep(program, model, fits)
        for i, fold in enumerate(folds):
            if fold.held is not None:
                values = self._live.ready[1][i : i + 1] if self._live.ready else []
                found.append(self.target_.decode(program.forward(values, [fold.held_arrays]).astype(np.float64)))
        self._tell(rows, folds, found, time.perf_counter() - start)
        return found

    def _fit_whole(self, rows: Rows, folds: list[Fold], seed: int) -> None:
        """Learn from all rows at once what folds have judged: one model in the place of theirs, with the first fold's encoder."""
        if len(folds) > 1 and self._closed(rows, self.target_, partial=False, warm=False):
            told = self.history_
            del self.weights_
            self._fit_folds(rows, [Fold(folds[0].encoder, folds[0].arrays, None, None, {}, None)], seed, partial=False)
            self.__dict__.pop("_left_out", None)
            self.history_, self.encoders_ = told, self.encoders_[:1]

    def _closed(self, rows: Rows, target: Target, partial: bool, warm: bool) -> bool:
        """Whether a fit is a ridge."""
        head = target.head
        usual = head.loss in LOSSES and not head.smoothing and not head.levels
        return usual and not (partial or warm or rows.stream is not None)

    def _held_fraction(self, rows: Rows, target: Target, warm: bool) -> float:
        """None for a ridge, which judges each row by the fit without it."""
        return 0.0 if self._closed(rows, target, partial=False, warm=warm) else self.validation_fraction

    def _fitted_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        state, weights = super()._fitted_state()
        return state | {"encoders": len(self.encoders_)}, weights

    def _restore_fitted(self, state: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self.encoders_ = self.encoders_[: int(state.get("encoders", len(self.encoders_)))]
        super()._restore_fitted(state, weights)

    def _keep(self, program: Any, model: Any, fits: list[tuple[Ridge, float]]) -> None:
        """Weights of the only layer, stacked where there are folds."""
        from tabdl.network import weight_paths

        last, paths = model.layers[-1], weight_paths(model)
        each: list[dict[str, np.ndarray]] = []
        for ridge, factor in fits:
            known = {id(last.kernel): factor * ridge.coefficients, id(last.bias): factor * ridge.intercept}
            weights = zip(paths, model.weights, strict=True)
            each.append({path: np.asarray(known.get(id(w), w.numpy()), dtype=np.float32) for path, w in weights})
        self.weights_ = each[0] if len(each) == 1 else {path: np.stack([own[path] for own in each]) for path in paths}
        self._live = Live()
        self._live.ready = program, program.values(self.weights_, len(each))

    def _tell(self, rows: Rows, folds: list[Fold], found: list[np.ndarray], seconds: float) -> None:
        """One line of history: the score of rows that the fit has not seen."""
        from tabdl.training import metrics

        y, outputs, weight, _ = self._held_out(folds, found)
        truth, name = self._truth(y), self._metric()
        score = float(metrics.METRICS[name](truth, outputs, weight))
        error = (
            float(np.square(outputs - truth).mean()) if outputs.shape == truth.shape else metrics.log_loss(truth, outputs, weight)
        )
        self.history_ = {"epoch": [1.0], "loss": [error], "seconds": [seconds], f"val_{name}": [score]}
        self.best_epoch_ = 1

    def _held_out(self, folds: list[Fold], found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
        from tabdl.estimators.calibration import effective_rows

        if folds[0].held is not None or not hasattr(self, "_left_out"):
            return super()._held_out(folds, found)
        rows, outputs = self._left_out
        weight = self._row_weights(rows)
        return rows.y, outputs, weight, effective_rows(len(rows.y), weight, rows.weight)

    def _learn_from_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None, count: float) -> None:
        super()._learn_from_held_out(y, outputs, weight, count)
        self.__dict__.pop("_left_out", None)


def fit_head(
    features: np.ndarray, target: np.ndarray, weight: np.ndarray | None, link_name: str, outputs: int
) -> tuple[Ridge, float]:
    """(ridge, factor from its outputs to logits). target: encoded, (rows, columns)."""
    if link_name == "identity":
        return fit_ridge(features, target, weight), 1.0
    on = (target == np.arange(outputs)) if link_name == "softmax" else target > 0.5
    ridge = fit_ridge(features, np.where(on, 1.0, -1.0), weight)
    return ridge, find_factor(ridge.left_out, on, weight, link_name)


def find_factor(left_out: np.ndarray, on: np.ndarray, weight: np.ndarray | None, link_name: str) -> float:
    """The factor that makes log-loss and doubt least; a few rows, all of them right, do not make a model sure of itself."""
    from scipy.optimize import minimize_scalar

    share = np.full(len(on), 1 / len(on)) if weight is None else weight / weight.sum()
    rows = len(np.unique(left_out[share > 0], axis=0))  # copies of a row say no more than one of it

    def loss(log_factor: float) -> float:
        p = np.clip(link(np.exp(log_factor) * left_out, link_name), 1e-12, 1 - 1e-12)
        nats = on * np.log(p) + ((1 - on) * np.log(1 - p) if link_name == "sigmoid" else 0)
        return ((log_factor - np.log(USUAL)) / SPREAD) ** 2 / (2 * rows) - float(share @ nats.sum(axis=1))

    found: Any = minimize_scalar(loss, bounds=(np.log(0.1), np.log(STEEP)), method="bounded")
    return float(np.exp(found.x))


def link(logits: np.ndarray, name: str) -> np.ndarray:
    """Logits -> predictions, float64."""
    if name == "identity":
        return logits
    if name == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _joined(model: Any, arrays: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """What the only layer sees of some rows, float32 (rows, width)."""
    import keras

    before = keras.Model(model.input, model.layers[-1].input)
    parts = []
    for start in range(0, len(rows), BLOCK):
        batch = {kind: arrays[kind][rows[start : start + BLOCK]] for kind in model.input}
        parts.append(keras.ops.convert_to_numpy(before(batch, training=False)))
    return np.concatenate(parts)
