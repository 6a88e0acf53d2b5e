"""Which rows a step sees: a pure function of (seed, epoch), the same on every backend and after a resume."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tabdl.errors import ParameterError

CHUNK = 128  # steps in one compiled call: the grain of time limits and batch callbacks


@dataclass(frozen=True)
class Plan:
    """Rows spread evenly over the steps of an epoch; `chunks` equal calls of `steps` steps.

    context: further rows a step shows after its own, never the same ones, for networks that compare rows; where there are
    fewer others, these repeat.
    """

    rows: int
    batch: int
    steps: int
    chunks: int
    context: int = 0

    @classmethod
    def of(
        cls, rows: int, batch_size: int, context: int = 0, fewest: int | None = None, repeat: bool = False, least: int = 1
    ) -> Plan:
        """At most `batch_size` rows a step, every row once an epoch.

        fewest: rows of the smallest table that it should serve. repeat: whether a context may be larger than the table.
        least: rows in a step, even if these are more than `batch_size`; all where there are fewer.
        """
        fewest = rows if fewest is None else fewest
        others = fewest // 2 if repeat and context >= fewest else context
        if context and not 0 < others < fewest:
            raise ParameterError(f"context={context} expects more than {context} training rows, received {fewest}; lower it")
        steps = min(math.ceil(rows / min(batch_size, fewest - others)), max(rows // least, 1))
        chunks = math.ceil(steps / CHUNK)
        steps = math.ceil(steps / chunks)
        batch = math.ceil(rows / (steps * chunks))
        return cls(rows, batch, steps, chunks, context)

    def of_rows(self, rows: int) -> Plan:
        """The same steps for a few rows less, not below `fewest`."""
        return replace(self, rows=rows)

    def order(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers int32 (chunks, steps, batch + context) and 1/0 for rows that count / only fill a step or are context."""
        rng = np.random.default_rng((seed, epoch))
        permuted = rng.permutation(self.rows).astype(np.int32)
        count = self.chunks * self.steps
        filled = np.resize(permuted, (count, self.batch))
        keep = (np.arange(filled.size) < self.rows).astype(np.float32).reshape(filled.shape)
        if self.context:
            first = (np.arange(1, count + 1) * self.batch) % self.rows  # the row after a step's own
            others = self.rows - self.batch
            slack = rng.integers(0, max(0, others - self.context) + 1, count)
            place = (first + slack)[:, None] + np.arange(self.context) % others
            filled = np.concatenate([filled, permuted[place % self.rows]], axis=1)
            keep = np.concatenate([keep, np.zeros(place.shape, np.float32)], axis=1)
        shape = (self.chunks, self.steps, self.batch + self.context)
        return filled.reshape(shape), keep.reshape(shape)


def automatic_batch_size(rows: int, few: int = 32) -> int:
    """`few` below 1,000 rows, then 64, 128 and 256 up to 100,000, 1,024 above."""
    for limit, size in ((1_000, few), (3_000, 64), (10_000, 128), (100_000, 256)):
        if rows <= limit:
            return size
    return 1_024


def automatic_epochs(steps: int, wanted: int = 2_000, fewest: int = 12, most: int = 100) -> int:
    """About `wanted` steps in all, between `fewest` and `most` epochs."""
    return int(np.clip(math.ceil(wanted / steps), fewest, most))
