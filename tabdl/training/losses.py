"""Losses by name: (y, logits) -> one value a row (rows,) or a row and member (rows, members)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tabdl.layers import links
from tabdl.spec import Head


def _classes(y: Any, logits: Any, head: Head) -> Any:
    """Smoothed class probabilities (rows, [1,] classes) for y of shape (rows, [1,] 1)."""
    target = ops.one_hot(ops.cast(y[..., 0], "int32"), head.outputs, dtype=logits.dtype)
    return target * (1 - head.smoothing) + head.smoothing / head.outputs


def _binary(y: Any, head: Head) -> Any:
    return y * (1 - head.smoothing) + head.smoothing / 2


def _binary_cross_entropy(y: Any, logits: Any) -> Any:
    """max(z, 0) - z y + log(1 + e^-|z|), element by element."""
    return ops.maximum(logits, 0) - logits * y + ops.log1p(ops.exp(-ops.abs(logits)))


def cross_entropy(y: Any, logits: Any, head: Head) -> Any:
    if head.link == "softmax":
        return -ops.sum(_classes(y, logits, head) * ops.log_softmax(logits, axis=-1), axis=-1)
    return ops.mean(_binary_cross_entropy(_binary(y, head), logits), axis=-1)


def focal(y: Any, logits: Any, head: Head) -> Any:
    """Cross-entropy times (1 - p of the true class)^2 (arXiv 1708.02002)."""
    if head.link == "softmax":
        log_p = ops.log_softmax(logits, axis=-1)
        return -ops.sum(_classes(y, logits, head) * (1 - ops.exp(log_p)) ** 2 * log_p, axis=-1)
    target = _binary(y, head)
    on, off = -ops.softplus(-logits), -ops.softplus(logits)  # log p, log(1 - p)
    value = target * (1 - ops.exp(on)) ** 2 * on + (1 - target) * (1 - ops.exp(off)) ** 2 * off
    return -ops.mean(value, axis=-1)


def hinge(y: Any, logits: Any, head: Head) -> Any:
    """max(0, 1 - margin); with many classes the margin to the best wrong class."""
    if head.link == "softmax":
        true = ops.one_hot(ops.cast(y[..., 0], "int32"), head.outputs, dtype=logits.dtype)
        wrong = ops.max(logits - 1e9 * true, axis=-1)
        return ops.relu(1 + wrong - ops.sum(true * logits, axis=-1))
    return ops.mean(ops.relu(1 - (2 * y - 1) * logits), axis=-1)


def kl(y: Any, logits: Any, head: Head) -> Any:
    """KL divergence of the prediction from the (smoothed) label: cross-entropy less the label's own entropy."""
    target = _classes(y, logits, head) if head.link == "softmax" else _binary(y, head)
    entropy = -target * ops.log(ops.maximum(target, 1e-7))
    if head.link == "softmax":
        return cross_entropy(y, logits, head) - ops.sum(entropy, axis=-1)
    rest = -(1 - target) * ops.log(ops.maximum(1 - target, 1e-7))
    return cross_entropy(y, logits, head) - ops.mean(entropy + rest, axis=-1)


def ordinal(y: Any, logits: Any, head: Head) -> Any:
    """Binary cross-entropy of 'above class k' for each threshold k."""
    above = ops.cast(y > ops.arange(head.outputs, dtype="float32"), logits.dtype)  # (rows, [1,] thresholds)
    return ops.sum(_binary_cross_entropy(_binary(above, head), links.descending(logits)), axis=-1)


def mse(y: Any, outputs: Any, head: Head) -> Any:
    return ops.mean((outputs - y) ** 2, axis=-1)


def mae(y: Any, outputs: Any, head: Head) -> Any:
    return ops.mean(ops.abs(outputs - y), axis=-1)


def huber(y: Any, outputs: Any, head: Head) -> Any:
    """Squared up to one standard deviation of y, linear beyond."""
    error = ops.abs(outputs - y)
    return ops.mean(ops.where(error <= 1, 0.5 * error**2, error - 0.5), axis=-1)


def poisson(y: Any, logits: Any, head: Head) -> Any:
    """Negative Poisson log-likelihood with a log link, up to a constant."""
    bounded = ops.minimum(logits, 30.0)
    return ops.mean(ops.exp(bounded) - y * bounded, axis=-1)


def quantile(y: Any, logits: Any, head: Head) -> Any:
    """Pinball loss, averaged over the levels."""
    error = y - links.ascending(logits)
    levels = ops.convert_to_tensor(head.levels, dtype=logits.dtype)
    return ops.mean(ops.maximum(levels * error, (levels - 1) * error), axis=-1)


_LOSSES = {f.__name__: f for f in (cross_entropy, focal, hinge, kl, ordinal, mse, mae, huber, poisson, quantile)}


def make_loss(head: Head) -> Callable[[Any, Any], Any]:
    """Loss of each row, (y (rows, columns), logits (rows, [members,] outputs)) -> (rows,); members are averaged."""
    per_row = _LOSSES[head.loss]

    def loss(y: Any, logits: Any) -> Any:
        if len(logits.shape) == 3:
            return ops.mean(per_row(ops.expand_dims(y, 1), logits, head), axis=1)
        return per_row(y, logits, head)

    return loss
