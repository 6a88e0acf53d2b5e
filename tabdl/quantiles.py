"""Quantiles: their levels, and those of rows with weights, of which a whole one counts exactly like repeated rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabdl.errors import ParameterError


def quantile_levels(levels: Sequence[float]) -> list[float]:
    """Both ends of each central interval, ascending: [0.8] -> [0.1, 0.9]."""
    if not np.iterable(levels) or not all(0 < level < 1 for level in levels):
        raise ParameterError(f"levels={levels!r}: expected shares between 0 and 1 such as (0.8, 0.95); give a tuple of them")
    return sorted({round(0.5 + sign * level / 2, 9) for level in levels for sign in (-1, 1)})


def weighted_quantiles(values: np.ndarray, levels: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Smallest values whose share of the total weight reaches each level (inverted CDF); values (rows,), no NaN."""
    order = np.argsort(values, kind="stable")
    share = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)[order]
    reached = np.cumsum(share)
    goal = np.asarray(levels) * reached[-1] * (1 - 1e-12)  # rounding must not step over a tie
    return values[order][np.minimum(np.searchsorted(reached, goal), len(values) - 1)]
