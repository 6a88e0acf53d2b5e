"""Tabular: a few different small networks on one table, averaged with shares found on held-out rows. The default to begin with.

Networks err differently: a vote of neighbours and an ensemble of MLPs, each as good alone, are better together.
After Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004.
"""

from __future__ import annotations

from typing import Any

from tabdl.estimators.mixture import Mixture
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.models import find
from tabdl.network import TableNetwork
from tabdl.params import param


class Tabular(TableNetwork):
    """TabM twice and neighbours."""

    members: int = param(2, "TabM networks, by turns mini and full, each with its own seed", low=1, high=16)
    neighbors: bool = param(True, "whether a network of neighbours takes part, which keeps embedded training rows in the model")

    def networks(self, kind: str) -> dict[str, Any]:
        """Unfitted estimators by name, for a kind of task."""
        variants = ("mini", "full")  # they err a little differently
        parts = {f"tabm{i}": find("tabm", kind)(variant=variants[i % 2]) for i in range(self.members)}
        return parts | ({"neighbors": find("neighbors", kind)()} if self.neighbors else {})


class TabularClassifier(Mixture, Tabular, Classifier):
    """The default for classes: two or many, or several labels at once."""


class TabularRegressor(Mixture, Tabular, Regressor):
    """The default for numbers: one or several, counts, or `quantiles=`."""
