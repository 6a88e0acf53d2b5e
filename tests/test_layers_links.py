"""Logits to predictions against SciPy's formulas; quantiles never cross."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log1p, softmax

from tabdl.layers import links
from tabdl.spec import Head

Z = np.random.default_rng(0).normal(0, 3, (20, 4)).astype(np.float32)
FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": expit,
    "softmax": lambda z: softmax(z, axis=-1),
    "exp": np.exp,
    "cumulative": lambda z: expit(z[..., :1] - np.cumsum(np.concatenate([0 * z[..., :1], log1p(np.exp(z[..., 1:]))], -1), -1)),
    "ascending": lambda z: np.cumsum(np.concatenate([z[..., :1], log1p(np.exp(z[..., 1:]))], axis=-1), axis=-1),
}


def predict(logits, link):
    return keras.ops.convert_to_numpy(links.predictions(keras.ops.convert_to_tensor(logits), Head(logits.shape[-1], link, "mse")))


@pytest.mark.parametrize("link", FORMULAS)
def test_link_follows_its_formula(link):
    np.testing.assert_allclose(predict(Z, link), FORMULAS[link](Z.astype(float)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("link", FORMULAS)
def test_members_are_averaged_after_the_link(link):
    logits = np.stack([Z, -Z, Z / 2], axis=1)
    expected = FORMULAS[link](logits.astype(float)).mean(axis=1)
    np.testing.assert_allclose(predict(logits, link), expected, rtol=1e-5, atol=1e-6)


def test_every_link_is_known():
    assert set(links._LINKS) == set(FORMULAS)


def test_exp_stays_finite():
    assert np.isfinite(predict(np.array([[1e4]], np.float32), "exp")).all()


@given(arrays(np.float32, (5, 7), elements=st.floats(-100, 100, width=32)))
@settings(max_examples=60, deadline=None)
def test_quantiles_and_thresholds_never_cross(logits):
    assert (np.diff(predict(logits, "ascending"), axis=1) >= 0).all()
    assert (np.diff(keras.ops.convert_to_numpy(links.descending(logits)), axis=1) <= 0).all()
    members = np.stack([logits, logits[::-1]], axis=1)
    assert (np.diff(predict(members, "ascending"), axis=1) >= 0).all()
