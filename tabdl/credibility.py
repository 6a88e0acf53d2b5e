"""How many rows a category needs before its own effect tells more than none: credibility theory on the training rows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

CHANCE = 3.0  # standard deviations of chance above which codes differ: the largest of many effects is never small
TIMES = 2  # how often a code has the rows it needs: its own mean then weighs twice as much as that of all rows
ENOUGH = 200  # rows with which a code is supported, whatever their targets say
SAMPLE = 100_000  # rows that effects are estimated from
OUTPUTS = 8  # of many classes, the commonest


def supported(
    codes: np.ndarray, count: int, weight: np.ndarray, rest: np.ndarray, numbers: np.ndarray, each: float
) -> np.ndarray:
    """Which of the codes below `count` have rows enough to learn something of their own from, bool (count,).

    As in `rows_needed`; each: how many training rows every one of these stands for.
    """
    rows = np.bincount(codes, minlength=count)
    squares = np.maximum(np.bincount(codes, weight**2, count), 1e-300)
    even = np.bincount(codes, weight, count) ** 2 / squares  # rows of equal weight that tell as much (Kish)
    part = slice(None) if len(codes) <= SAMPLE else np.random.default_rng(0).permutation(len(codes))[:SAMPLE]
    most = np.sort(np.argsort(-(rest**2).mean(axis=0), kind="stable")[:OUTPUTS])
    needed = TIMES * rows_needed(codes[part], weight[part], rest[part][:, most], numbers[part])
    return (rows > 0) & ((each * rows >= ENOUGH) | (each * even >= needed))


def unexplained(numbers: np.ndarray, flags: np.ndarray, weight: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What is left of the target after the flags and a cubic curve for each number; all (rows, columns), weight (rows,)."""
    told = np.hstack([numbers, numbers**2, numbers**3, flags])
    if not told.shape[1]:
        return target - np.average(target, axis=0, weights=weight)
    return target - Ridge().fit(told, target, weight).predict(told).reshape(target.shape)


def rows_needed(codes: np.ndarray, weight: np.ndarray, rest: np.ndarray, numbers: np.ndarray) -> float:
    """Rows from which a code's mean of `rest`, or its slope along a number, tells more than that of all codes; may be infinite.

    That is the variance within codes over the variance between codes (Bühlmann, Experience rating and credibility, ASTIN
    Bulletin 4, 1967), for the effect that differs most between codes. The variance between codes is the mean product of two
    rows of a code, where that is no chance: it asks nothing of weights, of the distribution, or of rows alone in their code.
    codes: int (rows,); weight: (rows,); rest: (rows, outputs); numbers: (rows, columns).
    """
    rows = len(codes)
    found, code = np.unique(codes, return_inverse=True)
    of_code = csr_matrix((np.ones(rows), (code, np.arange(rows))), shape=(len(found), rows))
    count = np.bincount(code)[:, None]  # of rows: the weight of a code may have to do with its targets
    pairs = float((((of_code @ weight) ** 2 - of_code @ weight**2) / count[:, 0]).sum())  # weight of those of a code
    needed = [np.inf]
    for factor in (np.ones(rows), *numbers.T):
        effect = rest * factor[:, None]
        effect = effect - np.average(effect, axis=0, weights=weight)
        sums, own = of_code @ (weight[:, None] * effect), (weight[:, None] * effect) ** 2
        alone = of_code @ own
        together = ((sums**2 - alone) / count).sum()
        chance = np.sqrt(2 * np.maximum((alone**2 - of_code @ own**2) / count**2, 0).sum())
        if together > max(CHANCE * chance, 1e-9):
            between = together / pairs
            total = float(np.average(effect**2, axis=0, weights=weight).sum())
            needed.append(max(total - between, 0.0) / between)
    return min(needed)
