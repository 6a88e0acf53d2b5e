"""The effects of the parameters of all networks on the network that is built."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from effects import ROWS, X, c, effect, regressor, y

from tabdl import KerasRegressor, MLPClassifier, TabMClassifier, TabMRegressor
from tabdl.errors import ParameterError
from tabdl.layers import blocks
from tabdl.layers.members import EnsembleDense, Scale
from tabdl.layers.numbers import Periodic, PiecewiseLinear
from tabdl.models.cnn import CNN
from tabdl.models.custom import dense_features
from tabdl.models.dcn import DCN
from tabdl.models.embedding import Embedding
from tabdl.models.fttransformer import FTTransformer
from tabdl.models.mlp import MLP
from tabdl.models.realmlp import RealMLP
from tabdl.models.resnet import ResNet
from tabdl.models.rnn import RNN
from tabdl.models.tabm import TabM
from tabdl.network import build, seeded
from tabdl.spec import Head, Inputs, Spec

SPEC = Spec(numbers=4, flags=1, categories=(7, 40))
HEAD = Head(1, "identity", "mse")
ARRAYS = {
    "numbers": np.random.default_rng(0).normal(size=(500, 4)).astype("float32"),
    "flags": np.random.default_rng(1).choice([-1, 1], (500, 1)).astype("float32"),
    "categories": np.random.default_rng(2).integers(2, 7, (500, 2)).astype("int32"),
}


def network(cls: type, **params: Any) -> keras.Model:
    return build(cls(**params), SPEC, HEAD, seed=0)


def features(cls: type, spec: Spec = SPEC, **params: Any) -> keras.Model:
    """From the inputs to what `forward` returns, without the head."""
    shapes = {"numbers": spec.numbers, "flags": spec.flags, "categories": len(spec.categories)}
    symbols = {k: keras.Input((n,), dtype=ARRAYS[k].dtype.name, name=k) for k, n in shapes.items() if n}
    with seeded(0):
        return keras.Model(symbols, cls(**params).forward(Inputs(spec, **symbols)))


def layers_of(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def kernels(model: keras.Model) -> list[tuple[int, ...]]:
    """Shapes of the dense kernels, the head's last."""
    return [tuple(layer.kernel.shape) for layer in model.layers if hasattr(layer, "kernel") and len(layer.kernel.shape) == 2]


def as_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@effect("MLP.units", "Embedding.units", "RealMLP.units")
@pytest.mark.parametrize("cls", [MLP, Embedding, RealMLP])
def test_units(cls: type) -> None:
    assert [shape[1] for shape in kernels(network(cls, units=(17, 5)))] == [17, 5, 1]
    assert [shape[1] for shape in kernels(network(cls, units=(9,)))] == [9, 1]


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)),
    "gelu": lambda z: z * np.array([0.5 * (1 + math.erf(v / 2**0.5)) for v in z.ravel()]).reshape(z.shape),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "linear": lambda z: z,
    "maxout": lambda z: np.maximum(z[:, :5], z[:, 5:]),
}


@effect("MLP.activation")
@pytest.mark.parametrize("name", MLP.fields["activation"].options)
def test_activation(name: str) -> None:
    model = features(MLP, Spec(numbers=4), units=(5,), activation=name, dropout=0.0)
    kernel, bias = (as_numpy(w) for w in model.weights)
    received = as_numpy(model({"numbers": ARRAYS["numbers"]}))
    np.testing.assert_allclose(received, ACTIVATIONS[name](ARRAYS["numbers"] @ kernel + bias), atol=1e-5)


@effect("RealMLP.activation")
@pytest.mark.parametrize("name", RealMLP.fields["activation"].options)
def test_activation_of_realmlp(name: str) -> None:
    model = features(RealMLP, Spec(flags=1), units=(5,), activation=name, dropout=0.0)
    _, kernel, bias, alpha = (as_numpy(w) for w in model.weights)
    np.testing.assert_array_equal(alpha, 1)
    received = as_numpy(model({"flags": ARRAYS["flags"]}))
    np.testing.assert_allclose(received, ACTIVATIONS[name](ARRAYS["flags"] @ kernel + bias), atol=1e-5)


@effect("RealMLP.embedding_width", "RealMLP.frequencies", "RealMLP.sigma")
def test_periodic_embedding_of_realmlp() -> None:
    def embedding(**params: Any) -> Any:
        (layer,) = [layer for layer in network(RealMLP, **params).layers if hasattr(layer, "phase")]
        return layer

    layer = embedding(embedding_width=6, frequencies=90, sigma=3.0)
    assert layer.output.shape == (None, 4 * 6)
    assert as_numpy(layer.frequency).shape == as_numpy(layer.phase).shape == (4, 90)
    assert as_numpy(layer.frequency).std() == pytest.approx(3.0, rel=0.15)
    assert as_numpy(embedding(frequencies=90, sigma=0.01).frequency).std() == pytest.approx(0.01, rel=0.15)


@effect("MLP.initializer")
@pytest.mark.parametrize("name", MLP.fields["initializer"].options)
def test_initializer(name: str) -> None:
    model = features(MLP, Spec(numbers=4), units=(100, 300), initializer=name)
    kernel = as_numpy(layers_of(model, keras.layers.Dense)[1].kernel).astype(np.float64)  # (100, 300)
    deviation = {"glorot": (2 / 400) ** 0.5, "he": (2 / 100) ** 0.5, "lecun": (1 / 100) ** 0.5, "random": 0.05, "zeros": 0.0}
    deviation["random"] = 0.05 if name == "random_normal" else 0.05 / 3**0.5
    if name == "orthogonal":
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(100), atol=1e-4)
        return
    expected = deviation[name.split("_")[0]]
    assert kernel.std() == pytest.approx(expected, rel=0.05)
    if name != "zeros":  # a uniform distribution ends at sqrt(3) deviations
        assert (np.abs(kernel).max() < 1.74 * expected) == name.endswith("uniform")


@effect("MLP.norm", "ResNet.norm")
def test_norm() -> None:
    options = {"units": (50,), "activation": "linear", "dropout": 0.0}
    arrays = {"numbers": 5 + 3 * ARRAYS["numbers"]}
    by_row, by_column, plain = (
        as_numpy(features(MLP, Spec(numbers=4), norm=norm, **options)(arrays, training=True)) for norm in ("layer", "batch", None)
    )
    np.testing.assert_allclose([by_row.mean(axis=1), by_row.std(axis=1)], [[0] * 500, [1] * 500], atol=0.05)
    np.testing.assert_allclose([by_column.mean(axis=0), by_column.std(axis=0)], [[0] * 50, [1] * 50], atol=0.05)
    assert np.abs(plain.mean(axis=0)).max() > 1
    kinds = {"batch": keras.layers.BatchNormalization, "layer": keras.layers.LayerNormalization}
    for norm in ("batch", "layer", None):
        model = network(ResNet, norm=norm, blocks=2, width=8)
        assert {kind: len(layers_of(model, cls)) for kind, cls in kinds.items()} == {kind: 3 * (kind == norm) for kind in kinds}


DROPOUTS = [
    (cls, name)
    for cls in (MLP, Embedding, ResNet, TabM, RealMLP, FTTransformer, DCN, CNN, RNN)
    for name in cls.fields
    if "drop" in name
]


@effect(*(f"{cls.__name__}.{name}" for cls, name in DROPOUTS))
@pytest.mark.parametrize("cls, parameter", DROPOUTS)
def test_dropout(cls: type, parameter: str) -> None:
    """A share of the units is zero in training, the others make up for it; predictions use all units."""
    others = {name: 0.0 for kind, name in DROPOUTS if kind is cls}
    model = network(cls, **others | {parameter: 0.3})
    dropped = layers_of(model, blocks.Dropout)
    assert dropped
    for layer in dropped:
        inner = keras.Model(model.input, [layer.input, layer.output])
        given, kept = map(as_numpy, inner(ARRAYS, training=True))
        alive = given != 0
        assert (kept[alive] == 0).mean() == pytest.approx(0.3, abs=0.03)
        exact = 1 - 77 / 256  # the rate is kept to 1/256
        survivors = alive & (kept != 0)
        np.testing.assert_allclose(kept[survivors], given[survivors] / exact, rtol=0.2 if cls in (ResNet, Embedding) else 1e-4)
        np.testing.assert_array_equal(*map(as_numpy, inner(ARRAYS, training=False)))
    assert not layers_of(network(cls, **others), blocks.Dropout)


@effect("MLP.l1", "MLP.l2")
def test_penalties() -> None:
    model = network(MLP, units=(20, 10), l1=0.01, l2=0.1)
    hidden = [as_numpy(layer.kernel) for layer in layers_of(model, keras.layers.Dense)[:2]]
    expected = sum(0.01 * np.abs(k).sum() + 0.1 * (k**2).sum() for k in hidden)
    assert float(sum(map(as_numpy, model.losses))) == pytest.approx(expected, rel=1e-4)
    kernel = {}
    for name, penalty in {"none": {}, "l1": {"l1": 0.05}, "l2": {"l2": 0.05}}.items():
        fitted = regressor(**penalty, epochs=60, learning_rate=0.02, validation_fraction=0).fit(X, y)
        kernel[name] = np.abs(next(w for k, w in fitted.weights_.items() if k.endswith("kernel")))
    assert kernel["l1"].sum() < 0.7 * kernel["none"].sum()
    assert (kernel["l2"] ** 2).sum() < 0.7 * (kernel["none"] ** 2).sum()
    assert (kernel["l1"] < 0.01).sum() > (kernel["none"] < 0.01).sum()  # absolute values: some weights vanish


@effect("Embedding.embedding_width")
def test_embedding_width() -> None:
    def tables(width: Any) -> set[tuple[int, ...]]:
        return {tuple(w.shape) for w in network(Embedding, embedding_width=width).weights if "table" in w.path}

    assert tables(5) == {(7 + 40, 5)}
    assert tables("auto") == {(7, 5), (40, 13)}  # 1.6 * 7^0.56 = 4.8, 1.6 * 40^0.56 = 12.6


@effect("ResNet.blocks", "ResNet.width", "ResNet.expansion")
def test_residual_blocks() -> None:
    shapes = kernels(network(ResNet, blocks=2, width=10, expansion=3.0))
    assert [shape[1] for shape in shapes] == [10, 30, 10, 30, 10, 1]
    assert len(kernels(network(ResNet, blocks=4, width=10))) == 1 + 2 * 4 + 1
    assert kernels(network(ResNet, blocks=1, width=10, expansion=0.5))[1] == (10, 5)
    assert features(ResNet, width=12).output.shape == (None, 12)


@effect("TabM.members")
def test_members() -> None:
    model = TabMClassifier(members=3, width=8, bins=4, epochs=1, random_state=0, calibrate=False).fit(X, c)
    logits = as_numpy(model.model_(model.encoder_.encode(X)))  # (rows, members, 1)
    assert logits.shape == (ROWS, 3, 1)
    assert logits.std(axis=1).min() > 0
    mean = (1 / (1 + np.exp(-logits[:, :, 0].astype(np.float64)))).mean(axis=1)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], mean, rtol=1e-4)


@effect("Network.members")
def test_members_of_other_networks_are_copies() -> None:
    """Three models that start apart, whose probabilities are averaged; none is a part of another."""
    model = MLPClassifier(members=3, units=(8,), epochs=2, random_state=0, calibrate=False).fit(X, c)
    assert len(model.models_) == 3
    logits = np.array([as_numpy(m(model.encoder_.encode(X)))[:, 0] for m in model.models_]).astype(np.float64)  # (copies, rows)
    assert logits.std(axis=0).min() > 0
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], (1 / (1 + np.exp(-logits))).mean(axis=0), rtol=1e-4)
    assert all(w.shape[0] == 3 for w in model.weights_.values())
    single = MLPClassifier(units=(8,), epochs=2, random_state=0).fit(X, c)
    assert {k: (3, *w.shape) for k, w in single.weights_.items()} == {k: w.shape for k, w in model.weights_.items()}
    assert len(TabMClassifier(members=3, width=8, bins=4, epochs=1).fit(X, c).models_) == 1, "TabM has them in itself"


@effect("TabM.members")
def test_automatic_members() -> None:
    """8, and 4 above 5 million cells; what `fit` chose is kept, and is what the network has."""
    assert [TabM.automatic(rows, 50)["members"] for rows in (100, 100_000, 100_001)] == [8, 8, 4]
    model = TabMClassifier(width=8, bins=4, epochs=1, random_state=0).fit(X, c)
    assert model.model_.output.shape == (None, 8, 1)
    assert model.members == "auto"


def test_automatic_embedding_width_of_numbers() -> None:
    """8, and 16 from 10,000 rows on."""
    assert [TabM.automatic(rows, 50)["embedding_width"] for rows in (100, 9_999, 10_000)] == [8, 8, 16]
    kernels = [w for name, w in TabMClassifier(width=8, bins=4, epochs=1).fit(X, c).weights_.items() if "piecewise" in name]
    assert {w.shape[-1] for w in kernels if w.ndim == 3} == {8}


def test_numbers_are_predicted_without_dropout() -> None:
    assert (TabMRegressor().dropout, TabMClassifier().dropout) == (0.0, 0.1)


@effect("TabM.blocks", "TabM.width", "TabM.bins", "TabM.embedding_width")
def test_sizes_of_tabm() -> None:
    model = network(TabM, members=2, blocks=3, width=9, bins=6, embedding_width=5)
    assert [shape[1] for shape in kernels(model)] == [9, 9, 9]
    assert features(TabM, members=2, width=9).output.shape == (None, 2, 9)
    (embedding,) = [layer for layer in model.layers if hasattr(layer, "adapt_to")]
    assert tuple(embedding.kernel.shape) == (4, 6, 5)
    assert embedding.output.shape == (None, 4 * 5)
    embedding.adapt_to(ARRAYS["numbers"], None, np.zeros((500, 1)))
    slope, shift = as_numpy(embedding.slope)[:, :3], as_numpy(embedding.shift)[:, :3]
    edges = -shift / slope  # left edges of half of the six pieces: a third of the rows lies in each
    share = [(ARRAYS["numbers"][:, 0] < edge).mean() for edge in edges[0]]
    np.testing.assert_allclose(share, np.arange(3) / 3, atol=0.01)


@effect("TabM.variant")
def test_variant() -> None:
    """'mini' scales the inputs alone; 'full' has scales and biases of each member around every layer, and starts alike."""
    mini, full = (network(TabM, members=3, blocks=2, width=9, variant=variant) for variant in ("mini", "full"))
    assert [len(layers_of(model, EnsembleDense)) for model in (mini, full)] == [0, 2]
    assert [len(layers_of(model, Scale)) for model in (mini, full)] == [1, 1]
    shapes = {w.name: tuple(w.shape) for w in layers_of(full, EnsembleDense)[1].weights}
    assert shapes == {"before": (3, 9), "kernel": (9, 9), "after": (3, 9), "bias": (3, 9)}
    assert features(TabM, members=3, width=9, variant="full").output.shape == (None, 3, 9)


@effect("TabM.embedding")
def test_embedding() -> None:
    piecewise, periodic = (network(TabM, members=2, embedding=kind, embedding_width=5) for kind in ("piecewise", "periodic"))
    for model, kind in ((piecewise, PiecewiseLinear), (periodic, Periodic)):
        (embedding,) = [layer for layer in model.layers if isinstance(layer, (PiecewiseLinear, Periodic))]
        assert type(embedding) is kind
        assert embedding.output.shape == (None, 4 * 5)


@effect("FTTransformer.bins", "DCN.bins", "DCN.embedding_width", "CNN.bins", "RNN.bins")
@pytest.mark.parametrize("cls", [FTTransformer, DCN, CNN, RNN])
def test_bins(cls: type) -> None:
    size = {"embedding_width": 5} if cls is DCN else {"width": 5}
    (embedding,) = layers_of(network(cls, bins=6, **size), PiecewiseLinear)
    assert tuple(embedding.kernel.shape) == (4, 6, 5)
    assert not layers_of(network(cls, bins=None, **size), PiecewiseLinear)


@effect("FTTransformer.blocks", "FTTransformer.width", "FTTransformer.heads", "FTTransformer.expansion")
def test_sizes_of_fttransformer() -> None:
    """Seven columns and a summary; the last block is for the summary only, the first has no norm before its attention."""
    model = network(FTTransformer, blocks=3, width=12, heads=4, expansion=2.0)
    attention = [layer.output.shape for layer in layers_of(model, blocks.Dropout) if len(layer.output.shape) == 4]
    assert attention == [(None, 4, 8, 8), (None, 4, 8, 8), (None, 4, 1, 8)]
    assert kernels(model) == 3 * [*4 * [(12, 12)], (12, 24), (12, 24), (24, 12)] + [(12, 1)]
    assert len(layers_of(model, keras.layers.LayerNormalization)) == 2 * 3 - 1 + 1
    assert kernels(network(FTTransformer, blocks=1, width=10, heads=3, expansion=0.5))[3:6] == [(9, 10), (10, 5), (10, 5)]
    assert features(FTTransformer, width=12).output.shape == (None, 12)


@effect("DCN.crosses", "DCN.rank", "DCN.units")
def test_sizes_of_dcn() -> None:
    encoded = 4 * 3 + 1 + 6 + 39  # numbers, flag, one-hot categories
    whole = network(DCN, crosses=3, rank=None, units=(7, 9), embedding_width=3, wide=False)
    assert kernels(whole) == [*3 * [(encoded, encoded)], (encoded, 7), (7, 9), (9, 1)]
    low = network(DCN, crosses=1, rank=5, units=(7,), embedding_width=3, wide=False)
    assert kernels(low) == [(encoded, 5), (5, encoded), (encoded, 7), (7, 1)]


@effect("DCN.wide")
def test_wide() -> None:
    """With the inputs before the head, a linear target needs no deep part; without, the deep part is all there is."""
    inputs = {"numbers": ARRAYS["numbers"]}
    wide = features(DCN, Spec(numbers=4), wide=True, bins=None, units=(3,), dropout=0.0)
    assert wide.output.shape == (None, 3 + 4)
    np.testing.assert_array_equal(as_numpy(wide(inputs))[:, 3:], ARRAYS["numbers"])
    assert features(DCN, Spec(numbers=4), wide=False, units=(3,)).output.shape == (None, 3)


@effect("CNN.blocks", "CNN.width", "CNN.kernel_size")
def test_sizes_of_cnn() -> None:
    """Two convolutions a block over seven columns; the third dilation, 4, still has both neighbours in sight."""
    assert kernels(network(CNN, blocks=3, width=6, kernel_size=3)) == [*6 * [(3 * 6, 6)], (2 * 6, 1)]
    assert kernels(network(CNN, blocks=1, width=6, kernel_size=5)) == [*2 * [(5 * 6, 6)], (2 * 6, 1)]
    assert features(CNN, width=12).output.shape == (None, 24)


@effect("RNN.layers", "RNN.width", "RNN.cell", "RNN.bidirectional")
@pytest.mark.parametrize("cell, kind", [("gru", keras.layers.GRU), ("lstm", keras.layers.LSTM)])
def test_sizes_of_rnn(cell: str, kind: type) -> None:
    both = network(RNN, layers=2, width=5, cell=cell)
    assert sorted((layer.units, layer.go_backwards) for layer in layers_of(both, kind)) == [(5, False)] * 2 + [(5, True)] * 2
    one = network(RNN, layers=3, width=6, cell=cell, bidirectional=False)
    assert [(layer.units, layer.go_backwards) for layer in layers_of(one, kind)] == 3 * [(6, False)]
    assert features(RNN, width=6, cell=cell).output.shape == (None, 12)
    assert features(RNN, width=6, cell=cell, bidirectional=False).output.shape == (None, 6)


def constant_features(inputs: Inputs) -> Any:
    """Sees the flags and categories, if any, but no number."""
    return 0 * inputs.numbers[:, :1]


@effect("Keras.forward")
def test_forward() -> None:
    blind = KerasRegressor(forward=constant_features, epochs=3, random_state=0).fit(X, y)
    assert np.ptp(blind.predict(X)) < 1e-4
    seeing = KerasRegressor(epochs=3, random_state=0).fit(X, y)
    assert seeing.forward is dense_features
    assert np.ptp(seeing.predict(X)) > 0.1
    with pytest.raises(ParameterError, match="forward"):
        KerasRegressor(forward="dense").fit(X, y)


@effect("TableNetwork.unseen")
def test_unseen() -> None:
    wide = Spec(numbers=4, categories=(7, 60))
    arrays = {"numbers": ARRAYS["numbers"], "categories": np.full((500, 2), 5, np.int32)}

    def spread(share: float) -> float:
        """How much training passes differ, where nothing else is random."""
        model = build(MLP(dropout=0.0, unseen=share), wide, HEAD, seed=0)
        first, second = (as_numpy(model(arrays, training=True)) for _ in range(2))
        return float((first != second).mean())

    assert spread(0.0) == 0
    assert 0 < spread(0.05) < spread(0.5)
