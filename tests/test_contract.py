"""Every public estimator keeps every promise of `tabdl.testing`; a new one is tested because it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from small import series_sizes

from tabdl import models, testing
from tabdl.estimators.networkforecasting import NetworkForecaster

SAME_EVERYWHERE = (  # promises of files that know no backend: on a second one `make test` need not repeat them
    *("parameters", "pickle", "columns", "strange_cells", "model", "innocent", "forms", "empty_steps", "misfits"),
    *("tidy", "kept", "new_series", "no_look_ahead", "times", "several_targets", "refusals", "picture"),
    *("classes", "many_classes"),  # names of classes, written once in NumPy
    "continued",  # by the bookkeeping of epochs, after the compiled step that all the others show
    *("labels", "ordered_classes", "many_numbers", "counts", "quantiles"),  # losses, written in operations of Keras
)

ONCE_A_NETWORK = (  # its classifier shows them in `make test`: what a regressor adds is its target
    *("parameters", "pickle", "repeatable", "rows_alone", "strange_cells", "columns", "weights", "model", "continued"),
    *("members", "innocent", "forms", "empty_steps", "misfits"),
)

OF_TABLES = ("times", "tidy", "refusals", "picture")  # of forecasters; in `make test` the ridge shows them


def every_check() -> Iterator[Any]:
    """`make full` runs all on both backends."""
    second = os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow"
    for name in models.catalogue():
        cls = models.load_class(name)
        repeated = repeated_promises(cls, second)
        for check in testing.checks(cls, **series_sizes(name)):
            promise = str(check).partition("-")[2]
            yield pytest.param(check, id=str(check), marks=[pytest.mark.full] if promise in repeated else [])


def repeated_promises(cls: type, second: bool) -> set[str]:
    """Promises that `make test` has seen already: by the same files on the first backend, or by a sister of the class."""
    found = set(SAME_EVERYWHERE) if second else set()
    if cls.__name__.endswith("Regressor"):
        found |= {*ONCE_A_NETWORK, "artifact"} if second else {*ONCE_A_NETWORK}
    return found | set(OF_TABLES) if issubclass(cls, NetworkForecaster) else found


@pytest.mark.parametrize("check", list(every_check()))
def test_promise(check: testing.Check) -> None:
    check()


def test_a_broken_promise_is_named() -> None:
    class ForgetfulRegressor(models.load_class("MLPRegressor")):
        """Predicts another thing each time."""

        def predict(self, X: object) -> object:
            self.calls = getattr(self, "calls", 0) + 1
            return super().predict(X) + self.calls

    with pytest.raises(AssertionError, match="ForgetfulRegressor-pickle"):
        testing.check_network(ForgetfulRegressor)
