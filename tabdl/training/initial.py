"""Initial weights that depend on the data: bins of encodings, the head's bias."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tabdl.credibility import supported, unexplained
from tabdl.layers.categories import NARROW
from tabdl.quantiles import weighted_quantiles
from tabdl.spec import Head, Spec

SAMPLE = 4_096  # training rows that layers inside the network adapt to
NARROWEST = 0.01  # step between quantiles at the start, in standard deviations: softplus of less has next to no slope


def adapt(
    model: Any,
    arrays: dict[str, np.ndarray],
    weight: np.ndarray | None,
    head: Head,
    private: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Let every layer with an `adapt_to` method see its input, and start the head at shares of classes or at quantiles.

    private: which columns of "numbers" must leave no cell behind, bool (numbers,). seed: which rows those layers see that
    take no input of the network itself, but what the layers before them make of it.
    """
    target, shown, sample = arrays["target"], _outputs(arrays["target"], head), None
    for layer in model.layers:  # in the order of the graph: those before a layer have adapted
        if hasattr(layer, "adapt_to"):
            kinds = [kind for kind, symbol in model.input.items() if symbol is layer.input]
            if kinds:
                layer.adapt_to(_hide(arrays, private)[kinds[0]], weight, shown)
                continue
            if sample is None:
                rng = np.random.default_rng(seed)
                rows = np.sort(rng.permutation(len(target))[:SAMPLE])
                inputs = _hide({kind: arrays[kind][rows] for kind in model.input}, private, rng)
                sample = inputs, None if weight is None else weight[rows], shown[rows]
            before = keras.Model(model.input, layer.input)(sample[0], training=False)
            layer.adapt_to(keras.ops.convert_to_numpy(before), *sample[1:])
    last = model.layers[-1]
    prior = prior_logits(arrays["target"], weight, head)
    if prior is not None and hasattr(last, "bias") and not hasattr(last, "adapt_to"):
        last.bias.assign(np.broadcast_to(prior, last.bias.shape).astype(np.float32))


def supported_codes(
    arrays: dict[str, np.ndarray], weight: np.ndarray, head: Head, spec: Spec, private: np.ndarray | None, total: int
) -> dict[int, np.ndarray]:
    """Of wide category columns, by place, which codes have rows enough, bool (codes,); total: rows that these are a sample of."""
    wide = [j for j, codes in enumerate(spec.categories) if codes > NARROW]
    if not wide:
        return {}
    seen, shown = _hide(arrays, private), _outputs(arrays["target"], head)
    counted = weight > 0
    nothing = np.zeros((len(shown), 0), np.float32)
    numbers, flags = (seen.get(kind, nothing)[counted] for kind in ("numbers", "flags"))
    weight, codes, each = weight[counted], arrays["categories"][counted], total / len(shown)
    rest = unexplained(numbers, flags, weight, shown[counted])
    return {j: supported(codes[:, j], spec.categories[j], weight, rest, numbers, each) for j in wide}


def give_up(model: Any, known: dict[int, np.ndarray]) -> None:
    """Tell the layers with a `give_up` method which codes have rows enough for a vector of their own; {}: leave them be."""
    for layer in model.layers:
        if known and hasattr(layer, "give_up"):
            layer.give_up(known)


def widen(model: Any, target: np.ndarray, head: Head) -> None:
    """Tell the layers with a `widen` method of further training rows: they may know more than those of the first fit."""
    for layer in model.layers:
        if hasattr(layer, "widen"):
            layer.widen(_outputs(target, head))


def _outputs(target: np.ndarray, head: Head) -> np.ndarray:
    """Encoded target as layers see it, (rows, outputs): classes as 0 and 1."""
    return (target == np.arange(head.outputs)).astype(np.float32) if head.link == "softmax" else target


def _hide(
    arrays: dict[str, np.ndarray], private: np.ndarray | None, rng: np.random.Generator | None = None
) -> dict[str, np.ndarray]:
    """The arrays with even numbers in the place of private ones; in any order where `rng` is given."""
    if private is None or not private.any() or "numbers" not in arrays:
        return arrays
    even = np.tile(np.linspace(-2.5, 2.5, len(arrays["numbers"]), dtype=np.float32)[:, None], len(private))  # scaled: in (-3, 3)
    even = even if rng is None else rng.permuted(even, axis=0)
    return arrays | {"numbers": np.where(private, even, arrays["numbers"])}


def prior_logits(target: np.ndarray, weight: np.ndarray | None, head: Head) -> np.ndarray | None:
    """Logits (outputs,) that predict the share of each class, or each quantile; None where standardised targets start at zero."""
    if head.link == "softmax":
        shares = np.bincount(target[:, 0].astype(int), weight, head.outputs) / (len(target) if weight is None else weight.sum())
        return np.log(np.maximum(shares, 1e-4))
    if head.link == "ascending":
        quantiles = weighted_quantiles(target[:, 0].astype(np.float64), np.array(head.levels), weight)
        return _steps(quantiles, np.diff(quantiles), NARROWEST)
    if head.link not in ("sigmoid", "cumulative"):
        return None
    on = target > np.arange(head.outputs) if head.link == "cumulative" else target
    share = np.clip(np.average(on, axis=0, weights=weight), 1e-4, 1 - 1e-4)
    logits = np.log(share / (1 - share))
    return _steps(logits, -np.diff(logits), 1e-3) if head.link == "cumulative" else logits


def _steps(values: np.ndarray, steps: np.ndarray, least: float) -> np.ndarray:
    """First value, then what softplus turns into the steps: the inverse of `links.ascending` and `links.descending`."""
    return np.concatenate([values[:1], np.log(np.expm1(np.maximum(steps, least)))])
