"""Which rows a step sees: a pure function of (seed, epoch), the same on every backend and after a resume."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CHUNK = 128  # steps in one compiled call: the grain of time limits and batch callbacks


@dataclass(frozen=True)
class Plan:
    """Rows spread evenly over the steps of an epoch; `chunks` equal calls of `steps` steps."""

    rows: int
    batch: int
    steps: int
    chunks: int

    @classmethod
    def of(cls, rows: int, batch_size: int) -> Plan:
        """At most `batch_size` rows a step, every row once an epoch."""
        steps = math.ceil(rows / min(batch_size, rows))
        chunks = math.ceil(steps / CHUNK)
        steps = math.ceil(steps / chunks)
        return cls(rows, math.ceil(rows / (steps * chunks)), steps, chunks)

    def order(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers int32 (chunks, steps, batch) and 1/0 for rows that count / that only fill the last step."""
        permuted = np.random.default_rng((seed, epoch)).permutation(self.rows).astype(np.int32)
        shape = (self.chunks, self.steps, self.batch)
        filled = np.resize(permuted, shape)
        keep = (np.arange(filled.size) < self.rows).astype(np.float32).reshape(shape)
        return filled, keep


def automatic_batch_size(rows: int) -> int:
    """32 below 1,000 rows, then 64, 128 and 256 up to 100,000, 1,024 above."""
    for limit, size in ((1_000, 32), (3_000, 64), (10_000, 128), (100_000, 256)):
        if rows <= limit:
            return size
    return 1_024


def automatic_epochs(steps: int) -> int:
    """About 2,000 steps in all, between 12 and 100 epochs."""
    return int(np.clip(math.ceil(2_000 / steps), 12, 100))
