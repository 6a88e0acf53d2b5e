"""RNN: a recurrent layer reads the columns of a row, or the steps of a series, one by one.

Hochreiter, Schmidhuber, Long Short-Term Memory, Neural Computation 9, 1997; GRU: Cho et al., arXiv 1406.1078;
both directions: Schuster, Paliwal, IEEE Transactions on Signal Processing 45, 1997.
NOTE[DIFF]: numbers become piecewise-linear tokens (arXiv 2203.05556): on validation rows of california RMSE .515 -> .465.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class RNN(SequenceNetwork):
    """Recurrent layers over a sequence."""

    layers: int = param(1, "recurrent layers", low=1, high=8)
    width: int = param(64, "size of a token and of the state", low=1, high=1024)
    cell: str = param("gru", "kind of recurrent layer", options=("simple", "gru", "lstm"))
    bidirectional: bool = param(True, "whether a second state reads from the end")
    pooling: str = param("last", "what makes one vector of a series", options=("last", "mean", "max", "mean_max", "attention"))
    bins: int | None = param(48, "pieces of a number's piecewise-linear token; None: linear", low=2, high=256)
    dropout: float = param(0.1, "share of the states switched off after each layer", low=0, high=0.9, weight=True)

    reads_tables = True

    def forward(self, inputs: Inputs) -> Any:
        x, mask, pooling = inputs.sequence, inputs.mask, self.pooling
        if x is None:
            x, pooling = layers.tokens.from_columns(inputs, self.width, self.bins), "last"  # (rows, columns, width)
        for layer in range(self.layers):
            end = layer == self.layers - 1 and pooling == "last"  # after its last step a layer knows all of the series
            told = {"bidirectional": self.bidirectional, "every_step": not end, "mask": mask}
            x = layers.temporal.recurrent(x, self.width, self.cell, **told)
            x = layers.blocks.Dropout(self.dropout, shared=len(x.shape) == 3 and mask is not None)(x) if self.dropout else x
        return x if pooling == "last" else layers.temporal.pool_steps(x, pooling, mask)  # (rows, width), or a multiple of it


class RNNClassifier(Classifier, RNN):
    """Recurrent network for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import RNNClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> RNNClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class RNNRegressor(Regressor, RNN):
    """Recurrent network for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import RNNRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> RNNRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """


class RNNForecaster(NetworkForecaster, RNN):
    """Recurrent network over the last steps of a series, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import RNNForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales"}
    >>> RNNForecaster(horizon=7, width=8, epochs=2, random_state=0, **roles).fit(table).predict().shape
    (21, 7)
    """
