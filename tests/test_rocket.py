"""Rocket features: against slow ones, and of each row alone."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.encoding import rocket
from tabdl.encoding.hydra import RIVALS, Hydra
from tabdl.encoding.minirocket import KERNELS, TAPS, MiniRocket, StepCounter, draw_channels, plan
from tabdl.encoding.rocket import RocketKernels
from tabdl.encoding.summaries import LEVELS, Summaries
from tabdl.training.closed import fit_ridge

FEATURES, GROUPS = 840, 3


def draw(rows: int, longest: int, channels: int = 1, seed: int = 0, shortest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, rows)
    lengths[0], lengths[-1] = longest, shortest
    values = rng.normal(size=(rows, longest, channels)).astype(np.float32).cumsum(axis=1)
    return np.where(np.arange(longest)[None, :, None] < lengths[:, None, None], values, 0).astype(np.float32), lengths


def fitted(values: np.ndarray, lengths: np.ndarray, seed: int = 0) -> RocketKernels:
    return RocketKernels(FEATURES, GROUPS).fit(values, lengths, seed)


# --- slow references ----------------------------------------------------------------------------------------------------


def windows(series: np.ndarray, dilation: int) -> np.ndarray:
    """One row's mixed channel (steps,) -> what each tap sees around each step, zeros outside: (steps, taps)."""
    at = np.arange(len(series))[:, None] + dilation * (np.arange(TAPS) - TAPS // 2)
    inside = (at >= 0) & (at < len(series))
    return np.where(inside, series[np.clip(at, 0, len(series) - 1)], 0)


def slow_shares(mini: MiniRocket, row: np.ndarray) -> np.ndarray:
    """row: (channels, steps) -> (width,)."""
    shares = np.zeros(mini.biases.shape)
    ends = np.cumsum(mini.counts)
    for slot, dilation in enumerate(mini.dilations):
        for kernel, heavy in enumerate(KERNELS):
            chosen = mini.chosen[slot, kernel * mini.chosen.shape[1] // len(KERNELS)]
            weights = np.where(np.isin(np.arange(TAPS), heavy), 2, -1)
            answers = windows(row[chosen].sum(axis=0), dilation) @ weights
            reach = 4 * dilation
            if (kernel + slot) % 2 and len(answers) > 2 * reach:
                answers = answers[reach:-reach]
            for column in range(ends[slot] - mini.counts[slot], ends[slot]):
                shares[kernel, column] = (answers > mini.biases[kernel, column]).mean()
    return shares.ravel()


def slow_wins(hydra: Hydra, row: np.ndarray) -> np.ndarray:
    wins = np.zeros((*hydra.shape[:2], 2, RIVALS))
    for level, dilation in enumerate(hydra.dilations):
        for group, changes in enumerate(hydra.kernels[level]):
            weights = np.diff(-changes, axis=1, prepend=0, append=0)  # (rivals, taps)
            answers = windows(row[hydra.chosen[level, group]].sum(axis=0), dilation) @ weights.T
            for step in answers:
                wins[level, group, 0, step.argmax()] += step.max()
                wins[level, group, 1, step.argmin()] += 1
    return np.sqrt(np.maximum(wins, 0)).ravel()


@pytest.mark.parametrize("channels", [1, 3])
def test_shares_are_those_of_a_slow_count(channels):
    values, lengths = draw(6, 40, channels)
    series = values.transpose(2, 1, 0)
    mini = MiniRocket(30, channels, FEATURES)
    mini.fit(series, lengths, np.random.default_rng(0))
    mini.biases += np.float32(1e-3)  # they lie on answers of these rows, where rounding would decide
    found = mini.transform(series, lengths)
    expected = np.array([slow_shares(mini, values[row, : lengths[row]].T) for row in range(6)])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0.2 < found[0].mean() < 0.8


@pytest.mark.parametrize("channels", [1, 3])
def test_wins_are_those_of_a_slow_count(channels):
    values, lengths = draw(6, 40, channels)
    hydra = Hydra(40, channels, GROUPS)
    hydra.draw(np.random.default_rng(0))
    found = hydra.transform(values.transpose(2, 1, 0), lengths)
    expected = np.array([slow_wins(hydra, values[row, : lengths[row]].T) for row in range(6)])
    np.testing.assert_allclose(found[lengths > 1], expected[lengths > 1], rtol=1e-3, atol=1e-3)


def test_kernels_sum_to_zero_and_flat_stretches_answer_nothing():
    hydra = Hydra(100, 1, GROUPS)
    hydra.draw(np.random.default_rng(0))
    middle = np.full((1, 200, 1), 1234.567, np.float32)
    middle[:, :50] = middle[:, 150:] = 0  # two jumps: answers at a kernel's reach of them
    wins = hydra.transform(middle, np.array([200])).reshape(*hydra.shape[:2], 2, RIVALS)
    reach = 2 * 8 * hydra.dilations[:, None, None]
    assert (np.square(wins[:, :, 1]) >= 200 - reach - 1e-3).all()  # elsewhere all rivals draw


def test_steps_are_counted_beyond_a_byte():
    counter = StepCounter((2,), 1000, 3)
    counter.true[:] = True
    counter.true[1, 10:20, 1] = False
    assert counter.total().tolist() == [[1000, 1000, 1000], [1000, 990, 1000]]


@pytest.mark.parametrize("length", [1, 2, 8, 9, 17, 100, 5000])
@pytest.mark.parametrize("features", [84, 840, 10_000])
def test_plan_fits_the_length_and_spends_all_biases(length, features):
    for channels in (1, 4):
        dilations, counts = plan(length, features, channels)
        assert counts.sum() == max(features // 84, 1)
        assert counts.min() >= 1
        assert dilations.min() >= 1
        assert dilations.max() <= max((length - 1) // 8, 1)
    assert counts.max() <= 4


def test_channels_are_drawn_in_all_sizes():
    drawn = draw_channels(20, 9, 500, np.random.default_rng(0))
    assert set(drawn.sum(axis=1)) == set(range(1, 10))
    assert drawn.any(axis=0).all()
    assert draw_channels(1, 9, 5, np.random.default_rng(0)).all()


# --- of each row alone --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_padding_and_company_change_nothing(channels):
    values, lengths = draw(30, 60, channels)
    kernels = fitted(values, lengths)
    together = kernels.transform(values, lengths)
    longer = np.concatenate([values, np.zeros((30, 400, channels), np.float32)], axis=1)
    np.testing.assert_array_equal(kernels.transform(longer, lengths), together)
    for row in range(0, 30, 3):
        alone = kernels.transform(values[[row], : lengths[row]], lengths[[row]])
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)


def test_chunks_change_nothing(monkeypatch):
    values, lengths = draw(30, 60, 2)
    kernels = fitted(values, lengths)
    whole = kernels.transform(values, lengths)
    monkeypatch.setattr(rocket, "CHUNK", 100)
    np.testing.assert_allclose(kernels.transform(values, lengths), whole, atol=1e-6)


def test_order_of_rows_is_kept():
    values, lengths = draw(30, 60)
    kernels = fitted(values, lengths)
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_allclose(
        kernels.transform(values[order], lengths[order]), kernels.transform(values, lengths)[order], atol=1e-6
    )


def test_equal_rows_have_equal_features():
    values, lengths = draw(9, 300)
    kernels = fitted(values, lengths)
    twice = kernels.transform(values.repeat(5, axis=0), lengths.repeat(5))
    np.testing.assert_array_equal(twice[::5], twice[4::5])


# --- hard series --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_one_step_and_short_series_have_features(channels):
    long, lengths = draw(20, 200, channels, shortest=100)
    short, sizes = draw(6, 5, channels)
    assert sizes.min() == 1
    assert np.isfinite(fitted(long, lengths).transform(short, sizes)).all()
    assert np.isfinite(fitted(short, sizes).transform(long, lengths)).all()
    one = np.random.default_rng(0).normal(size=(8, 1, channels)).astype(np.float32)
    features = fitted(one, np.ones(8, int)).transform(one, np.ones(8, int))
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0  # the level is known


@pytest.mark.parametrize("value", [0.0, 3.7, -1e6])
def test_constant_series_have_features(value):
    values, lengths = draw(10, 50, shortest=50)
    flat = np.full((4, 50, 1), value, np.float32)
    sizes = np.full(4, 50)
    assert np.isfinite(fitted(values, lengths).transform(flat, sizes)).all()
    np.testing.assert_array_equal(fitted(flat, sizes).transform(flat, sizes), 0)  # nothing varies


def test_one_training_row_is_enough():
    values, lengths = draw(1, 50)
    assert np.isfinite(fitted(values, lengths).transform(values, lengths)).all()


def test_summaries_are_those_of_each_row():
    values, lengths = draw(7, 41, 2)
    found = Summaries(2).transform(values.transpose(2, 1, 0), lengths)
    for row, length in enumerate(lengths):
        own = values[row, :length].astype(float)
        at = np.rint(LEVELS * (length - 1)).astype(int)
        expected = [[np.log(length)], own.mean(axis=0), own.std(axis=0), np.sort(own, axis=0)[at].T.ravel()]
        np.testing.assert_allclose(found[row], np.concatenate(expected), rtol=1e-4, atol=1e-5)


# --- the whole ----------------------------------------------------------------------------------------------------------


def test_features_are_scaled_for_a_ridge():
    values, lengths = draw(50, 60, shortest=40)
    features = RocketKernels(FEATURES, GROUPS).fit_transform(values, lengths, 0)
    kernels = fitted(values, lengths)
    np.testing.assert_array_equal(features, kernels.transform(values, lengths))
    assert features.dtype == np.float32
    assert features.shape == (50, kernels.width)
    squares = np.square(features).sum(axis=1).mean()
    assert 0.5 * sum(rocket.SHARES) < squares < 1.1 * sum(rocket.SHARES)


def test_a_strange_series_stays_near():
    values, lengths = draw(50, 60, shortest=60)
    kernels = fitted(values, lengths)
    strange = kernels.transform(values[:2] * np.float32(1e4), lengths[:2])
    for part, limit in zip(kernels.parts, kernels.limits, strict=True):
        assert np.abs(strange[:, part]).max() <= limit
    assert np.abs(strange[:, kernels.parts[-1]]).max() == kernels.limits[-1]


def test_seed_decides_and_global_state_stays():
    values, lengths = draw(20, 60)
    before = values.copy(), np.random.get_state()[1].copy()
    once, again, other = (fitted(values, lengths, seed).transform(values, lengths) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert once.shape == other.shape
    assert not np.allclose(once, other)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_state_round_trip(channels):
    values, lengths = draw(20, 60, channels)
    kernels = fitted(values, lengths)
    state = kernels.state
    assert all(name.startswith("rocket/") and array.dtype != object for name, array in state.items())
    restored = RocketKernels.from_state(state)
    np.testing.assert_array_equal(restored.transform(values, lengths), kernels.transform(values, lengths))
    assert restored.state.keys() == state.keys()


def test_damaged_state_is_refused():
    state = fitted(*draw(20, 60, 2)).state
    for name, array in state.items():
        for wrong in (array[..., :-1], array.astype(np.float16)):
            with pytest.raises(ValueError, match="expected"):
                RocketKernels.from_state(state | {name: wrong})
    for place in range(4):
        size = state["rocket/size"].copy()
        size[place] = -1
        with pytest.raises(ValueError, match="expected"):
            RocketKernels.from_state(state | {"rocket/size": size})
    with pytest.raises(ValueError, match="expected"):
        RocketKernels.from_state(state | {"rocket/size": np.array([60, 2, 10**15, 3])})


def test_shapes_of_waves_are_told_apart():
    rng = np.random.default_rng(0)
    time = np.arange(80)
    kind = np.arange(40) % 2
    phase = rng.uniform(0, 7, (40, 1))
    waves = np.where(kind[:, None], np.sin(time / 3 + phase), np.sign(np.sin(time / 3 + phase))) + rng.normal(0, 0.3, (40, 80))
    lengths = np.full(40, 80)
    features = RocketKernels(FEATURES, GROUPS).fit_transform(waves[..., None].astype(np.float32), lengths, 0)
    left_out = fit_ridge(features, np.where(kind, 1.0, -1.0)[:, None]).left_out[:, 0]
    assert ((left_out > 0) == kind).mean() > 0.9
