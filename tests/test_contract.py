"""Every public estimator keeps every promise of `tabdl.testing`; a new one is tested because it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from small import series_sizes

from tabdl import models, testing

SAME_EVERYWHERE = (  # promises of files that know no backend: on a second one `make test` need not repeat them
    *("parameters", "pickle", "columns", "strange_cells", "model", "innocent", "forms", "empty_steps", "misfits"),
    *("tidy", "kept", "new_series", "no_look_ahead", "times", "several_targets", "refusals", "picture"),
)


def every_check() -> Iterator[Any]:
    second = os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow"
    for name in models.catalogue():
        for check in testing.checks(models.load_class(name), **series_sizes(name)):
            repeated = second and str(check).partition("-")[2] in SAME_EVERYWHERE
            yield pytest.param(check, id=str(check), marks=[pytest.mark.full] if repeated else [])


@pytest.mark.parametrize("check", every_check())
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
