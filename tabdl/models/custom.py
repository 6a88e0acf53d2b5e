"""Your own Keras layers: any function from inputs to features becomes an estimator.

def forward(inputs):                                   # inputs.numbers, .flags, .categories, .sequence, .mask
    x = keras.layers.Dense(64, activation="relu")(inputs.numbers)
    return keras.layers.Dropout(0.2)(x)                # (rows, width), or (rows, members, width)

KerasClassifier(forward=forward).fit(X, y)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


def dense_features(inputs: Inputs) -> Any:
    """The default: one dense layer on everything there is."""
    if inputs.sequence is not None:
        return layers.temporal.pool_steps(inputs.sequence, "mean_max", inputs.mask)  # (rows, 2 * channels)
    x = layers.blocks.join(inputs.numbers, inputs.flags, layers.categories.embed(inputs))
    return layers.blocks.dense_block(x, 64)  # (rows, 64)


class Keras(SequenceNetwork):
    """A network given as a function."""

    reads_tables = True
    forward: Callable = param(dense_features, "function from `Inputs` (symbolic tensors) to features (rows, width)")


class KerasClassifier(Classifier, Keras):
    """Your own network for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import KerasClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> KerasClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class KerasRegressor(Regressor, Keras):
    """Your own network for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import KerasRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> KerasRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
