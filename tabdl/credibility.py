"""How many rows a category needs before its own effect tells more than none: credibility theory on the training rows."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import Ridge

CHANCE = 3.0  # standard deviations of chance that codes must differ by: the largest of many effects is never small


def unexplained(numbers: np.ndarray, flags: np.ndarray, weight: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What is left of the target after the flags and a cubic curve for each number; all (rows, columns), weight (rows,)."""
    told = np.hstack([numbers, numbers**2, numbers**3, flags])
    if not told.shape[1]:
        return target - np.average(target, axis=0, weights=weight)
    return target - Ridge().fit(told, target, weight).predict(told).reshape(target.shape)


def rows_needed(codes: np.ndarray, rows: np.ndarray, weight: np.ndarray, rest: np.ndarray, numbers: np.ndarray) -> float:
    """Rows from which a code's mean of `rest`, or its slope along a number, tells more than that of all codes; may be infinite.

    That is the variance within codes over the variance between codes (Bühlmann, Experience rating and credibility, ASTIN
    Bulletin 4, 1967), by the method of moments, for the effect that differs most between codes.
    codes: int (rows,); rows: how many each code has; weight: how many each row counts for; rest: (rows, outputs);
    numbers: (rows, columns).
    """
    total, known = rows.sum(), np.count_nonzero(rows)
    if known < 2:
        return np.inf
    differing = total - (rows**2).sum() / total
    chance = known - 1 + CHANCE * np.sqrt(2.0 * (known - 1))  # of apart / within, where codes do not differ
    found = [np.inf]
    for factor in (np.ones(len(codes)), *numbers.T):
        effect = rest * factor[:, None]
        effect = effect - np.average(effect, axis=0, weights=weight)
        sums = np.stack([np.bincount(codes, weight * one, len(rows)) for one in effect.T])  # (outputs, codes)
        apart = float((sums**2 / np.maximum(rows, 1e-9)).sum())
        within = (float(weight @ (effect**2).sum(axis=1)) - apart) / max(total - known, 1.0)
        between = (apart - chance * within) / differing
        if between > 0:
            found.append(max(within, 0.0) / between)
    return min(found)
