"""Networks: hyper-parameters apart from training, building under a seed, stable weight names."""

from __future__ import annotations

import random
import threading

import keras
import numpy as np
import pytest

import tabdl
from tabdl import layers, models
from tabdl.models.mlp import MLP
from tabdl.models.tabm import TabM
from tabdl.network import TableNetwork, build, get_weights, network_class, seeded, set_weights, weight_paths
from tabdl.params import param
from tabdl.spec import Head, Spec

SPEC = Spec(3, 2, (4, 300))
HEAD = Head(1, "sigmoid", "cross_entropy")


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_network_class_of_an_estimator_is_its_network():
    assert network_class(tabdl.MLPClassifier) is MLP
    assert network_class(tabdl.TabMRegressor) is TabM
    assert network_class(MLP) is MLP

    class Mine(tabdl.MLPClassifier):
        """A subclass without a network of its own."""

    assert network_class(Mine) is MLP
    with pytest.raises(TypeError, match="int should inherit from a Network such as TableNetwork"):
        network_class(int)


def test_network_params_leave_training_out():
    params = tabdl.MLPClassifier(units=(7,), epochs=3).network_params()
    assert set(params) == set(MLP.fields) - {"members"}, "how many copies there are is no matter of the network"
    assert "members" in tabdl.TabMClassifier().network_params(), "TabM has its members in itself"
    assert params["units"] == (7,)
    assert "epochs" not in params


NETWORKS = {n: network_class(models.find(n, "classifier")) for n in models.names("Classifier")}
ON_SERIES = [n for n, cls in NETWORKS.items() if "sequence" in cls.reads and hasattr(cls, "forward")]
ON_TABLES = [n for n, cls in NETWORKS.items() if getattr(cls, "reads_tables", True) and hasattr(cls, "forward")]


@pytest.mark.parametrize("name", ON_SERIES)
def test_every_network_of_series_has_plain_columns_beside_them(name):
    network = NETWORKS[name]()
    for spec in (Spec(steps=20, channels=2), Spec(3, 2, (4,), 5, 1)):
        model = build(network, spec, Head(3, "softmax", "cross_entropy"), seed=0)
        assert {kind: tuple(symbol.shape[1:]) for kind, symbol in model.input.items()} == spec.shapes
        assert model.output.shape == (None, 3)


@pytest.mark.parametrize("name", ON_TABLES)
def test_every_network_builds_logits_for_any_mixture_of_inputs(name):
    network = network_class(models.find(name, "classifier"))()
    for spec in (SPEC, Spec(numbers=2), Spec(flags=3), Spec(categories=(5,))):
        model = build(network, spec, Head(3, "softmax", "cross_entropy"), seed=0)
        widths = {"numbers": spec.numbers, "flags": spec.flags, "categories": len(spec.categories)}
        compared = {"target", "weight"} if network.compares_rows else set()
        assert set(model.input) == {k for k, width in widths.items() if width} | compared
        assert model.output.shape[-1] == 3
        assert len(model.output.shape) == (3 if name == "tabm" else 2)


@pytest.mark.parametrize("network", [MLP(norm="batch"), TabM()], ids=["mlp", "tabm"])
def test_the_seed_decides_all_weights_and_names_do_not_depend_on_history(network):
    first = get_weights(build(network, SPEC, HEAD, seed=5))
    for _ in range(3):
        keras.layers.Dense(2)  # moves Keras's global counters
    assert same(get_weights(build(network, SPEC, HEAD, seed=5)), first)
    other = get_weights(build(network, SPEC, HEAD, seed=6))
    assert other.keys() == first.keys()
    assert not same(other, first)
    assert len(set(first)) == len(first)
    assert all("kernel" not in k or not np.array_equal(other[k], first[k]) for k in first if first[k].any())


def test_weight_paths_number_layers_by_first_appearance():
    paths = weight_paths(build(MLP(units=(4, 4)), SPEC, HEAD, seed=0))
    dense = [f"dense_{i}/{leaf}" for i in range(3) for leaf in ("kernel", "bias")]
    assert [p for p in paths if p.startswith("dense")] == dense
    assert {p for p in paths if not p.startswith("dense")} == {
        "unseen_0/share",
        "embeddings_0/table_32",
        "dropout_0/rate",
        "dropout_1/rate",
    }


def test_get_and_set_weights_are_inverse_and_get_copies():
    model, other = (build(MLP(units=(4,)), SPEC, HEAD, seed=s) for s in (0, 1))
    weights = get_weights(model)
    set_weights(other, weights)
    assert same(get_weights(other), weights)
    kept = {k: v.copy() for k, v in weights.items()}
    set_weights(other, {k: v * 0 for k, v in weights.items()})
    assert same(weights, kept)
    with pytest.raises(KeyError, match="unseen_0/share"):
        set_weights(other, {"elsewhere": np.zeros(1)})


def test_building_gives_the_users_generators_back():
    random.seed(11)
    np.random.seed(11)
    before, numpy_before = random.getstate(), np.random.get_state()[1].copy()
    build(TabM(), SPEC, HEAD, seed=0)
    assert random.getstate() == before
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)
    with pytest.raises(ZeroDivisionError), seeded(3):
        _ = 1 / 0
    assert random.getstate() == before


def test_threads_do_not_disturb_each_others_seeds():
    expected = get_weights(build(MLP(units=(4,)), SPEC, HEAD, seed=0))
    before, found = random.getstate(), []

    def work():
        for _ in range(4):
            found.append(get_weights(build(MLP(units=(4,)), SPEC, HEAD, seed=0)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert all(same(weights, expected) for weights in found)
    assert random.getstate() == before


def test_a_network_of_ones_own_is_built_from_its_forward():
    class Wide(TableNetwork):
        """One wide layer."""

        width: int = param(6, "units", low=1)

        def forward(self, inputs):
            return layers.blocks.dense_block(inputs.numbers, self.width)

    model = build(Wide(width=9), Spec(numbers=2), HEAD, seed=0)
    assert get_weights(model)["dense_0/kernel"].shape == (2, 9)
    assert model.name == "wide"
