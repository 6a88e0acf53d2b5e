"""LITE: one layer of long filters, some of them made by hand, and two of separable ones: 10,000 weights; `members=5` is LITETime.

Ismail-Fawaz, Devanne, Berretti, Weber, Forestier, LITE: Light Inception with boosTing tEchniques for Time Series
Classification, DSAA 2023; with several channels: arXiv 2409.02869.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class LITE(SequenceNetwork):
    """Long, handmade and separable filters along the steps of a series."""

    width: int = param(32, "filters of each length", low=1, high=128)
    kernel_size: int = param(40, "steps of the longest filters; the others have a half and a quarter", low=4, high=127)
    handmade: bool = param(True, "whether fixed filters for rises, falls and peaks of 2 to 96 steps take part")
    dropout: float = param(0.0, "share of the channels switched off after each layer", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3, "patience": 1_000}
    automatic_training = (1_000, 12)
    most_epochs = 1_000
    epochs_of_few = (200, 5_000)  # 300 rows, those left out judge: accuracy .740 in 63 epochs, .763 in 125, .787 in 250
    batch_of_few = 16  # as good as 32 on rows left out of small sets, in half the time

    def forward(self, inputs: Inputs) -> Any:
        temporal, x, mask = layers.temporal, inputs.sequence, inputs.mask
        sizes = [max(self.kernel_size >> i, 1) for i in range(3)]
        found = [temporal.convolve(x, self.width, size, mask, bias=False) for size in sizes]
        if self.handmade:
            found.append(temporal.Handmade()(temporal.hide(x, mask)))
        x = temporal.activate(layers.blocks.join(*found), mask, self.dropout)  # (rows, steps, 3 * width + 17)
        for size, far in zip(sizes[1:], (2, 4), strict=True):
            dilation = far if x.shape[1] > far else 1  # filters of even sizes see no middle: a short series would vanish
            x = temporal.convolve(x, self.width, size, mask, dilation=dilation, bias=False, depthwise=True)
            x = temporal.activate(x, mask, self.dropout)  # (rows, steps, width)
        return temporal.pool_steps(x, "mean", mask)  # (rows, width)


class LITEClassifier(Classifier, LITE):
    """LITE for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import LITEClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> LITEClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class LITERegressor(Regressor, LITE):
    """LITE for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import LITERegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> LITERegressor(epochs=2, random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """
