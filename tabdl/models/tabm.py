"""TabM: one network that imitates an ensemble, each member seeing the columns through scales of its own.

Gorishniy, Kotelnikov, Babenko, TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling, ICLR 2025,
arXiv 2410.24210; with piecewise-linear or periodic embeddings of numbers (arXiv 2203.05556).
NOTE[DIFF]: 8 members of width 128 and a cosine schedule instead of 32 of width 512 at a constant rate: seconds on two cores.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs

SIGMA = 0.3  # spread of the frequencies of the periodic embedding, in cycles over one scaled unit


class TabM(TableNetwork):
    """A parameter-efficient ensemble of MLPs."""

    members: int | str = param(
        "auto",
        "members, whose predictions are averaged; 'auto': 8, and 4 above 5 million cells (rows x encoded columns)",
        low=1,
        high=64,
        options=("auto",),
    )
    blocks: int = param(2, "hidden layers", low=1, high=6)
    width: int = param(128, "width of the hidden layers", low=1, high=2048)
    variant: str = param(
        "mini",
        "'mini': members differ in the scales of the inputs alone; 'full': in scales around every layer",
        options=("mini", "full"),
    )
    embedding: str = param("piecewise", "embedding of numbers", options=("piecewise", "periodic"))
    bins: int = param(48, "pieces of the piecewise-linear embedding of a number", low=2, high=256)
    embedding_width: int | str = param(
        "auto", "size of a number's embedding; 'auto': 8, and 16 from 10,000 rows on", low=1, high=64, options=("auto",)
    )
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-2, "schedule": "coslog4", "patience": 5}
    one_for_all_members = True
    folds_apart = True

    @classmethod
    def automatic(cls, rows: int, columns: int) -> dict[str, Any]:
        """Members bring most where rows are few and time is cheap; wide embeddings where rows are many."""
        return {"members": 8 if rows * columns <= 5_000_000 else 4, "embedding_width": 8 if rows < 10_000 else 16}

    def forward(self, inputs: Inputs) -> Any:
        members, size = (8 if isinstance(value, str) else value for value in (self.members, self.embedding_width))
        if self.embedding == "piecewise":
            numbers = layers.numbers.piecewise_linear(inputs, self.bins, size)
        else:
            numbers = layers.numbers.periodic(inputs, size, sigma=SIGMA)
        vectors = layers.categories.one_hot(inputs)
        x = layers.blocks.join(numbers, inputs.flags, vectors)  # (rows, encoded columns)
        spec = inputs.spec
        groups = (size,) * spec.numbers + (1,) * spec.flags + layers.categories.one_hot_widths(spec.categories)
        x = layers.members.Scale(members, groups)(x)  # (rows, members, encoded columns)
        for _ in range(self.blocks):
            if self.variant == "full":
                x = layers.blocks.activate(layers.members.EnsembleDense(self.width)(x), "relu", self.dropout)
            else:
                x = layers.blocks.dense_block(x, self.width, dropout=self.dropout, initializer="he_uniform")
        return x  # (rows, members, width)


class TabMClassifier(Classifier, TabM):
    """TabM for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import TabMClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> TabMClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class TabMRegressor(Regressor, TabM):
    """TabM for numbers: one or several, counts, or `quantiles=`. Without dropout: its noise blurs a number.

    Examples
    --------
    >>> from tabdl import TabMRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> TabMRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """

    defaults = {"dropout": 0.0}
