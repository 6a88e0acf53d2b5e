"""MLP: dense layers on scaled numbers and one-hot or embedded categories, with the whole classic vocabulary.

Rumelhart, Hinton, Williams, Learning representations by back-propagating errors, Nature 323, 1986.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class MLP(TableNetwork):
    """Dense layers."""

    units: tuple[int, ...] = param((128, 128, 128), "width of each hidden layer", low=1, high=2048, longest=16)
    activation: str = param(
        "relu",
        "activation of the hidden layers",
        options=(
            "relu",
            "leaky_relu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "mish",
            "tanh",
            "sigmoid",
            "softplus",
            "linear",
            "maxout",
        ),
    )
    initializer: str = param(
        "glorot_uniform",
        "distribution of the initial kernels",
        options=(
            "glorot_uniform",
            "glorot_normal",
            "he_uniform",
            "he_normal",
            "lecun_uniform",
            "lecun_normal",
            "orthogonal",
            "random_normal",
            "random_uniform",
            "zeros",
        ),
        weight=True,
    )
    norm: str | None = param(None, "normalisation before the activation", options=("batch", "layer"))
    dropout: float = param(0.1, "share of hidden units switched off in a training step", low=0, high=0.9, weight=True)
    l1: float = param(0.0, "penalty on the absolute values of the kernels", low=0)
    l2: float = param(0.0, "penalty on the squares of the kernels", low=0)

    def forward(self, inputs: Inputs) -> Any:
        x = layers.blocks.join(inputs.numbers, inputs.flags, layers.categories.one_hot(inputs))  # (rows, encoded columns)
        for units in self.units:
            x = layers.blocks.dense_block(
                x,
                units,
                activation=self.activation,
                norm=self.norm,
                dropout=self.dropout,
                initializer=self.initializer,
                l1=self.l1,
                l2=self.l2,
            )
        return x  # (rows, units[-1])


class MLPClassifier(Classifier, MLP):
    """Multi-layer perceptron for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import MLPClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> MLPClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class MLPRegressor(Regressor, MLP):
    """Multi-layer perceptron for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import MLPRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> age = X.pop("age").fillna(40.0)
    >>> MLPRegressor(epochs=2, random_state=0).fit(X, age).predict(X[:3]).shape
    (3,)
    """
