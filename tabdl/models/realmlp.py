"""RealMLP: a multi-layer perceptron with every detail tuned on 118 tables.

Holzmüller, Grinsztajn, Steinwart, Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data, NeurIPS 2024,
arXiv 2407.04491; here the variant RealMLP-TD.
NOTE[DIFF]: 64 epochs for numbers, about 2,000 steps for classes, in batches that follow the rows, instead of 256 epochs in
batches of 256. On validation rows, california RMSE .473, .469, .467 with 64 epochs (seeds 0 to 2), .470 with 128 (seed 0), but
.496, .470, .480 with 39: a rate of 0.2 needs a slow rise. Adult AUC .9168, .9171 with 16 and 32 epochs (seed 0).
NOTE[DIFF]: the last, smaller batch of an epoch is not dropped: every row counts, spread evenly over the steps.
NOTE[DIFF]: no label smoothing, and the best epoch is that of the log loss: probabilities are what is judged. With a smoothing of
0.1 the validation log loss of adult, online_shoppers and churn rose by .018, .012 and .002, that of coupon fell by .011.
NOTE[DIFF]: one-hot columns and flags are not scaled and clipped again: they lie in [-1, 1] anyway. On validation rows of coupon,
17 category columns, two seeds, log loss .540 and .556 without it, .543 and .553 with it.
NOTE[DIFF]: two classes are one logit with a sigmoid; weights of the periodic embeddings do not decay (a hundredth of 0.02 there).
NOTE[DIFF]: a gap of a number is the column's median with a flag; vectors of unseen and missing categories start at zero.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Head, Inputs


class RealMLP(TableNetwork):
    """Dense layers whose weights start at the data and learn at rates of their own."""

    units: tuple[int, ...] = param((256, 256, 256), "width of each hidden layer", low=1, high=2048, longest=16)
    activation: str = param(
        "selu",
        "activation of the hidden layers, of which each unit learns a share",
        options=("selu", "mish", "relu", "silu", "gelu"),
    )
    dropout: float = param(0.15, "share of hidden units switched off in a training step", low=0, high=0.9, weight=True)
    embedding_width: int = param(4, "size of a number's periodic embedding, the number itself included", low=2, high=64)
    frequencies: int = param(16, "waves of a number's periodic embedding", low=1, high=256)
    sigma: float = param(0.1, "spread of their initial frequencies", low=0.001, high=100, log=True)
    steady = 0.1
    defaults = {
        "second_moment": 0.95,
        "schedule": "coslog4",
        "weight_decay": 0.02,
        "fade": "flat_cosine",
        "clip_norm": None,
        "patience": 1_000,
    }

    def forward(self, inputs: Inputs) -> Any:
        numbers = layers.numbers.periodic(inputs, self.embedding_width, self.frequencies, self.sigma, layers.scaled.SLOW)
        x = layers.blocks.join(numbers, inputs.flags, layers.categories.signs_or_vectors(inputs, most=8, width=8))
        x = layers.scaled.FrontScale()(x)  # (rows, encoded columns)
        for units in self.units:
            x = layers.scaled.scaled_block(x, units, activation=self.activation, dropout=self.dropout)
        return x  # (rows, units[-1])

    def finish(self, features: Any, head: Head) -> Any:
        logits = layers.scaled.NTKDense(head.outputs)(features)  # (rows, outputs)
        return layers.scaled.Clamp()(logits) if head.link == "identity" else logits


class RealMLPClassifier(Classifier, RealMLP):
    """RealMLP for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import RealMLPClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> RealMLPClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """

    defaults = {"learning_rate": 0.04}


class RealMLPRegressor(Regressor, RealMLP):
    """RealMLP for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import RealMLPRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> RealMLPRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """

    defaults = {"learning_rate": 0.2, "activation": "mish", "epochs": 64}
