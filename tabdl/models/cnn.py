"""CNN: convolutions along the columns of a row, one vector a column, or along the steps of a series.

LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; residual blocks: He et al., arXiv 1512.03385.
On series: Wang, Yan, Oates, Time Series Classification from Scratch (FCN, ResNet), IJCNN 2017, arXiv 1611.06455.
NOTE[DIFF]: the order of columns says little: dilation doubles from block to block, so that distant columns meet.
NOTE[DIFF]: numbers become piecewise-linear tokens (arXiv 2203.05556): on validation rows of california RMSE .492 -> .451.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class CNN(SequenceNetwork):
    """Residual convolutions over a sequence."""

    blocks: int = param(2, "residual blocks of two convolutions", low=1, high=16)
    width: int = param(64, "channels", low=1, high=1024)
    kernel_size: int | str = param(
        "auto",
        "steps that a convolution sees at once; 'auto': 3 columns, or 7 steps of a series",
        low=1,
        high=63,
        options=("auto",),
    )
    dilation: int = param(2, "factor by which the distance of these steps grows from block to block", low=1, high=4)
    residual: bool = param(
        True, "whether a block adds to its input; False: convolution, batch norm, ReLU, as in FCN; series only"
    )
    pooling: str = param(
        "mean_max", "what makes one vector of a series", options=("last", "mean", "max", "mean_max", "attention")
    )
    bins: int | None = param(48, "pieces of a number's piecewise-linear token; None: linear", low=2, high=256)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)

    reads_tables = True

    def forward(self, inputs: Inputs) -> Any:
        if inputs.sequence is not None:
            return self._along_steps(inputs.sequence, inputs.mask)
        kernel = 3 if isinstance(self.kernel_size, str) else self.kernel_size
        x = layers.tokens.from_columns(inputs, self.width, self.bins)  # (rows, columns, width)
        for block in range(self.blocks):
            x = layers.temporal.conv_block(x, kernel, dilation=self.dilation**block, dropout=self.dropout)
        return layers.temporal.pool(layers.blocks.normalize_relu(x, "layer"))  # (rows, 2 * width)

    def _along_steps(self, x: Any, mask: Any) -> Any:
        temporal, kernel = layers.temporal, 7 if isinstance(self.kernel_size, str) else self.kernel_size
        if self.residual:
            x = temporal.convolve(x, self.width, kernel, mask)  # (rows, steps, width)
        for block in range(self.blocks):
            dilation = self.dilation**block
            if self.residual:
                x = temporal.residual_convolutions(x, kernel, mask, dilation=dilation, dropout=self.dropout)
            else:
                x = temporal.convolve(x, self.width, kernel, mask, dilation=dilation, bias=False)
                x = temporal.activate(x, mask, self.dropout)
        x = layers.blocks.normalize_relu(x, "layer") if self.residual else x
        return temporal.pool_steps(x, self.pooling, mask)  # (rows, width), twice that of "mean_max"


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


class CNNForecaster(NetworkForecaster, CNN):
    """Convolutional network over the last steps of a series, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import CNNForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales"}
    >>> CNNForecaster(horizon=7, width=8, epochs=2, random_state=0, **roles).fit(table).predict().shape
    (21, 7)
    """
