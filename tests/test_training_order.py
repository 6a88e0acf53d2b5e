"""Which rows a step sees: every row once an epoch, a pure function of seed and epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabdl.errors import ParameterError
from tabdl.training.order import CHUNK, Plan, automatic_batch_size, automatic_epochs


def check(rows, batch_size):
    plan = Plan.of(rows, batch_size)
    order, keep = plan.order(3, 7)
    assert order.shape == keep.shape == (plan.chunks, plan.steps, plan.batch)
    assert (order.dtype, keep.dtype) == (np.int32, np.float32)
    assert plan.batch <= batch_size
    assert plan.steps <= CHUNK
    assert plan.chunks * plan.steps >= np.ceil(rows / batch_size)
    np.testing.assert_array_equal(np.sort(order[keep == 1]), np.arange(rows))
    assert set(np.unique(keep)) <= {0.0, 1.0}
    flat = keep.ravel()
    assert (np.diff(flat) <= 0).all(), "only the end is filled up"


@pytest.mark.parametrize("batch_size", [*range(1, 38), 100, 10**6])
def test_every_row_once_for_each_batch_size(batch_size):
    check(37, batch_size)


@given(st.integers(1, 3_000), st.integers(1, 4_000))
@settings(max_examples=60, deadline=None)
def test_every_row_once_for_any_shape(rows, batch_size):
    check(rows, batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 9, 30])
@pytest.mark.parametrize("rows", [3, 8, 9, 15, 16, 17, 100, 1_033, 5_000])
def test_a_step_has_its_least_rows(rows, batch_size):
    plan = Plan.of(rows, batch_size, least=8)
    assert plan.batch >= min(rows, 8)
    order, keep = plan.order(3, 7)
    np.testing.assert_array_equal(np.sort(order[keep == 1]), np.arange(rows))
    if rows % batch_size == 0 and batch_size >= 8:
        assert plan == Plan.of(rows, batch_size)


def test_order_is_a_pure_function_of_seed_and_epoch():
    plan = Plan.of(200, 16)
    first = plan.order(1, 4)[0]
    np.random.seed(0)
    plan.order(9, 9)
    np.testing.assert_array_equal(plan.order(1, 4)[0], first)
    for seed, epoch in ((1, 5), (2, 4)):
        assert (plan.order(seed, epoch)[0] != first).any()


def test_the_global_generator_is_not_touched():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    Plan.of(50, 8).order(0, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    "rows, size",
    [
        (1, 32),
        (1_000, 32),
        (1_001, 64),
        (3_000, 64),
        (3_001, 128),
        (10_000, 128),
        (10_001, 256),
        (100_000, 256),
        (100_001, 1_024),
    ],
)
def test_automatic_batch_size_is_the_documented_one(rows, size):
    assert automatic_batch_size(rows) == size


@pytest.mark.parametrize("steps, epochs", [(1, 100), (20, 100), (50, 40), (100, 20), (1_000, 12)])
def test_automatic_epochs_make_about_two_thousand_steps(steps, epochs):
    assert automatic_epochs(steps) == epochs


def steps_of(plan, seed, epoch):
    """(own rows, context rows, keep) of each step."""
    order, keep = plan.order(seed, epoch)
    assert order.shape == keep.shape == (plan.chunks, plan.steps, plan.batch + plan.context)
    shape = (-1, plan.batch + plan.context)
    rows = order.reshape(shape)
    return rows[:, : plan.batch], rows[:, plan.batch :], keep.reshape(shape)


def test_context_rows_are_of_other_steps_and_count_for_nothing():
    plan = Plan.of(203, 20, context=31)
    assert (plan.batch, plan.context) == (19, 31)
    own, shown, keep = steps_of(plan, 3, 7)
    assert not keep[:, 19:].any()
    without, kept = Plan.of(203, 20).order(3, 7)
    np.testing.assert_array_equal(own, without[0])
    np.testing.assert_array_equal(keep[:, :19], kept[0])
    for mine, others in zip(own, shown, strict=True):
        assert len(set(others)) == 31
        assert not set(mine) & set(others)


@given(st.data(), st.integers(2, 300), st.integers(1, 400), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_context_of_any_size_never_shows_a_row_of_the_step(data, rows, batch_size, seed):
    context = data.draw(st.integers(1, rows - 1))
    plan = Plan.of(rows, batch_size, context)
    assert plan.batch <= min(batch_size, rows - context)
    for epoch in range(5):
        own, shown, keep = steps_of(plan, seed, epoch)
        np.testing.assert_array_equal(np.sort(own[keep[:, : plan.batch] == 1]), np.arange(rows))
        for mine, others in zip(own.tolist(), shown.tolist(), strict=True):
            assert len(set(others)) == context
            assert not set(mine) & set(others)


def test_context_differs_from_epoch_to_epoch_and_reaches_all_rows():
    plan = Plan.of(100, 10, context=20)
    shown = [steps_of(plan, 0, epoch)[1] for epoch in range(8)]
    assert (shown[0] != shown[1]).any()
    assert set(np.concatenate(shown).ravel().tolist()) == set(range(100))


@pytest.mark.parametrize("context", [37, 38, 10**6])
def test_a_context_needs_other_rows(context):
    message = rf"^context={context} expects more than {context} training rows, received 37; lower it$"
    with pytest.raises(ParameterError, match=message):
        Plan.of(37, 10, context)
    with pytest.raises(ParameterError, match="received 36; lower it"):
        Plan.of(37, 10, 36, fewest=36)


@pytest.mark.parametrize("context", [0, 1, 30, 35])
@pytest.mark.parametrize("rows", [36, 37])
def test_the_same_steps_for_a_row_less(rows, context):
    """Folds of 37 and of 36 rows learn side by side, in steps of one shape."""
    plan = Plan.of(37, 10, context, fewest=36)
    assert plan.of_rows(rows).context == context
    for epoch in range(20):
        own, shown, keep = steps_of(plan.of_rows(rows), 0, epoch)
        assert own.shape == (plan.steps, plan.batch)
        np.testing.assert_array_equal(np.sort(own[keep[:, : plan.batch] == 1]), np.arange(rows))
        for mine, others in zip(own.tolist(), shown.tolist(), strict=True):
            assert len(set(others)) == context
            assert not set(mine) & set(others)


@given(st.integers(2, 60), st.integers(1, 90), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_a_context_larger_than_a_later_table_repeats_its_rows_evenly(rows, batch_size, context):
    plan = Plan.of(rows, batch_size, context, repeat=True)
    if context < rows:
        assert plan == Plan.of(rows, batch_size, context)
    own, shown, _ = steps_of(plan, 1, 2)
    for mine, others in zip(own.tolist(), shown.tolist(), strict=True):
        assert not set(mine) & set(others)
        times = np.unique(others, return_counts=True)[1]
        assert np.ptp(times) <= 1
        assert len(times) == min(context, rows - plan.batch)


def test_a_single_row_has_no_other_to_be_compared_with():
    with pytest.raises(ParameterError, match="expects more than 5 training rows, received 1"):
        Plan.of(1, 10, 5, repeat=True)
