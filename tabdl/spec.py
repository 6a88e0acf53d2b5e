"""The shapes a network may know: plain data, no values of any row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spec:
    """Shapes of an encoded table.

    numbers: columns of scaled numbers, worth an embedding, float32 (rows, numbers).
    flags: columns in [-1, 1] that need none (indicators, booleans, cyclic date parts, hashed text), float32 (rows, flags).
    categories: codes a column can take, one entry a column, int32 (rows, columns); code 0 = missing, 1 = unseen.
    steps, channels: of series, float32 (rows, steps, channels), with a mask (rows, steps) of the steps that are there.
    features: of series that random kernels have made, float32 (rows, features).
    horizon, future: steps to forecast, and what is known of each, float32 (rows, horizon, future).
    """

    numbers: int = 0
    flags: int = 0
    categories: tuple[int, ...] = ()
    steps: int = 0
    channels: int = 0
    features: int = 0
    horizon: int = 0
    future: int = 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one row's arrays, by kind; a kind that is not there is absent."""
        shapes = {"numbers": (self.numbers,), "flags": (self.flags,), "categories": (len(self.categories),)}
        shapes |= {"sequence": (self.channels and self.steps, self.channels), "mask": (self.channels and self.steps,)}
        shapes |= {"features": (self.features,), "future": (self.future and self.horizon, self.future)}
        return {kind: shape for kind, shape in shapes.items() if shape[0]}

    def only(self, kinds: tuple[str, ...]) -> Spec:
        """Without the other kinds."""
        series: dict[str, Any] = {"steps": self.steps, "channels": self.channels} if "sequence" in kinds else {}
        series |= {"horizon": self.horizon, "future": self.future} if "future" in kinds else {}
        sizes: dict[str, Any] = {k: getattr(self, k) for k in ("numbers", "flags", "categories", "features") if k in kinds}
        return Spec(**sizes, **series)


@dataclass(frozen=True)
class Head:
    """What the target asks of the last layer.

    outputs: units of the head. link: logits -> predictions (identity, sigmoid, softmax, exp, cumulative, ascending).
    loss: name in `training.losses`. levels: quantile levels, in ascending order, when the loss is "quantile".
    smoothing: label smoothing, the probability mass spread evenly over the classes.
    """

    outputs: int
    link: str
    loss: str
    levels: tuple[float, ...] = ()
    smoothing: float = 0.0

    @property
    def columns(self) -> int:
        """Columns of the encoded target."""
        return 1 if self.link in ("softmax", "cumulative", "ascending") else self.outputs


@dataclass
class Inputs:
    """What `forward` receives: one symbolic tensor a kind, None where a table has no such columns.

    target, weight, head: for networks that compare rows only; in prediction the target is zeros.
    """

    spec: Spec
    numbers: Any = None  # (rows, spec.numbers)
    flags: Any = None  # (rows, spec.flags)
    categories: Any = None  # (rows, len(spec.categories))
    sequence: Any = None  # (rows, spec.steps, spec.channels)
    mask: Any = None  # (rows, spec.steps): 1 where a step is there, else 0
    features: Any = None  # (rows, spec.features)
    future: Any = None  # (rows, spec.horizon, spec.future)
    target: Any = None  # (rows, head.columns)
    weight: Any = None  # (rows,)
    head: Head | None = None
