"""ResNet for tables: residual blocks of two linear maps around a norm.

Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021, arXiv 2106.11959.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class ResNet(TableNetwork):
    """Residual dense blocks."""

    blocks: int = param(3, "residual blocks", low=1, high=16)
    width: int = param(128, "size of the residual stream", low=1, high=1024)
    expansion: float = param(2.0, "hidden units of a block, in units of `width`", low=0.1, high=4)
    dropout: float = param(0.15, "share of hidden units switched off", low=0, high=0.9, weight=True)
    norm: str | None = param("batch", "normalisation before each block", options=("batch", "layer"))
    defaults = {"learning_rate": 2e-3}

    def forward(self, inputs: Inputs) -> Any:
        x = layers.blocks.join(inputs.numbers, inputs.flags, layers.categories.embed(inputs))
        x = layers.blocks.dense(x, self.width)  # (rows, width)
        hidden = max(1, round(self.width * self.expansion))
        for _ in range(self.blocks):
            x = layers.blocks.residual_block(x, hidden, dropout=self.dropout, norm=self.norm)
        return layers.blocks.normalize_relu(x, self.norm)  # (rows, width)


class ResNetClassifier(Classifier, ResNet):
    """ResNet for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import ResNetClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> ResNetClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class ResNetRegressor(Regressor, ResNet):
    """ResNet for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import ResNetRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> ResNetRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
