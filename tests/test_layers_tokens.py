"""Tokens and attention against plain NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tabdl.layers import numbers, tokens
from tabdl.network import get_weights, seeded
from tabdl.spec import Inputs, Spec

WIDTH = 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5, WIDTH)).astype(np.float32)  # (rows, tokens, width)


def table(spec):
    """Random arrays of a spec."""
    shapes = {"numbers": spec.numbers, "flags": spec.flags}
    arrays = {kind: RNG.normal(size=(20, n)).astype(np.float32) for kind, n in shapes.items() if n}
    if spec.categories:
        arrays["categories"] = np.column_stack([RNG.integers(0, n, 20) for n in spec.categories]).astype(np.int32)
    return arrays


def tokenizer(spec, bins=None):
    arrays = table(spec)
    symbols = {kind: keras.Input(a.shape[1:], dtype=a.dtype.name, name=kind) for kind, a in arrays.items()}
    with seeded(0):
        model = keras.Model(symbols, tokens.from_columns(Inputs(spec, **symbols), WIDTH, bins))
    return model, arrays, get_weights(model)


def network(function, x=X):
    symbol = keras.Input(x.shape[1:])
    with seeded(0):
        return keras.Model(symbol, function(symbol))


def forward(model, x=X, training=False):
    return keras.ops.convert_to_numpy(model(x, training=training))


def created(model, kind=keras.layers.Dense):
    """Layers in the order in which they were made; a model lists them by depth."""
    return sorted((x for x in model.layers if isinstance(x, kind)), key=lambda x: int(("0" + x.name).rpartition("_")[2] or 0))


def draw(model):
    """Random kernels and biases of the dense layers, in the order in which they were made."""
    drawn = [[RNG.normal(size=w.shape) for w in layer.weights] for layer in created(model)]
    assign(model, drawn)
    return drawn


def assign(model, drawn):
    for layer, weights in zip(created(model), drawn, strict=True):
        layer.set_weights(weights)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def normed(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)


def test_a_token_is_a_cell_times_its_columns_direction_plus_its_columns_place():
    model, arrays, weights = tokenizer(Spec(3, 2, (4, 5)))
    place = weights["places_0/bias"]
    assert place.shape == (7, WIDTH)
    cells = {"directions_0/linear": arrays["numbers"], "directions_1/linear": arrays["flags"]}
    scaled = [x[:, :, None] * weights[name] for name, x in cells.items()]
    vectors = weights["embeddings_0/table_6"][arrays["categories"] + [0, 4]]
    np.testing.assert_allclose(forward(model, arrays), np.concatenate([*scaled, vectors], axis=1) + place, rtol=1e-5, atol=1e-6)


def test_numbers_with_bins_are_piecewise_linear():
    model, arrays, weights = tokenizer(Spec(3), bins=4)
    layer = next(layer for layer in model.layers if isinstance(layer, numbers.PiecewiseLinear))
    layer.kernel.assign(RNG.normal(size=(3, 4, WIDTH)))
    layer.adapt_to(arrays["numbers"], None, np.zeros((20, 1)))
    expected = keras.ops.convert_to_numpy(layer(arrays["numbers"])).reshape(20, 3, WIDTH) + weights["places_0/bias"]
    np.testing.assert_allclose(forward(model, arrays), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("flags, count", [(1, 1), (tokens.FLAGS, tokens.FLAGS), (tokens.FLAGS + 1, 1), (200, 1)])
def test_many_flags_share_one_token(flags, count):
    model, arrays, weights = tokenizer(Spec(flags=flags))
    got = forward(model, arrays)
    assert got.shape == (20, count, WIDTH)
    if flags > tokens.FLAGS:
        expected = arrays["flags"] @ weights["dense_0/kernel"] + weights["places_0/bias"][0]
        np.testing.assert_allclose(got[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bins", [None, 4])
@pytest.mark.parametrize("spec", [Spec(1), Spec(flags=1), Spec(categories=(3,)), Spec(5, 30, (3, 90)), Spec(0, 2, (3, 4))])
def test_every_kind_of_table_becomes_finite_tokens(spec, bins):
    model, arrays, _ = tokenizer(spec, bins)
    columns = spec.numbers + (1 if spec.flags > tokens.FLAGS else spec.flags) + len(spec.categories)
    got = forward(model, arrays)
    assert got.shape == (20, columns, WIDTH) == (20, *model.output.shape[1:])
    assert np.isfinite(got).all()
    assert len(np.unique(got.round(5), axis=0)) > 1, "tokens depend on the cells"


def test_summary_is_one_learned_token_before_the_others():
    model = network(tokens.prepend_summary)
    got, token = forward(model), get_weights(model)["summary_0/token"]
    np.testing.assert_array_equal(got[:, 1:], X)
    np.testing.assert_array_equal(got[:, 0], np.broadcast_to(token[0], (20, WIDTH)))
    assert 0 < np.abs(token).max() <= WIDTH**-0.5
    np.testing.assert_array_equal(forward(network(tokens.first)), X[:, :1])


@pytest.mark.parametrize("heads", [1, 3, 4, 16], ids=lambda n: f"{n} heads")
def test_attention_is_softmax_of_scaled_products_in_each_head(heads):
    model = network(lambda x: tokens.attention(x, heads))
    size = max(1, WIDTH // heads)
    query, key, value, out = draw(model)
    q, k, v = ((X @ w + b).reshape(20, 5, heads, size) for w, b in (query, key, value))
    shares = softmax(np.einsum("rqhs,rkhs->rhqk", q, k) / size**0.5)
    expected = np.einsum("rhqk,rkhs->rqhs", shares, v).reshape(20, 5, heads * size) @ out[0] + out[1]
    np.testing.assert_allclose(forward(model), expected, rtol=1e-3, atol=1e-4)


def test_attention_follows_the_order_of_the_tokens_and_the_summary_does_not_depend_on_it():
    order = np.array([0, 3, 1, 4, 2])
    block = network(lambda x: tokens.attention_block(x, 2, 8))
    np.testing.assert_allclose(forward(block, X[:, order]), forward(block)[:, order], rtol=1e-4, atol=1e-5)
    summary = network(lambda x: tokens.attention_block(x, 2, 8, summary=True))
    np.testing.assert_allclose(forward(summary, X[:, order]), forward(summary), rtol=1e-4, atol=1e-5)
    changed = X.copy()
    changed[:, 4, 0] += 1
    assert np.abs(forward(summary, changed) - forward(summary)).max() > 1e-3, "the summary knows every token"


@pytest.mark.parametrize("norm", [True, False])
def test_a_block_for_the_summary_is_the_first_token_of_a_whole_block(norm):
    whole, summary = (network(lambda x, s=s: tokens.attention_block(x, 2, 8, norm=norm, summary=s)) for s in (False, True))
    assign(summary, draw(whole))
    assert summary.output.shape == (None, 1, WIDTH)
    np.testing.assert_allclose(forward(summary), forward(whole)[:, :1], rtol=1e-4, atol=1e-4)


def test_gated_block_multiplies_a_map_with_the_positive_part_of_another():
    model = network(lambda x: tokens.gated_block(x, 7))
    first, second, out = draw(model)
    expected = (X @ first[0] + first[1]) * np.maximum(X @ second[0] + second[1], 0) @ out[0] + out[1]
    np.testing.assert_allclose(forward(model), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", [True, False])
def test_block_adds_attention_then_a_gated_block_each_to_its_input(norm):
    model = network(lambda x: tokens.attention_block(x, 1, 4, norm=norm))
    drawn = [[kernel, 0 * bias] for kernel, bias in draw(model)]
    last, drawn[-1][0] = drawn[-1][0], 0 * drawn[-1][0]
    assign(model, drawn)
    query, key, value, out, linear, gate = (kernel for kernel, _ in drawn[:-1])
    known = normed(X) if norm else X
    shares = softmax((known @ query) @ (known @ key).transpose(0, 2, 1) / WIDTH**0.5)
    x = X + shares @ (known @ value) @ out
    np.testing.assert_allclose(forward(model), x, rtol=1e-3, atol=1e-3)
    drawn[-1][0] = last  # now the gated block too
    assign(model, drawn)
    gated = (normed(x) @ linear) * np.maximum(normed(x) @ gate, 0)
    np.testing.assert_allclose(forward(model), x + gated @ last, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("rates", [{"attention_dropout": 0.5}, {"dropout": 0.5}])
def test_dropout_acts_in_training_only(rates):
    model = network(lambda x: tokens.attention_block(x, 2, 8, **rates))
    np.testing.assert_array_equal(forward(model), forward(model))
    assert (forward(model, training=True) != forward(model, training=True)).any()


@pytest.mark.parametrize("layer", [tokens.Directions(4), tokens.Places(), tokens.Summary()], ids=lambda x: type(x).__name__)
def test_config_rebuilds_the_layer_and_shapes_are_known(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    x = X[:, :, 0] if isinstance(layer, tokens.Directions) else X
    assert again.compute_output_shape(x.shape) == again(x).shape


def test_nobody_attends_to_masked_tokens():
    import keras
    import numpy as np

    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.float32)
    symbols = keras.Input((5, 4)), keras.Input((5,))
    model = keras.Model(symbols, tokens.attention(symbols[0], 2, mask=symbols[1]))
    changed = np.where(mask[:, :, None] > 0, x, 9).astype(np.float32)
    first, second = (keras.ops.convert_to_numpy(model((z, mask))) for z in (x, changed))
    np.testing.assert_allclose(first[0, :3], second[0, :3], rtol=1e-5)
