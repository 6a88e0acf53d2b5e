"""Every public name is documented, and the examples in docstrings run."""

from __future__ import annotations

import doctest
import inspect
import warnings

import pytest

import tabdl
from tabdl import models

ESTIMATORS = list(models.catalogue())
OTHERS = [name for name in dir(tabdl) if name not in ESTIMATORS and callable(getattr(tabdl, name))]


def examples(thing: object) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(recurse=False).find(thing, getattr(thing, "__name__", "thing"), globs={})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator_documents_its_parameters_and_its_example_runs(name: str) -> None:
    cls = getattr(tabdl, name)
    summary, _, rest = inspect.getdoc(cls).partition("\n")
    assert summary.endswith((".", ":", "`"))
    assert all(f"{parameter} : " in rest for parameter in cls.fields)
    tests = examples(cls)
    assert tests, f"{name} needs a runnable example"
    run(tests)


@pytest.mark.parametrize("name", OTHERS)
def test_public_name_is_documented_and_its_example_runs(name: str) -> None:
    thing = getattr(tabdl, name)
    assert inspect.getdoc(thing)
    run(examples(thing))


def run(tests: list[doctest.DocTest]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="columns dropped")
        failed = sum(doctest.DocTestRunner().run(test).failed for test in tests)
    assert not failed
