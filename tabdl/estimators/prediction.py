"""What a fitted estimator does: predict, and show itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from tabdl.encoding.table import TableEncoder
from tabdl.errors import SchemaError
from tabdl.estimators.html import estimator_html
from tabdl.estimators.state import restore_table, table_state
from tabdl.estimators.trained import Trained
from tabdl.frames import Frame
from tabdl.params import Parameters
from tabdl.parquet import Parquet
from tabdl.schema import Schema

FEW = 64  # rows that are encoded at once, however wide
MOST_CELLS = 1 << 26  # of encoded arrays at once: 256 MB


class Predictor(Trained, Parameters, BaseEstimator):
    """Predictions of what `fit` has learned: encoders, target, weights by name."""

    encoder_: TableEncoder
    encoders_: list[TableEncoder]
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
        names = getattr(self, "feature_names_in_", None)
        if not self.schema_.channels:
            return X
        frame, _ = self.read_table(X, self.schema_)
        if self._from_steps and names is not None and frame.named:
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise SchemaError(f"{type(self).__name__} expects the columns of `fit`, the table lacks {missing[:5]}; add them")
            frame = Frame({name: frame.columns[name] for name in names}, frame.rows)
        frame = self.as_series(frame)
        self._check_steps(frame)
        return frame

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

    def _calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """Decoded outputs as predictions give them; what held-out rows have taught is applied here."""
        return outputs

    def _answer(self, outputs: np.ndarray) -> np.ndarray:
        """What `predict` makes of outputs."""
        return outputs

    def _own_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a saved model holds beside parameters: plain JSON, and arrays by name."""
        return table_state(self)

    def _restore_own(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """The opposite of `_own_state`."""
        restore_table(self, state, arrays)

    def _sample_codes(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Synthetic rows for `_predict_codes`, none of which was seen."""
        return self.encoder_.sample(rows, rng)

    def _html_repr(self) -> str:
        return estimator_html(self, super()._html_repr())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        tags.non_deterministic = False
        return tags
