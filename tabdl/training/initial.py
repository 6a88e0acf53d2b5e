"""Initial weights that depend on the data: bins of encodings, the head's bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabdl.spec import Head


def adapt(
    model: Any, arrays: dict[str, np.ndarray], weight: np.ndarray | None, head: Head, private: np.ndarray | None = None
) -> None:
    """Let every layer with an `adapt` method see its input, and start the head at the classes' shares.

    private: which columns of "numbers" must leave no cell behind, bool (numbers,).
    """
    target = arrays["target"]
    shown = (target == np.arange(head.outputs)).astype(np.float32) if head.link == "softmax" else target  # (rows, outputs)
    for layer in model.layers:
        if hasattr(layer, "adapt"):
            kinds = [kind for kind, symbol in model.input.items() if symbol is layer.input]
            if not kinds:
                raise TypeError(f"{layer.name}: a layer with `adapt` should take an input of the network itself")
            values = arrays[kinds[0]]
            if private is not None and private.any() and kinds[0] == "numbers":
                values = np.where(private, np.linspace(-2.5, 2.5, len(values))[:, None], values)  # scaled numbers lie in (-3, 3)
            layer.adapt(values, weight, shown)
    prior, bias = prior_logits(arrays["target"], weight, head), getattr(model.layers[-1], "bias", None)
    if prior is not None and bias is not None:
        bias.assign(np.broadcast_to(prior, bias.shape).astype(np.float32))


def prior_logits(target: np.ndarray, weight: np.ndarray | None, head: Head) -> np.ndarray | None:
    """Logits (outputs,) that predict the share of each class; None where standardised targets start at zero."""
    if head.link == "softmax":
        shares = np.bincount(target[:, 0].astype(int), weight, head.outputs) / (len(target) if weight is None else weight.sum())
        return np.log(np.maximum(shares, 1e-4))
    if head.link not in ("sigmoid", "cumulative"):
        return None
    on = target > np.arange(head.outputs) if head.link == "cumulative" else target
    share = np.clip(np.average(on, axis=0, weights=weight), 1e-4, 1 - 1e-4)
    logits = np.log(share / (1 - share))
    if head.link == "cumulative":  # inverse of `links.descending`: log(e^step - 1)
        steps = np.maximum(-np.diff(logits), 1e-3)
        logits = np.concatenate([logits[:1], np.log(np.expm1(steps))])
    return logits
