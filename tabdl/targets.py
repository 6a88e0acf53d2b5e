"""What is predicted: y <-> array, with the head and the loss that fit it.

A kind of task is a class with three hooks: `encode` (y -> float32 (rows, columns)), `head` (outputs, link, loss)
and `decode` (linked outputs of the network -> what `predict` returns).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tabdl.errors import TargetError
from tabdl.spec import Head


class Target:
    """Base of all kinds of target; `kinds` finds them by name."""

    kinds: ClassVar[dict[str, type[Target]]] = {}
    head: Head

    def __init_subclass__(cls) -> None:
        Target.kinds[cls.__name__] = cls

    def encode(self, y: np.ndarray) -> np.ndarray:
        """y -> float32 (rows, columns)."""
        raise TypeError("abstract")

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Linked outputs (rows, head.outputs) -> predictions."""
        raise TypeError("abstract")

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as plain JSON."""
        raise TypeError("abstract")

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Target:
        """The target that `state` describes."""
        raise TypeError("abstract")


def tag_labels(values: np.ndarray) -> dict[str, Any]:
    """Class labels as JSON that remembers its dtype."""
    kind = {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(values.dtype.kind, "str")
    if kind == "str":
        kind = "object" if values.dtype == object else "str"
        if not all(isinstance(v, str) for v in values):
            raise TargetError("class labels should all be text, or all be numbers; received a mixture; make them alike")
    dtype = values.dtype.name if kind in ("int", "float") else kind
    return {"dtype": dtype, "values": values.tolist()}


def untag_labels(state: dict[str, Any]) -> np.ndarray:
    if state["dtype"] not in ("bool", "str", "object") and not state["dtype"].startswith(("int", "uint", "float")):
        raise ValueError(f"unknown dtype {state['dtype']!r}")
    return np.array(state["values"], dtype=state["dtype"])


class Classes(Target):
    """One of two or more classes; binary targets use one output and a sigmoid."""

    def __init__(self, classes: np.ndarray, loss: str = "cross_entropy", smoothing: float = 0.0):
        self.classes, self.loss, self.smoothing = classes, loss, smoothing
        binary = len(classes) == 2
        self.head = Head(1 if binary else len(classes), "sigmoid" if binary else "softmax", loss, smoothing=smoothing)

    def encode(self, y: np.ndarray) -> np.ndarray:
        return _codes(y, self.classes).astype(np.float32)[:, None]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Class probabilities (rows, classes)."""
        return np.hstack([1 - outputs, outputs]) if self.head.link == "sigmoid" else outputs

    def state(self) -> dict[str, Any]:
        return {"classes": tag_labels(self.classes), "loss": self.loss, "smoothing": self.smoothing}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Classes:
        return cls(untag_labels(state["classes"]), state["loss"], state["smoothing"])


class Ordinal(Classes):
    """Classes with an order: one logit a threshold, as CORAL (arXiv 1901.07884).

    NOTE[DIFF]: thresholds have weights of their own; the link makes them descend, so that no class has a negative share.
    """

    def __init__(self, classes: np.ndarray, loss: str = "ordinal", smoothing: float = 0.0):
        super().__init__(classes, loss, smoothing)
        self.head = Head(len(classes) - 1, "cumulative", loss, smoothing=smoothing)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """P(y > class k) (rows, classes - 1) -> class probabilities (rows, classes)."""
        edge = np.ones((len(outputs), 1), outputs.dtype)
        return np.maximum(-np.diff(np.hstack([edge, outputs, 0 * edge]), axis=1), 0)  # rounding of 1e-40 aside


class Labels(Target):
    """Several labels at once, each on or off."""

    def __init__(self, labels: int, loss: str = "cross_entropy", smoothing: float = 0.0):
        self.labels, self.loss, self.smoothing = labels, loss, smoothing
        self.head = Head(labels, "sigmoid", loss, smoothing=smoothing)

    def encode(self, y: np.ndarray) -> np.ndarray:
        if y.ndim != 2 or y.shape[1] != self.labels:
            raise TargetError(f"expected y of shape (rows, {self.labels}), received {y.shape}; give one column a label")
        return y.astype(np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Probability of each label (rows, labels)."""
        return outputs

    def state(self) -> dict[str, Any]:
        return {"labels": self.labels, "loss": self.loss, "smoothing": self.smoothing}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Labels:
        return cls(int(state["labels"]), state["loss"], state["smoothing"])


class Numbers(Target):
    """One or several numbers, standardised; `log=True` learns log(1 + y)."""

    def __init__(self, loss: str, center: np.ndarray, scale: np.ndarray, flat: bool, log: bool = False):
        self.loss, self.center, self.scale, self.flat, self.log = loss, center, scale, flat, log
        self.head = Head(len(center), "identity", loss)

    @classmethod
    def fit(cls, y: np.ndarray, weight: np.ndarray | None, loss: str) -> Numbers:
        log = loss == "log_mse"
        _require(not log or y.min() > -1, "loss='log_mse' expects targets above -1", y)
        center, scale = _moments(np.log1p(_matrix(y)) if log else _matrix(y), weight)
        return cls("mse" if log else loss, center, scale, y.ndim == 1, log)

    def encode(self, y: np.ndarray) -> np.ndarray:
        values = _matrix(y)
        if values.shape[1] != len(self.center):
            raise TargetError(
                f"expected y with {len(self.center)} columns, received {values.shape[1]}; fit and validation must agree"
            )
        if self.log:
            _require(bool((values > -1).all()), "loss='log_mse' expects targets above -1", values)
            values = np.log1p(values)
        return ((values - self.center) / self.scale).astype(np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions in the units of y, (rows,) or (rows, outputs)."""
        values = outputs * self.scale + self.center
        values = np.expm1(values) if self.log else values
        return values[:, 0] if self.flat else values

    def state(self) -> dict[str, Any]:
        moments = {"center": self.center.tolist(), "scale": self.scale.tolist()}
        return {"loss": self.loss, "flat": self.flat, "log": self.log, **moments}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Numbers:
        return cls(state["loss"], np.array(state["center"]), np.array(state["scale"]), bool(state["flat"]), bool(state["log"]))


class Quantiles(Target):
    """Quantiles of one number; the link adds positive steps, so that they cannot cross."""

    def __init__(self, levels: tuple[float, ...], center: float, scale: float):
        self.levels, self.center, self.scale = levels, center, scale
        self.head = Head(len(levels), "ascending", "quantile", levels=levels)

    @classmethod
    def fit(cls, y: np.ndarray, weight: np.ndarray | None, levels: tuple[float, ...]) -> Quantiles:
        if y.ndim != 1:
            raise TargetError(f"quantiles= expects one target column, received y of shape {y.shape}; fit one model a column")
        center, scale = _moments(_matrix(y), weight)
        return cls(tuple(levels), float(center[0]), float(scale[0]))

    @property
    def middle(self) -> int:
        """Position of the level nearest the median."""
        return int(np.argmin(np.abs(np.array(self.levels) - 0.5)))

    def encode(self, y: np.ndarray) -> np.ndarray:
        return ((_matrix(y) - self.center) / self.scale).astype(np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Quantiles in the units of y, (rows, levels)."""
        return outputs * self.scale + self.center

    def state(self) -> dict[str, Any]:
        return {"levels": list(self.levels), "center": self.center, "scale": self.scale}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Quantiles:
        return cls(tuple(state["levels"]), float(state["center"]), float(state["scale"]))


class Counts(Target):
    """Non-negative numbers with a Poisson likelihood and a log link; scaled by their mean."""

    def __init__(self, scale: np.ndarray, flat: bool):
        self.scale, self.flat = scale, flat
        self.head = Head(len(scale), "exp", "poisson")

    @classmethod
    def fit(cls, y: np.ndarray, weight: np.ndarray | None) -> Counts:
        _require(y.min() >= 0, "loss='poisson' expects targets of 0 or more", y)
        mean = np.average(_matrix(y), axis=0, weights=weight)
        return cls(np.where(mean > 0, mean, 1.0), y.ndim == 1)

    def encode(self, y: np.ndarray) -> np.ndarray:
        _require(bool((np.asarray(y) >= 0).all()), "loss='poisson' expects targets of 0 or more", y)
        return (_matrix(y) / self.scale).astype(np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Expected counts, (rows,) or (rows, outputs)."""
        values = outputs * self.scale
        return values[:, 0] if self.flat else values

    def state(self) -> dict[str, Any]:
        return {"scale": self.scale.tolist(), "flat": self.flat}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Counts:
        return cls(np.array(state["scale"]), bool(state["flat"]))


def _matrix(y: np.ndarray) -> np.ndarray:
    """(rows,) or (rows, columns) -> float64 (rows, columns)."""
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)


def _moments(values: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of each column; a constant column gets scale 1."""
    center = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average((values - center) ** 2, axis=0, weights=weight))
    return center, np.where(spread > 1e-12 * np.maximum(np.abs(center), 1e-300), spread, 1.0)


def _codes(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Position of each label in `classes`, whatever their order."""
    order = np.argsort(classes, kind="stable")
    place = np.minimum(np.searchsorted(classes[order], y), len(classes) - 1)
    codes = order[place]
    unknown = classes[codes] != y
    if np.any(unknown):
        known = ", ".join(map(repr, classes[:5].tolist()))
        raise TargetError(
            f"expected the classes seen in fit ({known} ...), received {y[unknown].tolist()[0]!r}; drop those rows or fit again"
        )
    return codes


def _require(holds: bool, expectation: str, y: np.ndarray) -> None:
    if not holds:
        raise TargetError(f"{expectation}, received a minimum of {np.min(y)}; choose another loss or shift the target")
