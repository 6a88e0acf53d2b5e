"""Entity embeddings: every category becomes a learned vector, joined with the numbers by an MLP.

Guo, Berkhahn, Entity Embeddings of Categorical Variables, 2016, arXiv 1604.06737.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class Embedding(TableNetwork):
    """Entity embeddings and dense layers."""

    units: tuple[int, ...] = param((256, 128), "width of each hidden layer", low=1, high=2048, longest=16)
    embedding_width: int | str = param(
        "auto", "size of a category's vector; 'auto': 1.6 codes^0.56, 2 to 32", low=1, high=256, options=("auto",)
    )
    embedding_dropout: float = param(0.05, "share of the embedded values switched off", low=0, high=0.9, weight=True)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)

    def forward(self, inputs: Inputs) -> Any:
        width = None if isinstance(self.embedding_width, str) else self.embedding_width
        vectors = layers.categories.embed(inputs, width)  # (rows, sum of widths)
        if vectors is not None and self.embedding_dropout:
            vectors = layers.blocks.Dropout(self.embedding_dropout)(vectors)
        x = layers.blocks.join(inputs.numbers, inputs.flags, vectors)
        for units in self.units:
            x = layers.blocks.dense_block(x, units, norm="batch", dropout=self.dropout, initializer="he_normal")
        return x  # (rows, units[-1])


class EmbeddingClassifier(Classifier, Embedding):
    """Entity embeddings for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import EmbeddingClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> EmbeddingClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class EmbeddingRegressor(Regressor, Embedding):
    """Entity embeddings for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import EmbeddingRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> EmbeddingRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
