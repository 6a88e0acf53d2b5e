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
    """ResNet for classes: two or many, or several labels at once."""


class ResNetRegressor(Regressor, ResNet):
    """ResNet for numbers: one or several, counts, or `quantiles=`."""
