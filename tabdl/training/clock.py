"""How long a fit may take, when its parts are trained one after the other."""

from __future__ import annotations

import time

import numpy as np

MARGIN = 0.05  # share of the time that no epoch is planned for


class Clock:
    """Seconds of a fit, from its first run on; each run may take an equal part of what the ones before have left."""

    def __init__(self, limit: float | None, runs: int = 1):
        self.limit, self.runs = limit, runs
        self.end = np.inf  # of the whole fit

    def start(self) -> None:
        """A run begins, and may compile, which all runs pay for: its own part counts from `share` on."""
        self.begun = time.monotonic()
        if self.limit is not None and self.end == np.inf:
            self.end = self.begun + self.limit
        self.deadline = self.end

    def share(self) -> None:
        """The run's part of what is left begins."""
        self.begun = time.monotonic()
        self.deadline = self.begun + max(0.0, self.end - self.begun) / self.runs

    @property
    def seconds(self) -> float | None:
        """What the run may take from its last `start` or `share` on; None: no limit."""
        return None if self.limit is None else float(self.deadline - self.begun)

    def over(self) -> bool:
        return time.monotonic() >= self.deadline

    def affordable(self, epochs: float) -> int | None:
        """How many more epochs the run has time for, when `epochs` took what has passed of its part; None: no limit."""
        if self.limit is None:
            return None
        now = time.monotonic()
        planned = (1 - MARGIN) * (self.deadline - self.begun) - (now - self.begun)
        return int(max(0.0, planned) * epochs / max(now - self.begun, 1e-9))

    def finish(self) -> None:
        """The run has ended."""
        self.runs -= 1
