"""SequenceTransformer: a series cut into patches, a token each, that talk through attention.

Nie, Nguyen, Sinthong, Kalagnanam, A Time Series is Worth 64 Words (PatchTST), ICLR 2023, arXiv 2211.14730; Zerveas et al., A
Transformer-based Framework for Multivariate Time Series Representation Learning, KDD 2021, arXiv 2010.02803.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class SequenceTransformer(SequenceNetwork):
    """Attention over the patches of a series."""

    patch: int | str = param(
        "auto", "steps in a patch; 'auto': 1/32 of the longest series, 4 to 64", low=1, high=512, options=("auto",)
    )
    blocks: int = param(2, "transformer blocks", low=1, high=12)
    width: int = param(64, "size of a token", low=4, high=512)
    heads: int = param(4, "attention heads", low=1, high=16)
    dropout: float = param(0.1, "dropout inside a block", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3, "patience": 200}
    automatic_training = (1_000, 12)
    most_epochs = 1_000

    def forward(self, inputs: Inputs) -> Any:
        steps = inputs.sequence.shape[1]
        patch = min(steps, max(4, min(64, steps // 32)) if isinstance(self.patch, str) else self.patch)
        x, mask = layers.temporal.patches(inputs.sequence, inputs.mask, patch)  # (rows, patches, patch * (channels + 1))
        x = layers.tokens.Places()(layers.blocks.dense(x, self.width))  # (rows, patches, width)
        for _ in range(self.blocks):
            told = {"attention_dropout": self.dropout, "dropout": self.dropout, "mask": mask}
            x = layers.tokens.attention_block(x, self.heads, 2 * self.width, **told)
        return layers.temporal.pool_steps(layers.blocks.normalize(x, "layer"), "mean", mask)  # (rows, width)


class SequenceTransformerClassifier(Classifier, SequenceTransformer):
    """Attention over patches for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import SequenceTransformerClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> SequenceTransformerClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class SequenceTransformerRegressor(Regressor, SequenceTransformer):
    """Attention over patches for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import SequenceTransformerRegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> SequenceTransformerRegressor(epochs=2, random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """
