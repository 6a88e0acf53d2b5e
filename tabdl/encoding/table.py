"""A table -> the arrays a network takes, and back. Two stages: cells to codes, where columns can be masked; codes to arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from tabdl.encoding.columns import (
    CHUNK,
    Booleans,
    Categories,
    Moments,
    Numbers,
    Texts,
    codes_of,
    lookup_of,
    refuse_cells,
    values_of,
)
from tabdl.encoding.sequence import SequenceEncoder
from tabdl.frames import Frame
from tabdl.schema import Schema, even_weight
from tabdl.spec import Spec

EXACT = 64  # codes of a column up to which a network has room for just these


def _room(codes: int) -> int:
    """Room for the codes of a column: beyond `EXACT` rounded up by at most an eighth, so that the folds of a search, whose
    vocabularies differ a little, share one compiled network.
    """
    step = 1 << max(codes.bit_length() - 4, 0)
    return codes if codes <= EXACT else -(-codes // step) * step


class TableEncoder:
    """Learns scales and frequencies of the columns that a schema names. scale, rocket: of series, see `SequenceEncoder`."""

    def __init__(self, schema: Schema, scale: str = "channel", rocket: tuple[int, ...] = ()) -> None:
        self.schema = schema
        self.columns = schema.used
        self._numbers, self._booleans, self._moments = Numbers(self.columns), Booleans(self.columns), Moments(self.columns)
        self._categories, self._texts = Categories(self.columns), Texts(self.columns)
        self._sequence = SequenceEncoder(self.columns, scale, rocket)

    @cached_property
    def _lookups(self) -> list[dict[Any, float] | None]:
        return [lookup_of(column) for column in self.columns]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lookups"}

    def fit(self, frame: Frame, weight: np.ndarray | None = None, beside: Frame | None = None) -> TableEncoder:
        """`frame` comes from `schema.read`. A row of weight 2 counts exactly as two rows; weights are positive.

        beside: further rows, whose series the arrays shall have room for.
        """
        return self.fit_codes(self.codes(frame), frame, weight, beside=beside)

    def fit_codes(
        self,
        codes: np.ndarray,
        frame: Frame,
        weight: np.ndarray | None = None,
        like: TableEncoder | None = None,
        beside: Frame | None = None,
    ) -> TableEncoder:
        """`fit` for codes that are there already, (rows, used columns); series have none: they are read from the frame.

        like: an encoder of more rows, whose arrays have the shapes that these shall have. beside: as of `fit`.
        """
        weight = even_weight(weight, len(codes))
        for part in (self._numbers, self._booleans, self._moments, self._categories):
            part.fit(codes, weight)
        if self._sequence.columns:
            shapes = None if like is None else like._sequence
            self._sequence = self._sequence.fit(frame.columns, weight, shapes, None if beside is None else beside.columns)
        if like is not None:
            self._numbers.gaps, self._moments.timed = like._numbers.gaps, like._moments.timed
        return self

    @property
    def spec(self) -> Spec:
        categories = tuple(_room(size + 2) for size in self._categories.sizes)
        sequence = self._sequence
        series = (sequence.steps, sequence.channels, sequence.features) if sequence.columns else ()
        return Spec(len(self._numbers.at), self._flag_stops[-1], categories, *series)

    @property
    def sequence(self) -> SequenceEncoder:
        """The encoder of the columns that hold series."""
        return self._sequence

    @property
    def private_numbers(self) -> np.ndarray:
        """Which columns of the array "numbers" are private, bool (numbers,)."""
        return np.array(self._numbers.private, dtype=bool)

    @property
    def _flag_stops(self) -> list[int]:
        """Where in flags end: gap indicators, booleans, cyclic parts of dates, hashed text."""
        widths = [int(self._numbers.gaps.sum()), len(self._booleans.at), self._moments.width, self._texts.width]
        return np.cumsum(widths).tolist()

    def codes(self, frame: Frame) -> np.ndarray:
        """(rows, used columns) float64; `frame` comes from `schema.read`."""
        codes = np.empty((frame.rows, len(self.columns)))
        for j, (column, lookup) in enumerate(zip(self.columns, self._lookups, strict=True)):
            try:
                codes[:, j] = codes_of(column, frame.columns[column.name], lookup)
            except TypeError:  # a cell that no code stands for, such as a dict
                refuse_cells(column.name, frame.columns[column.name])
                raise
        return codes

    def expand(self, codes: np.ndarray, frame: Frame | None = None, made: dict[int, Any] | None = None) -> dict[str, np.ndarray]:
        """Arrays by name: "numbers", "flags", "sequence", "mask", "features" float32, "categories" int32; without columns absent.

        Free text and series have no codes: without the frame text is zeros, as for a gap, and series are made-up waves.
        made: what encoders that share kernels have made of these rows; filled.
        """
        rows, spec = len(codes), self.spec
        numbers, flags = np.empty((rows, spec.numbers), np.float32), np.zeros((rows, spec.flags), np.float32)
        categories = np.empty((rows, len(spec.categories)), np.int32)
        gaps_end, booleans_end, moments_end, _ = self._flag_stops
        for start in range(0, rows, CHUNK):
            part = slice(start, start + CHUNK)
            if spec.numbers:
                self._numbers.expand(codes[part], numbers[part], flags[part, :gaps_end])
            if booleans_end > gaps_end:
                self._booleans.expand(codes[part], flags[part, gaps_end:booleans_end])
            if moments_end > booleans_end:
                self._moments.expand(codes[part], flags[part, booleans_end:moments_end])
            if spec.categories:
                self._categories.expand(codes[part], categories[part])
        if frame is not None and self._texts.names:
            self._texts.expand(frame.columns, flags[:, moments_end:])
        arrays = {"numbers": numbers, "flags": flags, "categories": categories}
        if self._sequence.columns:
            made = {} if made is None else made
            if id(self._sequence) not in made:
                own = self._sequence.sample(rows) if frame is None else self._sequence.expand(frame.columns, rows)
                made[id(self._sequence)] = own
            arrays |= made[id(self._sequence)]
        return {name: array for name, array in arrays.items() if array.shape[1]}

    def encode(self, X: Any, owner: str = "this model") -> dict[str, np.ndarray]:
        """A table as the user holds it -> arrays for the network."""
        frame = self.schema.read(X, owner)
        return self.expand(self.codes(frame), frame)

    def forget(self) -> None:
        """Drop what was kept of the training rows to encode them once only."""
        self._sequence.forget()

    def decode(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Codes -> cells, by column; gaps, unseen values and free text as None (NaN in numbers, NaT in dates)."""
        return {column.name: values_of(column, codes[:, j]) for j, column in enumerate(self.columns)}

    def sample(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Synthetic codes (rows, used columns): each column drawn on its own from stored statistics, never a seen row."""
        codes = np.full((rows, len(self.columns)), np.nan)
        for part in (self._numbers, self._booleans, self._categories):
            codes[:, part.at] = part.sample(rows, rng)
        return codes

    def state(self, like: TableEncoder | None = None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs for an equal encoder: plain data, and arrays by name, but for those it shares with `like`."""
        arrays: dict[str, np.ndarray] = {}
        for part in (self._numbers, self._booleans, self._moments, self._categories):
            arrays |= part.state
        if self._sequence.columns and (like is None or like._sequence is not self._sequence):
            arrays |= self._sequence.state
        return {"schema": self.schema.to_json(), "scale": self._sequence.scale, "rocket": [*self._sequence.rocket]}, arrays

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray], like: TableEncoder | None = None
    ) -> TableEncoder:
        """The encoder of a state. like: one that lends what the arrays lack of series."""
        rocket = tuple(int(n) for n in state.get("rocket", ()))
        encoder = cls(Schema.from_json(state["schema"]), str(state.get("scale", "channel")), rocket)
        for part in (encoder._numbers, encoder._booleans, encoder._moments, encoder._categories):
            part.restore(dict(arrays))
        if like is not None and encoder._sequence.columns and "sequence/steps" not in arrays:
            encoder._sequence = like._sequence
        elif encoder._sequence.columns:
            encoder._sequence.restore(dict(arrays))
        return encoder
