"""The clock of a fit: parts of what is left, epochs that fit into one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tabdl.training import clock
from tabdl.training.clock import Clock


@pytest.fixture
def now(monkeypatch):
    own = [100.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: own[0]))
    return own


def test_runs_share_what_is_left_and_the_last_one_ends_with_the_fit(now):
    fit = Clock(30.0, runs=3)
    fit.start()
    assert fit.deadline == 130, "what compiles has time to the end"
    now[0] = 106
    fit.share()
    assert fit.deadline == 106 + 24 / 3
    now[0] = 110  # sooner than it had to
    fit.finish()
    for expected in (110 + 20 / 2, 130):
        fit.start()
        fit.share()
        assert fit.deadline == expected
        now[0] = expected
        assert fit.over()
        fit.finish()


def test_epochs_that_fit_have_the_price_of_those_that_were(now):
    fit = Clock(100.0)
    fit.start()
    now[0] += 20
    fit.share()
    now[0] += 8
    assert fit.affordable(4.0) == int((0.95 * 80 - 8) / 2)
    now[0] += 80
    assert fit.affordable(4.0) == 0


def test_when_all_is_spent_each_run_is_over_at_once(now):
    fit = Clock(0.0, runs=2)
    fit.start()
    now[0] += 5
    fit.share()
    assert fit.over()
    assert fit.affordable(1.0) == 0


def test_without_a_limit_nothing_is_ever_over(now):
    fit = Clock(None, runs=2)
    fit.start()
    fit.share()
    assert fit.deadline == np.inf
    assert not fit.over()
    assert fit.affordable(1.0) is None
