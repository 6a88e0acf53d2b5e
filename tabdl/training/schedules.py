"""Learning-rate schedules: progress in [0, 1) -> factor of the peak rate."""

from __future__ import annotations

import numpy as np

SCHEDULES = ("constant", "cosine", "linear", "exponential", "step", "coslog4")
CYCLES = {"coslog4": (1 / 15, 3 / 15, 7 / 15, 1.0)}  # where the cycles of a schedule end
FADES = ("none", "flat_cosine")


def factors(schedule: str, progress: np.ndarray, warmup: float) -> np.ndarray:
    """Factor of the peak rate at each step; the first `warmup` share of the training rises linearly.

    "coslog4" rises from zero by itself, four times, and knows no warmup.
    """
    if schedule == "coslog4":  # four cycles, each twice as long (arXiv 2407.04491)
        return (0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * progress)))).astype(np.float32)
    after = np.clip((progress - warmup) / max(1 - warmup, 1e-9), 0, 1)
    shapes = {
        "constant": np.ones_like(after),
        "cosine": 0.5 * (1 + np.cos(np.pi * after)),
        "linear": 1 - after,
        "exponential": 0.01**after,
        "step": 0.1 ** np.floor(3 * after),  # a tenth after each third
    }
    rising = np.minimum(progress / warmup, 1) if warmup > 0 else 1.0
    return (shapes[schedule] * rising).astype(np.float32)


def fades(fade: str, progress: np.ndarray) -> np.ndarray:
    """Factor of dropout and weight decay at each step: "none" stays 1, "flat_cosine" falls to 0 in the second half."""
    if fade == "none":
        return np.ones_like(progress, dtype=np.float32)
    return np.where(progress < 0.5, 1, 0.5 * (1 + np.cos(np.pi * (2 * progress - 1)))).astype(np.float32)
