"""Waves of three shapes: series to classify."""

from __future__ import annotations

import numpy as np


def make_waves(
    rows: int = 300, *, steps: int = 64, noise: float = 0.5, random_state: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy waves of three shapes, each at a random place and speed, to classify.

    Parameters
    ----------
    rows : series
    steps : of each series
    noise : standard deviation of the noise; that of a wave is about 0.7
    random_state : seed

    Returns
    -------
    X (rows, steps, 2 channels), of which the second is noise only, and y (rows,): "saw", "sine" or "square".

    Examples
    --------
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(100, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((100, 64, 2), ['saw', 'sine', 'square'])
    """
    rng = np.random.default_rng(random_state)
    y = rng.choice(np.array(["saw", "sine", "square"]), rows)
    turns = (np.arange(steps) / steps * rng.uniform(2, 4, (rows, 1)) + rng.uniform(size=(rows, 1))) % 1  # (rows, steps)
    sine = np.sin(2 * np.pi * turns)
    waves = np.where((y == "sine")[:, None], sine, np.where((y == "square")[:, None], 0.7 * np.sign(sine), 2 * turns - 1))
    X = rng.normal(scale=noise, size=(rows, steps, 2))
    X[:, :, 0] += waves
    return X, y
