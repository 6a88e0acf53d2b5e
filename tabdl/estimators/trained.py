"""A trained network: its weights, compiled functions, learning curve, and the Keras models to look at."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from tabdl.errors import MissingDependency
from tabdl.targets import Target


class Live:
    """What a fitted estimator keeps in memory only: compiled functions and weights on the device."""

    def __init__(self) -> None:
        self.ready: tuple[Any, list[list[Any]]] | None = None  # program, values: set in one step, whatever other threads do
        self.models: list[Any] | None = None


def start_backend() -> None:
    """Import Keras; a backend that is not installed is told in one sentence."""
    try:
        import keras  # noqa: F401  the import itself is what can fail
    except ModuleNotFoundError as missing:
        raise MissingDependency(
            f"Keras is set to a backend whose package {missing.name!r} is not installed; pip install {missing.name}, "
            "or set KERAS_BACKEND to tensorflow, jax or torch before the first fit"
        ) from missing


class Trained(BaseEstimator):
    """What training leaves behind, whatever the network has learned from."""

    encoder_: Any
    encoders_: list[Any]
    target_: Target
    weights_: dict[str, np.ndarray]
    history_: dict[str, list[float]]
    best_epoch_: int
    sizes_: dict[str, Any]
    copies: int
    device: str | None
    _live: Live

    def _check_fitted(self) -> None:
        raise TypeError("abstract")

    def _mean_outputs(self, arrays: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Arrays of each encoder -> decoded outputs, averaged over all copies of the network."""
        program, values = self._warm_up()
        tables = arrays if len(arrays) == 1 else [table for table in arrays for _ in range(len(values) // len(arrays))]
        with self._on_device():
            return self.target_.decode(program.forward(values, tables).astype(np.float64))

    def _warm_up(self) -> tuple[Any, list[list[Any]]]:
        """(program, values of each copy): compiled functions and weights on the device; made once after loading."""
        if self._live.ready is not None:
            return self._live.ready
        start_backend()
        from tabdl.training.program import get_program

        with self._on_device():
            program, _ = get_program(self, self.encoder_.spec, self.target_.head)
            values = program.values(self.weights_, self.copies * len(self.encoders_))
            self._live.ready = ready = program, values
        return ready

    def _fitted_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What training has left: plain JSON, and weights by name."""
        return {"sizes": self.sizes_, "history": self.history_, "best_epoch": self.best_epoch_}, self.weights_

    def _restore_fitted(self, state: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        """The opposite of `_fitted_state`; encoders and target are there already."""
        self.sizes_ = {str(k): int(v) for k, v in state["sizes"].items()}
        self.history_ = {str(k): [float(x) for x in v] for k, v in state["history"].items()}
        self.best_epoch_, self.weights_ = int(state["best_epoch"]), weights
        self._live = Live()

    def _on_device(self) -> Any:
        if self.device is None:
            return contextlib.nullcontext()
        from tabdl import backends

        return backends.device_scope(self.device)

    # ---- what a fitted estimator shows -----------------------------------------------------------------------------

    @property
    def model_(self) -> Any:
        """The fitted `keras.Model`, from encoded arrays to logits; a copy to look at. The first of `models_`.

        The temperature of a classifier is not in it.
        """
        return self.models_[0]

    @property
    def models_(self) -> list[Any]:
        """One fitted `keras.Model` for each copy of the network: `members`, times the folds of `bagging`."""
        self._check_fitted()
        if self._live.models is None:
            from tabdl.network import set_weights
            from tabdl.training.program import get_program

            program, network = get_program(self, self.encoder_.spec, self.target_.head)
            count = self.copies * len(self.encoders_)
            models = [program.fresh_model(network, 0) for _ in range(count)]
            for i, model in enumerate(models):
                set_weights(model, self.weights_ if count == 1 else {k: v[i] for k, v in self.weights_.items()})
            self._live.models = models
        return self._live.models

    def summary(self) -> None:
        """Print the layers of the fitted network."""
        self.model_.summary()

    def plot_history(self, path: Any = None) -> Any:
        """Learning curve as a matplotlib Figure; saved when `path` is given."""
        from tabdl.pictures import plot_history

        self._check_fitted()
        return plot_history(self.history_, self.best_epoch_, type(self).__name__, path)

    def __getstate__(self) -> dict[str, Any]:
        own: Any = super().__getstate__()
        state = dict(own)
        state.pop("_live", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._live = Live()
