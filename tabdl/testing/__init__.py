"""The promises of every estimator, as checks that you run on your own network too.

    @pytest.mark.parametrize("check", tabdl.testing.checks(MineClassifier), ids=str)
    def test_mine(check):
        check()

`tabdl.testing.check_network(MineClassifier, width=32)` runs all of them; the first broken promise is an AssertionError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tabdl.estimators.base import Estimator
from tabdl.estimators.forecasting import PanelForecaster
from tabdl.testing.cases import Case, mixed_series, mixed_table, table_for
from tabdl.testing.forecasts import FORECAST_PROMISES, ForecastCase, mixed_panel
from tabdl.testing.promises import CLASSIFIER_PROMISES, PROMISES, REGRESSOR_PROMISES
from tabdl.testing.sequences import SERIES_PROMISES

__all__ = ["Check", "check_network", "checks", "mixed_panel", "mixed_series", "mixed_table", "table_for"]


@dataclass(frozen=True)
class Check:
    """One promise about one estimator class: call it."""

    promise: Callable[[Any], None]
    case: Case | ForecastCase

    def __call__(self) -> None:
        self.promise(self.case)

    def __str__(self) -> str:
        return f"{self.case.cls.__name__}-{self.promise.__name__.removeprefix('check_')}"


def checks(estimator_class: type[Estimator] | type[PanelForecaster], **params: Any) -> Iterator[Check]:
    """The checks that apply to an estimator class, made with `params` (2 epochs, random_state 0 and no folds unless given)."""
    if issubclass(estimator_class, PanelForecaster):
        forecasts = ForecastCase(estimator_class, params)
        yield from (Check(promise, forecasts) for promise in FORECAST_PROMISES)
        return
    case = Case(estimator_class, params)
    own = CLASSIFIER_PROMISES if case.classifier else REGRESSOR_PROMISES
    for promise in (*PROMISES, *own, *(SERIES_PROMISES if case.series else ())):
        yield Check(promise, case)


def check_network(estimator_class: type[Estimator] | type[PanelForecaster], **params: Any) -> None:
    """Run all checks on an estimator class.

    Raises
    ------
    AssertionError
        At the first promise that does not hold, naming it.
    """
    for check in checks(estimator_class, **params):
        try:
            check()
        except Exception as cause:
            raise AssertionError(f"{check}: {cause}") from cause
