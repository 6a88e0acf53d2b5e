"""Inception: modules of convolutions of several lengths side by side, with shortcuts; `members=5` is InceptionTime.

Ismail Fawaz et al., InceptionTime: Finding AlexNet for Time Series Classification, 2020, arXiv 1909.04939.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class Inception(SequenceNetwork):
    """Inception modules along the steps of a series."""

    depth: int = param(6, "inception modules; each third ends a shortcut", low=1, high=12)
    width: int = param(32, "filters of each length", low=1, high=128)
    kernel_size: int = param(40, "steps of the longest filters; the others have a half and a quarter", low=4, high=127)
    defaults = {"learning_rate": 1e-3, "patience": 1_000}
    automatic_training = (1_000, 12)
    most_epochs = 1_000

    def forward(self, inputs: Inputs) -> Any:
        x, mask = inputs.sequence, inputs.mask
        shortcut = x
        for module in range(self.depth):
            x = self._module(x, mask)  # (rows, steps, 4 * width)
            if module % 3 == 2:
                straight = layers.temporal.convolve(shortcut, 4 * self.width, 1, mask, bias=False)
                x = layers.temporal.relu(x + layers.temporal.normalize(straight, "batch", mask))
                shortcut = x
        return layers.temporal.pool_steps(x, "mean", mask)  # (rows, 4 * width)

    def _module(self, x: Any, mask: Any) -> Any:
        temporal = layers.temporal
        narrow = temporal.convolve(x, self.width, 1, mask, bias=False) if x.shape[-1] > 1 else x
        sizes = [max(self.kernel_size >> i, 1) for i in range(3)]
        found = [temporal.convolve(narrow, self.width, size, mask, bias=False) for size in sizes]
        found.append(temporal.convolve(temporal.local_max(x, 3, mask), self.width, 1, mask, bias=False))
        return temporal.activate(layers.blocks.join(*found), mask)


class InceptionClassifier(Classifier, Inception):
    """Inception for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import InceptionClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> InceptionClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class InceptionRegressor(Regressor, Inception):
    """Inception for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import InceptionRegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> InceptionRegressor(epochs=2, random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """
