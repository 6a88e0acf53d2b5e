"""Several networks on the same encoded table, averaged with shares found on held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tabdl.errors import ParameterError
from tabdl.estimators.base import Estimator
from tabdl.estimators.closed import ClosedForm
from tabdl.estimators.rows import Fold, Rows, derive, rows_to_learn
from tabdl.estimators.trained import Live
from tabdl.training.clock import Clock

PRIOR = 16.0  # nats: what held-out rows must say against equal shares before these change much; from 4 to 64 all is well
KEPT_BACK = ("random_state", "members", "bagging", "validation_fraction", "warm_start")  # a part has these from the mixture


class Mixture(Estimator):
    """Base of estimators that hold several, as the network's method `networks` says. It stands before Classifier or Regressor.

    A parameter that is not at its default goes to every part that has it.
    """

    parts_: dict[str, Any]
    shares_: np.ndarray
    networks: Callable[[str, int], dict[str, Any]]  # kind of task, folds -> unfitted estimators by name

    def _make_parts(self, rows: int) -> dict[str, Any]:
        """Unfitted estimators for the encoders and target of this one."""
        given = {k: getattr(self, k) for k, f in self.fields.items() if k not in KEPT_BACK and getattr(self, k) != f.default}
        kind = "classifier" if hasattr(self, "predict_proba") else "regressor"
        parts = self.networks(kind, len(self.encoders_))
        for name, part in parts.items():
            part.set_params(**{k: v for k, v in given.items() if k in part.fields})
            if kind == "classifier":
                part.calibrate = False  # the average has a temperature, its parts have none
            if self.checkpoint is not None:
                part.checkpoint = Path(f"{self.checkpoint}.{name}")
            self._share_columns(part)
            part.sizes_ = part._sizes(rows)
        return parts

    def _share_columns(self, part: Any) -> Any:
        """Schema, encoders and target of this estimator, for a part."""
        for attribute in ("schema_", "encoder_", "encoders_", "target_", "classes_"):
            if hasattr(self, attribute):
                setattr(part, attribute, getattr(self, attribute))
        part._forget_held_out()
        part._live = Live()
        return part

    def _go_on(self, parts: dict[str, Any]) -> None:
        """Weights and sizes of the last fit, for parts with the parameters of this one."""
        if set(parts) != set(self.parts_):
            raise ParameterError(
                f"warm_start expects the networks of the last fit, {', '.join(self.parts_)}, received parameters that ask for "
                f"{', '.join(parts)}; set them back, or fit with warm_start=False"
            )
        for name, part in parts.items():
            last = self.parts_[name]
            part.sizes_, part.weights_, part.encoders_ = last.sizes_, last.weights_, last.encoders_

    def _fit_folds(self, rows: Rows, folds: list[Fold], seed: int, partial: bool) -> list[np.ndarray]:
        parts = self._make_parts(rows_to_learn(rows.total, len(folds)))
        if hasattr(self, "weights_"):
            self._go_on(parts)
        found, clock = [], Clock(self.time_limit, len(parts))
        for name, part in parts.items():
            clock.start()
            clock.share()
            part.time_limit = clock.seconds
            found.append(part._fit_folds(rows, folds, derive(seed, name), partial))
            clock.finish()
        self.parts_ = parts
        if not all(found):  # a part may know rows left out where others have none held out
            found = [[] for _ in found]
        if found[0]:
            y, _, weight, count = self._held_out(folds, found[0])
            outputs = np.stack([np.concatenate(own) for own in found])  # (parts, rows, ...)
            self.shares_ = find_shares(lambda shares: self._nats(y, mix(shares, outputs), weight, count), len(parts))
        elif not partial or not hasattr(self, "shares_"):
            self.shares_ = np.full(len(parts), 1 / len(parts))
        for part in parts.values():
            if isinstance(part, ClosedForm):
                part._fit_whole(rows, folds, seed)
        first = next(iter(parts.values()))
        self.history_, self.best_epoch_ = first.history_, first.best_epoch_
        self.weights_ = {f"{name}/{path}": array for name, part in parts.items() for path, array in part.weights_.items()}
        self._live = Live()
        return [mix(self.shares_, np.stack(own)) for own in zip(*found, strict=True)]

    def _held_out(self, folds: list[Fold], found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
        if folds[0].held is None:
            return next(iter(self.parts_.values()))._held_out(folds, found)
        return super()._held_out(folds, found)

    def _remove_checkpoints(self, folds: int) -> None:
        for part in self.parts_.values():
            part._remove_checkpoints(folds)

    def _nats(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None, count: float) -> float:
        """Negative log-likelihood of held-out rows, up to a constant: how much the rows say about the shares."""
        from tabdl.training import metrics

        truth, head = self._truth(y), self.target_.head
        if hasattr(self, "classes_"):
            return count * metrics.log_loss(truth, outputs, weight)
        if head.link == "exp":
            return count / 2 * metrics.poisson_deviance(truth, outputs, weight)
        if head.levels:
            error = metrics.pinball(truth, outputs, weight, levels=head.levels)
        else:
            error = (metrics.mae if head.loss == "mae" else metrics.rmse)(truth, outputs, weight)
        return count * float(np.log(max(error, 1e-300)))

    def _mean_outputs(self, arrays: list[dict[str, np.ndarray]]) -> np.ndarray:
        parts = self.parts_.values()
        return mix(self.shares_, np.stack([part._mean_outputs(arrays[: len(part.encoders_)]) for part in parts]))

    def _warm_up(self) -> Any:
        for part in self.parts_.values():
            part._warm_up()

    @property
    def contains_rows(self) -> bool:
        return any(part.contains_rows for part in self.parts_.values())

    @property
    def models_(self) -> list[Any]:
        """All fitted `keras.Model`s of all parts."""
        self._check_fitted()
        return [model for part in self.parts_.values() for model in part.models_]

    def _fitted_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        parts = {name: {"network": part.network_params(), **part._fitted_state()[0]} for name, part in self.parts_.items()}
        return {"parts": parts, "shares": self.shares_.tolist(), "sizes": self.sizes_}, self.weights_

    def _restore_fitted(self, state: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self.sizes_ = {str(k): int(v) for k, v in state["sizes"].items()}
        self.parts_ = self._make_parts(2)
        self.shares_ = np.array(state["shares"], dtype=np.float64)
        if set(state["parts"]) != set(self.parts_) or self.shares_.shape != (len(self.parts_),):
            raise ValueError(f"expected parts {sorted(self.parts_)} with a share each, received {sorted(state['parts'])}")
        for name, part in self.parts_.items():
            own = {k.removeprefix(f"{name}/"): v for k, v in weights.items() if k.startswith(f"{name}/")}
            part.set_params(**state["parts"][name]["network"])  # a later release may choose others
            part.check_params()
            part._restore_fitted(state["parts"][name], own)
        first = next(iter(self.parts_.values()))
        self.history_, self.best_epoch_, self.weights_, self._live = first.history_, first.best_epoch_, weights, Live()


def mix(shares: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Weighted mean over the first axis of outputs (parts, rows, ...)."""
    return np.tensordot(shares, outputs, axes=1)


def find_shares(nats: Callable[[np.ndarray], float], parts: int) -> np.ndarray:
    """Shares (parts,), positive and of sum 1, that make nats(shares) + PRIOR * divergence from equal shares smallest.

    nats: a negative log-likelihood of held-out rows; few rows move little, however well one part does on them.
    """
    from scipy.optimize import minimize

    def shares(free: np.ndarray) -> np.ndarray:
        logits = np.append(free, 0.0)
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()

    def objective(free: np.ndarray) -> float:
        s = shares(free)
        return nats(s) + PRIOR * float(np.sum(s * np.log(np.maximum(s * parts, 1e-300))))

    if parts == 1:
        return np.ones(1)
    corners = np.vstack([np.zeros(parts - 1), np.eye(parts - 1)])
    options = {"initial_simplex": corners, "xatol": 1e-3, "fatol": 1e-3, "maxiter": 400}
    found = minimize(objective, corners[0], method="Nelder-Mead", options=options)
    return shares(found.x)
