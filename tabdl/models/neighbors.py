"""Neighbors: a prediction is the vote of the training rows near a row, in a space that is learned.

Ye, Yin, Zhan, Chao, Revisiting Nearest Neighbor for Tabular Data: A Deep Tabular Baseline Two Decades Later (ModernNCA),
ICLR 2025, arXiv 2407.03257; after Goldberger et al., Neighbourhood Components Analysis, NeurIPS 2004.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Head, Inputs


class Neighbors(TableNetwork):
    """A soft vote of neighbours in a learned space."""

    width: int = param(64, "dimensions of the space", low=2, high=512)
    embedding_width: int = param(16, "size of a number's periodic embedding", low=2, high=64)
    sigma: float = param(0.3, "spread of the embedding's frequencies, in cycles over one scaled unit", low=0.001, high=10)
    blocks: int = param(0, "residual blocks after the linear map into the space", low=0, high=4)
    dropout: float = param(0.0, "share of the embedded values switched off", low=0, high=0.9, weight=True)
    context: int | str = param(
        "auto",
        "rows that vote on a training step's own; fewer than there are; 'auto': 0.3 of the rows, at most 4,096",
        low=1,
        high=65_536,
        options=("auto",),
    )
    memory: int | str = param(
        "auto",
        "embedded training rows in the model, which vote on predictions; 'auto': all up to 8,192, then as many means of rows "
        "that lie near each other",
        low=1,
        high=50_000,
        options=("auto",),
    )
    defaults = {"learning_rate": 1e-2, "weight_decay": 1e-2, "batch_size": 512, "schedule": "coslog4", "patience": 5}
    automatic_training = (800, 2)
    compares_rows = True
    folds_apart = True

    @classmethod
    def automatic(cls, rows: int, columns: int) -> dict[str, Any]:
        return {"context": min(4_096, max(1, int(0.3 * rows))), "memory": min(rows, 8_192)}

    def forward(self, inputs: Inputs) -> Any:
        numbers = layers.numbers.periodic(inputs, self.embedding_width, sigma=self.sigma)
        x = layers.blocks.join(numbers, inputs.flags, layers.categories.one_hot(inputs))
        if self.dropout:
            x = layers.blocks.Dropout(self.dropout)(x)
        z = layers.blocks.dense(x, self.width)  # (rows, width)
        for _ in range(self.blocks):
            z = layers.blocks.residual_block(z, 2 * self.width, dropout=self.dropout, norm="batch")
        context, memory = (1 if isinstance(size, str) else size for size in (self.context, self.memory))  # known in `fit`
        return layers.neighbors.vote(z, inputs, context, memory)

    def finish(self, features: Any, head: Head) -> Any:
        """The votes are logits already."""
        return features


class NeighborsClassifier(Classifier, Neighbors):
    """Neighbors for classes: two or many, or several labels at once.

    The fitted model keeps embedded training rows, and so does its file: `tabdl.save` says so. After `partial_fit` these are
    rows of the last call alone, at most as many as the first call had: keys move with the weights, and older rows are gone.

    Examples
    --------
    >>> from tabdl import NeighborsClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> NeighborsClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class NeighborsRegressor(Regressor, Neighbors):
    """Neighbors for numbers: one or several, counts, or `quantiles=` of a normal distribution around the neighbours' mean.

    The fitted model keeps embedded training rows, and so does its file: `tabdl.save` says so. After `partial_fit` these are
    rows of the last call alone, at most as many as the first call had: keys move with the weights, and older rows are gone.

    Examples
    --------
    >>> from tabdl import NeighborsRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> NeighborsRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
