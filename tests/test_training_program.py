"""Compiled networks are shared by all fits that need the same, and by no others."""

from __future__ import annotations

import numpy as np
import pytest

import tabdl
from tabdl.network import get_weights
from tabdl.spec import Head, Spec
from tabdl.training import program as programs
from tabdl.training.program import KEPT, Updates, get_program

SPEC, HEAD = Spec(2), Head(1, "identity", "mse")


@pytest.fixture(autouse=True)
def own_programs(monkeypatch):
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())


def mlp(**params):
    return tabdl.MLPRegressor(units=(3,), **params)


def test_what_training_needs_at_run_time_only_shares_the_program():
    first, network = get_program(mlp(dropout=0.1), SPEC, HEAD)
    for other in (
        mlp(dropout=0.4),
        mlp(learning_rate=0.5, weight_decay=0.3, epochs=3, batch_size=2, schedule="linear", patience=2),
        mlp(initializer="he_normal"),
        tabdl.MLPRegressor(units=[3]),
        tabdl.MLPClassifier(units=(3,)),
    ):
        assert get_program(other, SPEC, HEAD)[0] is first
    assert network.dropout == 0.1
    assert get_program(mlp(dropout=0.4), SPEC, HEAD)[1].dropout == 0.4


def test_other_networks_shapes_and_heads_have_their_own():
    first, _ = get_program(mlp(), SPEC, HEAD)
    assert get_program(mlp(dropout=0.0), SPEC, HEAD)[0] is not first, "without dropout there is no layer"
    assert get_program(mlp(activation="tanh"), SPEC, HEAD)[0] is not first
    assert get_program(mlp(), Spec(3), HEAD)[0] is not first
    assert get_program(mlp(), SPEC, Head(1, "identity", "mae"))[0] is not first
    assert get_program(tabdl.ResNetRegressor(), SPEC, HEAD)[0] is not first


def test_the_least_recently_used_program_goes_first():
    first, _ = get_program(mlp(), Spec(1), HEAD)
    second, _ = get_program(mlp(), Spec(2), HEAD)
    for width in range(3, KEPT + 1):
        get_program(mlp(), Spec(width), HEAD)
        assert get_program(mlp(), Spec(1), HEAD)[0] is first
    get_program(mlp(), Spec(KEPT + 1), HEAD)
    assert len(programs._programs) == KEPT
    assert get_program(mlp(), Spec(1), HEAD)[0] is first
    assert get_program(mlp(), Spec(2), HEAD)[0] is not second


def test_a_kind_of_update_is_compiled_once_and_few_are_kept():
    shared, _ = get_program(mlp(), SPEC, HEAD)
    one = shared.training(Updates("sgd", 0.0))
    assert shared.training(Updates("sgd", 0.0)) is one
    assert shared.training(Updates("sgd", 0.5)) is not one
    for k in range(KEPT):
        shared.training(Updates("sgd", k / 100 + 0.01))
    assert len(shared._updates) == KEPT


def test_fresh_models_have_the_parameters_and_seed_they_ask_for():
    shared, _ = get_program(mlp(dropout=0.1), SPEC, HEAD)
    _, network = get_program(mlp(dropout=0.4), SPEC, HEAD)
    fresh, again, other = (get_weights(shared.fresh_model(network, seed)) for seed in (1, 1, 2))
    assert fresh["dropout_0/rate"] == np.float32(0.4)
    np.testing.assert_array_equal(fresh["dense_0/kernel"], again["dense_0/kernel"])
    assert (fresh["dense_0/kernel"] != other["dense_0/kernel"]).all()


def test_values_refuse_weights_of_another_network():
    shared, network = get_program(mlp(), SPEC, HEAD)
    weights = get_weights(shared.fresh_model(network, 0))
    shared.values(weights)
    with pytest.raises(ValueError, match="received a different set; first difference: 'dense_0/bias'"):
        shared.values({k: v for k, v in weights.items() if k != "dense_0/bias"})
    with pytest.raises(ValueError, match=r"weight 'dense_0/bias': expected shape \(3,\), received \(4,\)"):
        shared.values(weights | {"dense_0/bias": np.zeros(4, np.float32)})
