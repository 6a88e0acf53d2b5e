"""Quantiles with row weights: an integer weight counts exactly like repeated rows."""

from __future__ import annotations

import numpy as np


def weighted_quantiles(values: np.ndarray, levels: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Smallest values whose share of the total weight reaches each level (inverted CDF); values (rows,), no NaN."""
    order = np.argsort(values, kind="stable")
    share = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)[order]
    reached = np.cumsum(share)
    goal = np.asarray(levels) * reached[-1] * (1 - 1e-12)  # rounding must not step over a tie
    return values[order][np.minimum(np.searchsorted(reached, goal), len(values) - 1)]
