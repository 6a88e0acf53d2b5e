"""Compiled networks are shared by all fits that need the same, and by no others."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tabdl
from tabdl import backends
from tabdl.network import get_weights
from tabdl.spec import Head, Spec
from tabdl.training import program as programs
from tabdl.training.program import KEPT, get_program

SPEC, HEAD = Spec(2), Head(1, "identity", "mse")


@pytest.fixture(autouse=True)
def own_programs(monkeypatch):
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())


def mlp(**params):
    return tabdl.MLPRegressor(units=(3,), **params)


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
@pytest.mark.parametrize("most", [0, 10**9])
def test_mappings_of_memory_are_given_back(backend, most, monkeypatch):
    cleared = []
    monkeypatch.setattr(backends, "name", lambda: backend)
    monkeypatch.setattr(programs, "MOST_MAPPINGS", most)
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(clear_caches=lambda: cleared.append(True)))
    programs._free_mappings()
    assert len(cleared) == (backend == "jax" and most == 0 and sys.platform == "linux")


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


def test_a_kind_of_update_is_compiled_once_and_few_are_kept(monkeypatch):
    made = []
    monkeypatch.setattr(programs.backends, "compile_training", lambda step, folds: made.append((step, folds)) or (lambda: None))
    shared, _ = get_program(mlp(), SPEC, HEAD)
    one = shared.training("sgd", (0,), 1)
    assert shared.training("sgd", (0,), 1) is one
    assert shared.training("sgd", (0, 0), 1) is not one
    assert shared.training("adam", (0,), 1) is not one
    assert [folds for _, folds in made] == [(0,), (0, 0), (0,)]
    large = shared.training("sgd", (0,), 10**12)
    assert (large is not one) == made[-1][0].fused == (backends.name() == "tensorflow"), "much work pays for a slow compiler"
    for k in range(KEPT):
        shared.training("sgd", (0, 1, k), 1)
    assert len(shared._compiled) == KEPT
    assert shared.training("sgd", (0,), 1) is not one


def test_numbers_of_the_update_are_not_compiled_in():
    """Another rate, momentum, moment, decay, limit or course: the same compiled function."""
    fit = {"units": (3,), "epochs": 1, "random_state": 0, "validation_fraction": 0}
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0)
    tabdl.MLPRegressor(**fit).fit(X, y).predict(X)
    (shared,) = programs._programs.values()
    compiled = dict(shared._compiled)
    others = {"learning_rate": 0.1, "momentum": 0.5, "second_moment": 0.5, "weight_decay": 0.3, "clip_norm": 0.1}
    tabdl.MLPRegressor(**fit | others, schedule="coslog4", fade="flat_cosine", warmup=0.5).fit(X, y).predict(X)
    assert list(programs._programs.values()) == [shared]
    assert dict(shared._compiled) == compiled
    tabdl.MLPRegressor(**fit, members=2).fit(X, y).predict(X)
    assert list(programs._programs.values()) == [shared], "copies share the network"
    assert len(shared._compiled) == len(compiled) + 2, "training and prediction of two copies"


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


def test_values_of_copies_are_the_rows_of_the_stacked_weights():
    shared, network = get_program(mlp(dropout=0.3), SPEC, HEAD)
    own = [get_weights(shared.fresh_model(network, seed)) for seed in range(3)]
    stacked = {k: np.stack([w[k] for w in own]) for k in own[0]}
    for value, weights in zip(shared.values(stacked, 3), own, strict=True):
        for got, expected in zip(value, shared.values(weights)[0], strict=True):
            np.testing.assert_array_equal(got, expected)
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    each = [shared.forward(shared.values(w), [{"numbers": x}]) for w in own]
    np.testing.assert_allclose(shared.forward(shared.values(stacked, 3), [{"numbers": x}]), np.mean(each, axis=0), rtol=1e-5)
    for copies in (1, 2):
        with pytest.raises(ValueError, match="expected shape"):
            shared.values(stacked, copies)


def test_values_are_copies_that_later_fits_do_not_change():
    shared, network = get_program(mlp(), SPEC, HEAD)
    weights = get_weights(shared.fresh_model(network, 0))
    values, x = shared.values(weights), np.ones((3, 2), np.float32)
    before = shared.forward(values, [{"numbers": x}])
    for v in weights.values():
        v += 1
    np.testing.assert_array_equal(shared.forward(values, [{"numbers": x}]), before)
    assert (shared.forward(shared.values(weights), [{"numbers": x}]) != before).all()


BY_XLA = [True] if backends.name() == "tensorflow" else []  # what `traces` finds where one function is compiled


def traces(monkeypatch) -> list[bool]:
    """Fills up with what TensorFlow traces from now on: True for XLA. A graph that falls back is traced twice."""
    found: list[bool] = []
    if backends.name() != "tensorflow":
        return found
    import tensorflow as tf

    original = tf.function

    def function(*given, jit_compile=None, **options):
        found.append(bool(jit_compile))
        return original(*given, jit_compile=jit_compile, **options)

    monkeypatch.setattr(tf, "function", function)
    return found


@pytest.mark.parametrize("members", [1, 2])
def test_what_xla_compiles_learns_the_same(monkeypatch, members):
    """Rows and steps that fill up shapes change nothing; 45 rows in batches of 10, in steps of different numbers of rows."""
    fit = {"units": (8,), "epochs": 3, "batch_size": 10, "members": members, "random_state": 0, "validation_fraction": 0.1}
    X = np.random.default_rng(0).normal(size=(50, 3))
    plain = tabdl.MLPRegressor(**fit).fit(X, X[:, 0])
    monkeypatch.setattr(programs, "LARGE", 0.0)
    traced = traces(monkeypatch)
    by_xla = tabdl.MLPRegressor(**fit).fit(X, X[:, 0])
    assert traced == BY_XLA, "XLA should compile all of it"
    np.testing.assert_allclose(by_xla.predict(X), plain.predict(X), atol=1e-4)
    np.testing.assert_allclose(by_xla.history_["loss"], plain.history_["loss"], rtol=1e-4)


ON_CPU = backends.name() == "tensorflow" and not backends._count_devices("gpu")


@pytest.mark.skipif(not ON_CPU, reason="asks what TensorFlow leaves to XLA on CPUs")
@pytest.mark.parametrize("model", [tabdl.CNNRegressor, tabdl.TCNRegressor, tabdl.LITERegressor])
def test_convolutions_of_long_trainings_are_left_to_tensorflow(monkeypatch, model):
    """A step of 128 series of 192 steps takes CNN .1 s, and by XLA 1.5 s."""
    monkeypatch.setattr(programs, "LARGE", 0.0)
    traced = traces(monkeypatch)
    X = np.random.default_rng(0).normal(size=(20, 30, 1))
    model(width=6, epochs=1, random_state=0, validation_fraction=0).fit(X, X[:, 0, 0])
    assert traced[0], "XLA's graph tells whether the network convolves"
    assert traced.count(False) == 1, traced  # Keras marks parts of its own for XLA


def test_long_tables_are_predicted_as_short_ones(monkeypatch):
    """By XLA in pieces on TensorFlow, the last of which is not full."""
    X = np.random.default_rng(0).normal(size=(backends.CHUNK_ROWS + 100, 3))
    model = tabdl.MLPRegressor(units=(9,), epochs=1, random_state=0).fit(X[:50], X[:50, 0])
    parts = np.concatenate([model.predict(part) for part in np.array_split(X, 9)])
    traced = traces(monkeypatch)
    np.testing.assert_allclose(model.predict(X), parts, atol=1e-5)
    assert traced == BY_XLA, "XLA should compile all of it"


@pytest.mark.skipif(backends.name() != "tensorflow", reason="calls an operation of TensorFlow's own that its XLA lacks")
def test_operations_that_xla_does_not_know_still_work(monkeypatch):
    import keras
    import tensorflow as tf

    def through_numpy(inputs):
        doubled = keras.layers.Lambda(lambda x: tf.ensure_shape(tf.numpy_function(lambda v: v * 2, [x], tf.float32), x.shape))
        return keras.layers.Dense(4)(doubled(inputs.numbers))

    monkeypatch.setattr(programs, "LARGE", 0.0)
    X = np.random.default_rng(0).normal(size=(backends.CHUNK_ROWS, 2))
    model = tabdl.KerasRegressor(forward=through_numpy, epochs=1, random_state=0).fit(X[:40], X[:40, 0])
    assert np.isfinite(model.predict(X)).all()


def test_shapes_that_xla_compiles_for_are_few():
    found = {backends._rounded(n) for n in range(1_000, 2_000)}
    assert len(found) <= 6
    assert all(n <= backends._rounded(n) <= 1.2 * n for n in range(1_000, 2_000))
    assert backends._rounded(1) == 1
