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

    members: int | str = param(
        "auto",
        "TabM networks, by turns mini and full, each with its own seed; 'auto': 2, or 1 for each fold where there are folds",
        low=1,
        high=16,
        options=("auto",),
    )
    neighbors: bool = param(True, "whether a network of neighbours takes part, which keeps embedded training rows in the model")
    defaults = {"bagging": "auto"}
    one_for_all_members = True

    def networks(self, kind: str, folds: int) -> dict[str, Any]:
        """Unfitted estimators by name, for a kind of task and a number of folds."""
        variants = ("mini", "full")  # they err a little differently
        count = (2 if folds == 1 else 1) if isinstance(self.members, str) else self.members
        parts = {f"tabm{i}": find("tabm", kind)(variant=variants[i % 2]) for i in range(count)}
        return parts | ({"neighbors": find("neighbors", kind)()} if self.neighbors else {})


class TabularClassifier(Mixture, Tabular, Classifier):
    """The default for classes: two or many, or several labels at once.

    `parts_` has the fitted networks by name and `shares_` what each counts; `history_` and `best_epoch_` are those of the first
    network. The file of a model with neighbours holds embedded training rows; `neighbors=False` leaves them out.

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

    `parts_` has the fitted networks by name and `shares_` what each counts; `history_` and `best_epoch_` are those of the first
    network. The file of a model with neighbours holds embedded training rows; `neighbors=False` leaves them out.

    Examples
    --------
    >>> from tabdl import TabularRegressor
    >>> from tabdl.datasets import make_conversion
    >>> X, _ = make_conversion(500, random_state=0)
    >>> minutes = X.pop("minutes_per_visit").fillna(5.0)
    >>> TabularRegressor(epochs=2, random_state=0).fit(X, minutes).predict(X[:3]).shape
    (3,)
    """
