"""How many rows a category needs, against simulated effects whose variances are known."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl import credibility
from tabdl.credibility import rows_needed, supported, unexplained

rng = np.random.default_rng(0)
CODES = np.repeat(np.arange(400), rng.integers(2, 40, 400))
ONE = np.ones(len(CODES))
NONE = np.zeros((len(CODES), 0))
EFFECT, NOISE = rng.normal(size=(400, 1))[CODES], rng.normal(size=(len(CODES), 1))
X = rng.normal(size=(len(CODES), 3))
RARE = (rng.random((len(CODES), 1)) < 0.05).astype(float)


def needed(rest, numbers=NONE, weight=ONE):
    return rows_needed(CODES, weight, rest, numbers)


@pytest.mark.parametrize("weight", [ONE, 7 * ONE, rng.lognormal(0, 1, len(CODES))], ids=["one", "seven", "uneven"])
@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_rows_needed_are_the_ratio_of_the_variances(spread, weight):
    assert needed(EFFECT + spread * NOISE, weight=weight) == pytest.approx(spread**2, rel=0.5)


@pytest.mark.parametrize(
    "rest, weight",
    [
        (NOISE, ONE),
        (NOISE, rng.lognormal(0, 2, len(CODES))),
        (RARE, ONE),
        (RARE, np.where(RARE[:, 0] > 0, 10.0, 0.5)),
        (NOISE**5, ONE),
    ],
    ids=["equal", "uneven", "rare", "balanced", "heavy tails"],
)
def test_noise_needs_more_rows_than_there_are(rest, weight):
    assert needed(rest, weight=weight) > 200
    assert needed(rest, X, weight) > 200, "nor is one of several slopes large by chance"


@pytest.mark.parametrize("repeated", [0, 1, 5, 10])
def test_rows_alone_in_their_code_say_nothing(repeated):
    codes = np.arange(300)
    codes[:repeated] = codes[50 : 50 + repeated]
    assert rows_needed(codes, ONE[:300], NOISE[:300], X[:300]) > 50
    assert not supported(codes, 300, ONE[:300], NOISE[:300], X[:300], 1.0).any()


def test_slopes_count_as_much_as_means():
    assert needed(EFFECT * X[:, :1] + 0.1 * NOISE) > 50
    assert needed(EFFECT * X[:, :1] + 0.1 * NOISE, X) < 4


def test_outputs_share_their_evidence():
    both = np.hstack([EFFECT + NOISE, NOISE[::-1]])
    assert needed(EFFECT + NOISE) < needed(both) == pytest.approx(2.0, rel=0.5)


def test_a_constant_target_and_a_single_code_say_nothing():
    assert needed(0 * NOISE) == np.inf
    assert rows_needed(np.zeros(50, int), ONE[:50], NOISE[:50], NONE[:50]) == np.inf


@pytest.mark.parametrize("each", [1.0, 80.0])
def test_support_is_a_matter_of_rows(each, monkeypatch):
    codes = np.concatenate([CODES, np.full(credibility.ENOUGH, 400)])
    many = np.ones(len(codes))
    noise = rng.normal(size=(len(codes), 1))
    found = supported(codes, 402, many, noise, np.zeros((len(codes), 0)), each)
    rows = np.bincount(codes, minlength=402)
    np.testing.assert_array_equal(found, each * rows >= credibility.ENOUGH, err_msg="a sample of noise is noise")
    effect = rng.normal(size=(402, 1))[codes] + noise
    assert (supported(codes, 402, many, effect, np.zeros((len(codes), 0)), each) >= (each * rows >= 4)).all()
    monkeypatch.setattr(credibility, "SAMPLE", 4_000)
    assert (supported(codes, 402, many, effect, np.zeros((len(codes), 0)), each) >= (each * rows >= 8)).all()
    assert not found[401], "no row"


def test_unexplained_leaves_what_single_columns_do_not_tell():
    flag = (rng.random((len(CODES), 1)) < 0.3).astype(float)
    shown = 10 * X[:, :1] + X[:, 1:2] ** 2 + 2 * flag
    left = unexplained(X, flag, ONE, shown + NOISE)
    assert np.std(left - NOISE) < 0.05 * np.std(NOISE)
    centered = unexplained(NONE, NONE, ONE, NOISE + 5)
    np.testing.assert_allclose(centered, NOISE - NOISE.mean(), atol=1e-9)
