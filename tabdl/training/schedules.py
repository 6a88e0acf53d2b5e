"""Learning-rate schedules: progress in [0, 1) -> factor of the peak rate."""

from __future__ import annotations

import numpy as np

SCHEDULES = ("constant", "cosine", "linear", "exponential", "step")


def factors(schedule: str, progress: np.ndarray, warmup: float) -> np.ndarray:
    """Factor of the peak rate at each step; the first `warmup` share of the training rises linearly."""
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
