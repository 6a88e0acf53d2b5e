"""Every public estimator keeps every promise of `tabdl.testing`; a new one is tested because it is there."""

from __future__ import annotations

import pytest
from small import series_sizes

from tabdl import models, testing

CHECKS = [check for name in models.catalogue() for check in testing.checks(models.load_class(name), **series_sizes(name))]


@pytest.mark.parametrize("check", CHECKS, ids=str)
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
