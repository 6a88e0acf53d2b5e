"""Tabular: a few different small networks on one table, averaged with shares found on held-out rows. The default to begin with.

Networks err differently: a vote of neighbours and an ensemble of MLPs, each as good alone, are better together.
After Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004.
"""

from __future__ import annotations

from typing import Any

from tabdl.estimators.mixture import Mixture
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.network import TableNetwork
from tabdl.params import param


class Tabular(TableNetwork):
    """TabM twice and neighbours."""

    members: int = param(2, "TabM networks, each with its own seed; their predictions are averaged", low=1, high=16)
    neighbors: bool = param(True, "whether a network of neighbours takes part, which keeps embedded training rows in the model")

    def networks(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Name of a part -> (architecture, its parameters)."""
        parts: dict[str, tuple[str, dict[str, Any]]] = {f"tabm{i}": ("tabm", {}) for i in range(self.members)}
        return parts | ({"neighbors": ("neighbors", {})} if self.neighbors else {})


class TabularClassifier(Mixture, Tabular, Classifier):
    """The default for classes: two or many, or several labels at once.

    `parts_` has the fitted networks by name and `shares_` what each counts. The file of a model with neighbours holds embedded
    training rows; `neighbors=False` leaves them out.

    Examples
    --------
    >>> from tabdl import TabularClassifier
    >>> from tabdl.datasets import make_conversion
    >>> X, y = make_conversion(500, random_state=0)
    >>> TabularClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 2)
    """


class TabularRegressor(Mixture, Tabular, Regressor):
    """The default for numbers: one or several, counts, or `quantiles=`.

    `parts_` has the fitted networks by name and `shares_` what each counts. The file of a model with neighbours holds embedded
    training rows; `neighbors=False` leaves them out.

    Examples
    --------
    >>> from tabdl import TabularRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> TabularRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
