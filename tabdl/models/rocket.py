"""Rocket: thousands of random convolutions, and a ridge on them. Accurate, and the fastest by far.

MiniRocket: Dempster, Schmidt, Webb, KDD 2021, arXiv 2012.08791; Hydra: the same, Data Mining and Knowledge Discovery 2023,
arXiv 2203.13652; both together, as there.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.closed import ClosedForm
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import SequenceNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class Rocket(SequenceNetwork):
    """Random convolutions along the steps of a series, and one linear layer."""

    members: int = param(1, "sets of Hydra's kernels and of MiniRocket's thresholds", low=1, high=16)
    kernels: int = param(
        10_000, "features by MiniRocket, of the series and of its differences each, in a set", low=84, high=50_000
    )
    groups: int = param(32, "groups of Hydra's kernels for each dilation, in a set", low=1, high=256)
    reads = ("numbers", "flags", "categories", "features")
    one_for_all_members = True
    defaults = {"learning_rate": 1e-3}

    def encoding(self, seed: int) -> dict[str, Any]:
        return super().encoding(seed) | {"rocket": (self.kernels * self.members, self.groups * self.members, seed)}

    def features(self, inputs: Inputs) -> Any:
        plain = [part for part in (inputs.numbers, inputs.flags, layers.categories.one_hot(inputs)) if part is not None]
        width = sum(part.shape[-1] for part in plain)
        return layers.blocks.join(
            inputs.features, *(part * width**-0.5 for part in plain)
        )  # all plain columns count as one block

    forward = features


class RocketClassifier(ClosedForm, Classifier, Rocket):
    """Random convolutions for classes: two or many, or several labels at once.

    Examples
    --------
    >>> from tabdl import RocketClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> RocketClassifier(random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class RocketRegressor(ClosedForm, Regressor, Rocket):
    """Random convolutions for numbers: one or several, counts, or `quantiles=`.

    Examples
    --------
    >>> from tabdl import RocketRegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> RocketRegressor(random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """
