"""A network: hyper-parameters and `forward`. It knows shapes, not tasks, data or training."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from tabdl import series
from tabdl.errors import SchemaError
from tabdl.frames import Frame, read_frame
from tabdl.params import Parameters, param
from tabdl.schema import Schema
from tabdl.spec import Head, Inputs, Spec
from tabdl.timeline import as_names, with_index


class Network(Parameters):
    """Base of all networks. A subclass declares parameters and a `forward` method from `Inputs` to features."""

    members: int = param(
        1,
        "copies of the network, trained side by side, each with its own initial weights, order of rows and best epoch; "
        "their predictions are averaged",
        low=1,
        high=64,
    )
    reads: ClassVar[tuple[str, ...]] = ("numbers", "flags", "categories")  # kinds of arrays that `forward` takes
    compares_rows: ClassVar[bool] = False  # whether `forward` takes the targets of the rows too, and gives logits
    automatic_training: ClassVar[tuple[int, int]] = (2_000, 12)  # steps that epochs="auto" aims at, and fewest epochs
    most_epochs: ClassVar[int] = 100  # that epochs="auto" may be, however few steps one has
    epochs_of_few: ClassVar[tuple[int, int]] = (
        0,
        0,
    )  # that small tables have at least, while these are no more than so many steps
    batch_of_few: ClassVar[int] = 32  # rows in a step, where batch_size="auto" and there are 1,000 or fewer
    one_for_all_members: ClassVar[bool] = False  # whether the network itself has the members, as TabM's do
    folds_apart: ClassVar[bool] = False  # whether folds are learned one after the other: one alone keeps all cores busy
    steady: ClassVar[float] = 1.0  # factor of the learning rate where no schedule tames it, in `partial_fit`

    def network_params(self) -> dict[str, Any]:
        """Values of the hyper-parameters that belong to the network, not to its training; 'auto' as resolved in `fit`."""
        sizes = getattr(self, "sizes_", {})
        cls = network_class(type(self))
        own = {name: getattr(self, name) for name in cls.fields if name != "members" or cls.one_for_all_members}
        return own | {name: sizes[name] for name, value in own.items() if name in sizes and isinstance(value, str)}

    def read_table(self, X: Any, like: Frame | Schema | None = None) -> tuple[Frame, list[Any] | None]:
        """(X as a frame, the ids of a long table). like: tells which columns hold series, how times are written."""
        return read_frame(X), None

    def as_series(self, frame: Frame) -> Frame:
        """The frame as this network reads it."""
        for name, cells in frame.columns.items():
            if series.holds_series(cells):
                raise SchemaError(
                    f"column {name!r} holds series, {type(self).__name__} reads plain cells only; use Series, or another network "
                    "for series such as CNN, RNN, LITE or Rocket"
                )
        return frame

    def encoding(self, seed: int) -> dict[str, Any]:
        """What the encoder of the table should make for this network beside the defaults."""
        return {}

    def features(self, inputs: Inputs) -> Any:
        """All that the head sees: (rows, width) or (rows, members, width)."""
        return getattr(self, "forward")(inputs)  # noqa: B009  a subclass has it

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


class HorizonNetwork(TableNetwork):
    """Network on windows of series: `forward(inputs)` makes of them a number for each step ahead, (rows, inputs.spec.horizon).

    `inputs.sequence` and `inputs.mask` have the steps that are seen, `inputs.future` what is known of those ahead.
    """

    reads = ("numbers", "flags", "categories", "sequence", "mask", "future")

    def finish(self, features: Any, head: Head) -> Any:
        return features


class SequenceNetwork(TableNetwork):
    """Network on series: `forward(inputs)` makes (rows, width) of `inputs.sequence` and `inputs.mask`.

    Columns that hold no series stand beside what it returns. Series come as an array (rows, steps, channels), as a list of arrays
    (steps, channels) of any lengths, as a table whose cells hold arrays, a column a channel, or as a long table with `id` and
    `time`; a 2-D array of numbers is one series a row.
    """

    scale: str = param(
        "channel",
        "what series are scaled by: 'channel', one scale for all, or 'series', each by its own level and spread, so that only "
        "the shape counts",
        options=("channel", "series"),
    )
    channels_first: bool = param(False, "whether arrays are (rows, channels, steps), and lists of (channels, steps)")
    id: str | tuple[str, ...] | None = param(
        None,
        "column, or columns, of a long table, one row a step, that name the series; y has one entry a series, in order of first "
        "appearance or with the ids as its pandas index, or one a row, the same in all rows of a series, as cross-validation by "
        "`GroupKFold` needs it (with `scoring=None`), or is the name of a column",
    )
    time: str | None = param(None, "column of a long table that orders the steps of a series; None: as they come")
    reads = ("numbers", "flags", "categories", "sequence", "mask", "future")
    reads_tables: ClassVar[bool] = False  # whether columns of numbers are a table, and not the steps of one series

    def encoding(self, seed: int) -> dict[str, Any]:
        return {"scale": self.scale}

    def features(self, inputs: Inputs) -> Any:
        from tabdl import layers

        if inputs.future is not None:  # a window has no gaps: they were filled, and the mask only tells where
            told = layers.blocks.join(inputs.sequence, layers.horizon.as_channel(inputs.mask))
            found = super().features(replace(inputs, sequence=told, mask=None))
            return layers.horizon.add_future(found, inputs)
        found = super().features(inputs)
        if inputs.sequence is None:
            return found
        return layers.blocks.join(found, inputs.numbers, inputs.flags, layers.categories.embed(inputs))

    def read_table(self, X: Any, like: Frame | Schema | None = None) -> tuple[Frame, list[Any] | None]:
        channels, times = (None, None) if like is None else (like.channels, like.times)
        if self.id is not None:
            frame = read_frame(with_index(X, *as_names(self.id), self.time))
            columns, ids, times = series.collect(frame.columns, self.id, self.time, channels, times)
            return Frame(columns, len(ids), frame.named, frame.orders, frame.categorical, times=times), ids
        X, shape = series.as_rows(X), getattr(X, "shape", ())
        if len(shape) == 3:
            if channels is None and not self.channels_first and shape[1] == 1 < shape[2]:
                warnings.warn(
                    f"X has the shape {tuple(shape)}: one step of {shape[2]} channels in each row; if these are the steps of one "
                    "channel, give channels_first=True",
                    UserWarning,
                    stacklevel=2,
                )
            columns, named = series.from_array(np.asarray(X), self.channels_first), False
        elif series.is_list_of_series(X) or (channels and series.is_list(X)):
            columns, named = series.from_list(X, self.channels_first)
        else:
            return read_frame(X), None
        return Frame(columns, len(X), named), None

    def as_series(self, frame: Frame) -> Frame:
        """The frame; columns of numbers are the steps of one series a row, unless the network reads tables."""
        if self.reads_tables or any(series.holds_series(cells) for cells in frame.columns.values()):
            return frame
        odd = next((name for name, cells in frame.columns.items() if not _is_step(cells)), None)
        if odd is not None:
            raise SchemaError(
                f"{type(self).__name__} reads series, received a table whose column {odd!r} holds neither series nor numbers; "
                "give numbers, one column a step, put each series into a cell, or name the columns id= and time= of a long table"
            )
        steps = np.column_stack([_numbers(cells) for cells in frame.columns.values()])
        cells = series.read_cells(list(steps), "series")
        return Frame({"series": cells}, frame.rows, named=False, steps=tuple(frame.columns) if frame.named else len(steps[0]))


def _is_step(cells: np.ndarray) -> bool:
    return cells.dtype.kind in "iufb" or all(cell is None or isinstance(cell, bool) for cell in cells)


def _numbers(cells: np.ndarray) -> np.ndarray:
    return np.array([np.nan if cell is None else cell for cell in cells]) if cells.dtype == object else cells.astype(np.float64)


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

    symbols = {
        kind: keras.Input(shape, dtype="int32" if kind == "categories" else "float32", name=kind)
        for kind, shape in spec.shapes.items()
    }
    if network.compares_rows:
        symbols |= {"target": keras.Input((head.columns,), name="target"), "weight": keras.Input((), name="weight")}
    with seeded(seed):
        shown = _hide(symbols, spec, getattr(network, "unseen", 0.0))
        logits = network.finish(network.features(Inputs(spec, **shown, head=head)), head)
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
