"""FT-Transformer: every column becomes a token, attention lets tokens talk.

Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021, arXiv 2106.11959.
NOTE[DIFF]: 2 blocks of width 64 instead of 3 of 192: seconds on two cores.
NOTE[DIFF]: numbers become piecewise-linear tokens (arXiv 2203.05556) instead of linear ones: on validation rows of
california RMSE .513 -> .450; `bins=None` gives the paper's.
NOTE[DIFF]: the last block computes the summary token only, which is all that the head reads: the same numbers, sooner.
NOTE[DIFF]: more than 16 flags (gaps, booleans, hashed words) share one token: attention costs the square of the tokens.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class FTTransformer(TableNetwork):
    """Attention over the columns of a row."""

    blocks: int = param(2, "transformer blocks", low=1, high=8)
    width: int = param(64, "size of a token", low=1, high=512)
    heads: int = param(4, "attention heads, each of `width` // `heads` channels", low=1, high=16)
    bins: int | None = param(48, "pieces of a number's piecewise-linear token; None: linear, as in the paper", low=2, high=256)
    expansion: float = param(4 / 3, "hidden units of a feed-forward layer, in units of `width`", low=0.1, high=4)
    attention_dropout: float = param(0.1, "share of the attention that is switched off", low=0, high=0.9, weight=True)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 2e-3}

    def forward(self, inputs: Inputs) -> Any:
        x = layers.tokens.from_columns(inputs, self.width, self.bins)  # (rows, columns, width)
        x = layers.tokens.prepend_summary(x)  # (rows, 1 + columns, width)
        for block in range(self.blocks):
            x = layers.tokens.attention_block(
                x,
                self.heads,
                max(1, round(self.width * self.expansion)),
                attention_dropout=self.attention_dropout,
                dropout=self.dropout,
                norm=block > 0,
                summary=block == self.blocks - 1,
            )  # (rows, 1, width) in the end
        return layers.blocks.normalize_relu(layers.tokens.only(x), "layer")  # (rows, width)


class FTTransformerClassifier(Classifier, FTTransformer):
    """FT-Transformer for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import FTTransformerClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> FTTransformerClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class FTTransformerRegressor(Regressor, FTTransformer):
    """FT-Transformer for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import FTTransformerRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> FTTransformerRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
