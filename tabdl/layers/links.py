"""From logits to predictions: one function a link, averaged over members."""

from __future__ import annotations

from typing import Any

from keras import ops

from tabdl.spec import Head


def ascending(logits: Any) -> Any:
    """First value, then positive steps: (..., levels) that never cross."""
    steps = ops.concatenate([logits[..., :1], ops.softplus(logits[..., 1:])], axis=-1)
    return ops.cumsum(steps, axis=-1)


def descending(logits: Any) -> Any:
    """First value, then negative steps: logits of 'above class k' (..., thresholds) that never cross."""
    return -ascending(ops.concatenate([-logits[..., :1], logits[..., 1:]], axis=-1))


_LINKS = {
    "identity": lambda logits: logits,
    "sigmoid": ops.sigmoid,
    "softmax": lambda logits: ops.softmax(logits, axis=-1),
    "exp": lambda logits: ops.exp(ops.minimum(logits, 30.0)),  # e^30 is past any count
    "cumulative": lambda logits: ops.sigmoid(descending(logits)),
    "ascending": ascending,
}


def predictions(logits: Any, head: Head) -> Any:
    """Logits (rows, outputs) or (rows, members, outputs) -> predictions (rows, outputs)."""
    linked = _LINKS[head.link](logits)
    return ops.mean(linked, axis=1) if len(linked.shape) == 3 else linked
