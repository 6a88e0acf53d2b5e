"""TCN: causal dilated convolutions with residual blocks: each step knows those before it, far back.

Bai, Kolter, Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling, 2018,
arXiv 1803.01271.
NOTE[DIFF]: layer norm before each convolution instead of weight norm after it.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class TCN(SequenceNetwork):
    """Causal dilated convolutions along the steps of a series."""

    blocks: int = param(5, "residual blocks of two convolutions, the dilation doubles with each", low=1, high=12)
    width: int = param(48, "channels", low=1, high=512)
    kernel_size: int = param(5, "steps that a convolution sees at once", low=2, high=63)
    pooling: str = param(
        "mean_max", "what makes one vector of a series", options=("last", "mean", "max", "mean_max", "attention")
    )
    dropout: float = param(0.1, "share of the channels switched off inside a block", low=0, high=0.9, weight=True)
    automatic_training = (1_000, 12)
    most_epochs = 1_000
    defaults = {"patience": 200}

    def forward(self, inputs: Inputs) -> Any:
        x, mask = inputs.sequence, inputs.mask
        x = layers.temporal.convolve(x, self.width, self.kernel_size, mask, causal=True)  # (rows, steps, width)
        for block in range(self.blocks):
            told = {"dilation": 2**block, "dropout": self.dropout, "causal": True}
            x = layers.temporal.residual_convolutions(x, self.kernel_size, mask, **told)
        return layers.temporal.pool_steps(layers.blocks.normalize_relu(x, "layer"), self.pooling, mask)


class TCNClassifier(Classifier, TCN):
    """Causal convolutions for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import TCNClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> TCNClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class TCNRegressor(Regressor, TCN):
    """Causal convolutions for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import TCNRegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> TCNRegressor(epochs=2, random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """


class TCNForecaster(NetworkForecaster, TCN):
    """Causal convolutions over the last steps of a series, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import TCNForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales"}
    >>> TCNForecaster(horizon=7, width=8, blocks=2, epochs=2, random_state=0, **roles).fit(table).predict().shape
    (21, 7)
    """
