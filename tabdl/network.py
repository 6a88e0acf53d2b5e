"""A network: hyper-parameters and `forward`. It knows shapes, not tasks, data or training."""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from tabdl.params import Parameters, param
from tabdl.spec import Head, Inputs, Spec


class Network(Parameters):
    """Base of all networks. A subclass declares parameters and a `forward` method from `Inputs` to features."""

    members: int = param(
        1,
        "copies of the network, trained side by side, each with its own initial weights, order of rows and best epoch; "
        "their predictions are averaged",
        low=1,
        high=64,
    )
    compares_rows: ClassVar[bool] = False  # whether `forward` takes the targets of the rows too, and gives logits
    automatic_training: ClassVar[tuple[int, int]] = (2_000, 12)  # steps that epochs="auto" aims at, and fewest epochs
    one_for_all_members: ClassVar[bool] = False  # whether the network itself has the members, as TabM's do
    folds_apart: ClassVar[bool] = False  # whether folds are learned one after the other: one alone keeps all cores busy
    steady: ClassVar[float] = 1.0  # factor of the learning rate where no schedule tames it, in `partial_fit`

    def network_params(self) -> dict[str, Any]:
        """Values of the hyper-parameters that belong to the network, not to its training; 'auto' as resolved in `fit`."""
        sizes = getattr(self, "sizes_", {})
        cls = network_class(type(self))
        own = {name: getattr(self, name) for name in cls.fields if name != "members" or cls.one_for_all_members}
        return own | {name: sizes[name] for name, value in own.items() if name in sizes and isinstance(value, str)}

    def finish(self, features: Any, head: Head) -> Any:
        """Last layer: what `forward` returns -> logits (rows, [members,] head.outputs)."""
        from tabdl.layers import members

        return members.head(features, head.outputs)

    @property
    def contains_rows(self) -> bool:
        """Whether the fitted network keeps rows of the training table, embedded."""
        return self.compares_rows

    @property
    def copies(self) -> int:
        """How many models are trained: `members`, unless the network has them in itself."""
        return 1 if self.one_for_all_members else int(self.members)

    @classmethod
    def automatic(cls, rows: int, columns: int) -> dict[str, Any]:
        """What 'auto' means for parameters that depend on the size of the encoded training table."""
        return {}


class TableNetwork(Network):
    """Network on tables: `forward(inputs)` returns features (rows, width) or (rows, members, width).

    Examples
    --------
    >>> import keras, tabdl
    >>> class Wide(tabdl.TableNetwork):
    ...     units: int = tabdl.param(16, "width of the only layer", low=1, high=256)
    ...     def forward(self, inputs):
    ...         return keras.layers.Dense(self.units, activation="relu")(inputs.numbers)  # (rows, units)
    >>> class WideRegressor(tabdl.Regressor, Wide):
    ...     pass
    >>> X = [[0.0, 1.0], [1.0, 0.5], [2.0, 2.5], [3.0, 0.0]]
    >>> WideRegressor(units=4, epochs=1, random_state=0).fit(X, [1.0, 2.0, 3.0, 4.0]).predict(X).shape
    (4,)
    """

    unseen: float | str = param(
        "auto",
        "share of the cells in columns of more than 40 categories that a training step shows as unseen: less learning by heart, "
        "and a meaning for new values; 'auto': 0.2, and 1 for categories of fewer than 200 rows whose target differs too little "
        "from that of others to be told from so few, which stay unseen in predictions",
        low=0,
        high=0.9,
        options=("auto",),
        weight=True,
    )


def network_class(cls: type) -> type[Network]:
    """The pure network behind an estimator class: its first base that holds no training parameters."""
    for base in cls.__mro__:
        if issubclass(base, Network) and "random_state" not in base.fields:
            return base
    raise TypeError(f"{cls.__name__} should inherit from a Network such as TableNetwork; add one to its bases")


_lent = threading.RLock()  # Python's generator is one for all threads


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Keras draws the seeds of initialisers and dropout from Python's generator: lend it ours, give the user's back."""
    with _lent:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def build(network: Any, spec: Spec, head: Head, seed: int) -> Any:
    """Fresh `keras.Model` from encoded arrays to logits (rows, [members,] head.outputs)."""
    import keras

    shapes = {"numbers": spec.numbers, "flags": spec.flags, "categories": len(spec.categories)}
    symbols = {
        kind: keras.Input((width,), dtype="int32" if kind == "categories" else "float32", name=kind)
        for kind, width in shapes.items()
        if width
    }
    if network.compares_rows:
        symbols |= {"target": keras.Input((head.columns,), name="target"), "weight": keras.Input((), name="weight")}
    with seeded(seed):
        shown = _hide(symbols, spec, getattr(network, "unseen", 0.0))
        logits = network.finish(network.forward(Inputs(spec, **shown, head=head)), head)
    return keras.Model(symbols, logits, name=type(network).__name__.lower())


def _hide(symbols: dict[str, Any], spec: Spec, share: float | str) -> dict[str, Any]:
    """The inputs of `forward`: in training some cells of wide category columns look unseen."""
    from tabdl.layers import categories

    if not share or max(spec.categories, default=0) <= categories.NARROW:
        return symbols
    return symbols | {"categories": categories.Unseen(None if share == "auto" else share, spec.categories)(symbols["categories"])}


def weight_paths(model: Any) -> list[str]:
    """One stable name a weight: layer names numbered by first appearance, never by Keras's global counters."""
    seen: dict[tuple[str, str], dict[str, str]] = {}
    paths = []
    for weight in model.weights:
        *scopes, leaf = weight.path.split("/")
        stable = ""
        for scope in scopes:
            base = re.sub(r"_\d+$", "", scope)
            names = seen.setdefault((stable, base), {})
            stable += names.setdefault(scope, f"{base}_{len(names)}") + "/"
        paths.append(stable + leaf)
    return paths


def get_weights(model: Any) -> dict[str, np.ndarray]:
    """Copies of all weights by stable name."""
    return {path: np.array(w.numpy()) for path, w in zip(weight_paths(model), model.weights, strict=True)}


def set_weights(model: Any, weights: dict[str, np.ndarray]) -> None:
    """Assign weights by stable name; shapes must match."""
    for path, weight in zip(weight_paths(model), model.weights, strict=True):
        weight.assign(weights[path])
