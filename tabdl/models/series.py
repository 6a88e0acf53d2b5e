"""Series: random convolutions beside learned ones, averaged with shares found on held-out rows. The default for series.

Rocket and deep networks err differently: of 24 sets of the UCR archive the better of the two is as good as HIVE-COTE 2
(Middlehurst, Schäfer, Bagnall, Bake off redux, 2024, arXiv 2304.13029), which is an average of several kinds too.
"""

from __future__ import annotations

from typing import Any

from tabdl.estimators.mixture import Mixture
from tabdl.estimators.supervised import Classifier, Regressor
from tabdl.models import find
from tabdl.network import SequenceNetwork
from tabdl.params import param


class Series(SequenceNetwork):
    """Rocket and LITE."""

    members: int = param(1, "LITE networks, each with its own seed", low=0, high=16)
    reads = (*SequenceNetwork.reads, "features")
    defaults = {"bagging": "auto"}
    one_for_all_members = True

    def encoding(self, seed: int) -> dict[str, Any]:
        return find("rocket", "classifier")(scale=self.scale).encoding(seed)

    def networks(self, kind: str, folds: int) -> dict[str, Any]:
        """Unfitted estimators by name, for a kind of task and a number of folds."""
        parts = {"rocket": find("rocket", kind)(), **{f"lite{i}": find("lite", kind)() for i in range(self.members)}}
        for part in parts.values() if folds > 1 else ():
            part.automatic_training, part.epochs_of_few = (600, 12), (0, 0)  # folds are several networks
        return parts


class SeriesClassifier(Mixture, Series, Classifier):
    """The default for classes of series: two or many, or several labels at once.

    `parts_` has the fitted networks by name and `shares_` what each counts.

    Examples
    --------
    >>> from tabdl import SeriesClassifier
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> SeriesClassifier(epochs=2, random_state=0).fit(X, y).predict_proba(X[:3]).shape
    (3, 3)
    """


class SeriesRegressor(Mixture, Series, Regressor):
    """The default for numbers that a series tells: one or several, counts, or `quantiles=`.

    `parts_` has the fitted networks by name and `shares_` what each counts.

    Examples
    --------
    >>> from tabdl import SeriesRegressor
    >>> from tabdl.datasets import make_waves
    >>> X, _ = make_waves(60, random_state=0)
    >>> SeriesRegressor(epochs=2, random_state=0).fit(X, X.max(axis=(1, 2))).predict(X[:3]).shape
    (3,)
    """
