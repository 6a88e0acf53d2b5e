"""The shapes a network may know: plain data, no values of any row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spec:
    """Shapes of an encoded table.

    numbers: columns of scaled numbers, worth an embedding, float32 (rows, numbers).
    flags: columns in [-1, 1] that need none (indicators, booleans, cyclic date parts, hashed text), float32 (rows, flags).
    categories: codes a column can take, one entry a column, int32 (rows, columns); code 0 = missing, 1 = unseen.
    """

    numbers: int = 0
    flags: int = 0
    categories: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"categories": list(self.categories)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Spec:
        return cls(int(state["numbers"]), int(state["flags"]), tuple(int(n) for n in state["categories"]))


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
    target: Any = None  # (rows, head.columns)
    weight: Any = None  # (rows,)
    head: Head | None = None
