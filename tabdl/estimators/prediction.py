"""What a fitted estimator does: predict, and show itself."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from tabdl.encoding.table import TableEncoder
from tabdl.errors import MissingDependency, SchemaError
from tabdl.estimators.html import estimator_html
from tabdl.estimators.state import restore_table, table_state
from tabdl.frames import Frame
from tabdl.params import Parameters
from tabdl.parquet import Parquet
from tabdl.schema import Schema
from tabdl.targets import Target

FEW = 64  # rows that are encoded at once, however wide
MOST_CELLS = 1 << 26  # of encoded arrays at once: 256 MB


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


class Predictor(Parameters, BaseEstimator):
    """Predictions of what `fit` has learned: encoders, target, weights by name."""

    encoder_: TableEncoder
    encoders_: list[TableEncoder]
    target_: Target
    weights_: dict[str, np.ndarray]
    history_: dict[str, list[float]]
    best_epoch_: int
    sizes_: dict[str, Any]
    copies: int
    device: str | None
    schema_: Schema
    n_features_in_: int
    read_table: Callable[..., tuple[Frame, list[Any] | None]]  # of the network, as `as_series` is
    as_series: Callable[[Frame], Frame]
    encoding: Callable[[int], dict[str, Any]]

    def _check_fitted(self) -> None:
        if not hasattr(self, "weights_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet; call `fit` with rows and targets first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")

    def _outputs(self, X: Any) -> np.ndarray:
        """Table -> decoded outputs: probabilities, or numbers in the units of y, float64."""
        self._check_fitted()
        if isinstance(X, Parquet) and getattr(self, "id", None) is not None:
            X = X.read()  # a batch would end inside a series
        if isinstance(X, Parquet):
            names = [column.name for column in self.encoder_.columns] if self.encoder_.schema.named else None
            return np.concatenate([self._outputs(batch) for _, batch in X.batches(names)])
        frame = self.encoder_.schema.read(self._read(X), type(self).__name__)
        if frame.rows <= FEW:
            return self._predict_frame(frame)
        wide = sum(map(math.prod, self.encoder_.spec.shapes.values()))
        most = max(MOST_CELLS // max(wide, 1), 1)
        return np.concatenate([self._predict_frame(frame.take(slice(i, i + most))) for i in range(0, frame.rows, most)])

    def _predict_frame(self, frame: Frame) -> np.ndarray:
        """Checked rows -> decoded outputs."""
        codes, made = self.encoder_.codes(frame), {}
        return self._predict_arrays([encoder.expand(codes, frame, made) for encoder in self.encoders_])

    def _read(self, X: Any) -> Any:
        """The table as the network reads it."""
        channels, names = self._channels, getattr(self, "feature_names_in_", None)
        if not channels:
            return X
        frame, _ = self.read_table(X, channels)
        if self._from_steps and names is not None and frame.named:
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise SchemaError(f"{type(self).__name__} expects the columns of `fit`, the table lacks {missing[:5]}; add them")
            frame = Frame({name: frame.columns[name] for name in names}, frame.rows)
        frame = self.as_series(frame)
        self._check_steps(frame)
        return frame

    @property
    def _channels(self) -> list[str]:
        """Names of the columns that hold series."""
        return [column.name for column in self.schema_.used if column.kind == "series"]

    @property
    def _from_steps(self) -> bool:
        """Whether the columns of the training table were the steps of one series a row."""
        return [column.name for column in self.schema_.columns] == ["series"] and not self.schema_.named

    def _check_steps(self, frame: Frame) -> None:
        if frame.steps and self._from_steps:
            given = frame.steps if isinstance(frame.steps, int) else len(frame.steps)
            if given != self.n_features_in_:
                raise SchemaError(
                    f"X has {given} features, but {type(self).__name__} is expecting {self.n_features_in_} features as input; "
                    "give series of other lengths as an array (rows, steps, 1) or a list of arrays"
                )

    def _predict_codes(self, codes: np.ndarray) -> np.ndarray:
        """Encoder codes (rows, used columns) -> decoded outputs."""
        return self._predict_arrays([encoder.expand(codes) for encoder in self.encoders_])

    def _predict_arrays(self, arrays: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Arrays of each encoder -> decoded outputs as predictions give them."""
        return self._calibrated(self._mean_outputs(arrays))

    def _mean_outputs(self, arrays: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Arrays of each encoder -> decoded outputs, averaged over all copies of the network."""
        program, values = self._warm_up()
        tables = arrays if len(arrays) == 1 else [table for table in arrays for _ in range(len(values) // len(arrays))]
        with self._on_device():
            return self.target_.decode(program.forward(values, tables).astype(np.float64))

    def _calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """Decoded outputs as predictions give them; what held-out rows have taught is applied here."""
        return outputs

    def _answer(self, outputs: np.ndarray) -> np.ndarray:
        """What `predict` makes of outputs."""
        return outputs

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

    def _own_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a saved model holds beside parameters: plain JSON, and arrays by name."""
        return table_state(self)

    def _restore_own(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """The opposite of `_own_state`."""
        restore_table(self, state, arrays)

    def _sample_codes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Synthetic rows for `_predict_codes`, none of which was seen."""
        return self.encoder_.sample(rows, rng)

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

    def _html_repr(self) -> str:
        return estimator_html(self, super()._html_repr())

    def __getstate__(self) -> dict[str, Any]:
        own: Any = super().__getstate__()
        state = dict(own)
        state.pop("_live", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._live = Live()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        tags.non_deterministic = False
        return tags
