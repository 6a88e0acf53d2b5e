"""Values of a series that tell nothing of what comes: errors of a sensor, and times in which nothing was measured or sold."""

from __future__ import annotations

import numpy as np

FEWEST_BESIDE = 20  # values that tell what is far from them
SPIKES = (  # share of the values, at each end, that a range leaves out; ranges beyond its ends; steps on end; times at most
    (0.01, 3.0, 2, None),
    (0.05, 10.0, None, 2),  # a sensor that was stuck
)
FEWEST_ZEROS = 5  # on end, of a closure
LONGER = 4.0  # than all other runs of zeros: a closure
MOST_CLOSURES = 2  # of a series; what comes more often is usual
FEWEST_OPEN = 5  # other values, beside which zeros are a closure


def find_spikes(values: np.ndarray) -> np.ndarray:
    """(steps,) bool: a value or two on end far beyond all but a hundredth of the series, or some further still once or twice.

    Such as errors of a sensor. values: (steps,), NaN for gaps. What ends a series may be a new level, and counts as none.
    """
    found, known = np.zeros(len(values), bool), np.flatnonzero(np.isfinite(values))
    if len(known) < FEWEST_BESIDE:
        return found
    seen = values[known]
    for share, ranges, longest, times in SPIKES:
        out = max(1, int(share * len(seen)))
        low, high = np.partition(seen, (out, len(seen) - 1 - out))[[out, len(seen) - 1 - out]]
        reach = ranges * (high - low)
        away = (seen < low - reach) | (seen > high + reach) if reach > 0 else np.zeros(len(seen), bool)
        turns = np.flatnonzero(np.diff(away, prepend=False, append=False)).reshape(-1, 2)  # begin and end of each run
        for begin, end in turns if times is None or len(turns) <= times else ():
            if end < len(seen) and end - begin <= (longest or end):
                found[known[begin:end]] = True
    return found


def find_closures(values: np.ndarray) -> np.ndarray:
    """(steps,) bool: a long run of zeros or two in a series that has only far shorter ones at other times.

    Such as the time before a shop opened. values: (steps,), NaN for gaps. What ends a series may last, and counts as none.
    """
    found, known = np.zeros(len(values), bool), np.flatnonzero(np.isfinite(values))
    zero = values[known] == 0
    if np.sum(~zero) < FEWEST_OPEN:
        return found
    turns = np.flatnonzero(np.diff(zero, prepend=False, append=False)).reshape(-1, 2)  # begin and end of each run
    turns = turns[np.argsort(turns[:, 0] - turns[:, 1], kind="stable")]
    sizes = np.append(turns[:, 1] - turns[:, 0], 0)  # the longest first
    counts = range(min(MOST_CLOSURES, len(turns)), 0, -1)
    count = next((k for k in counts if sizes[k - 1] >= max(FEWEST_ZEROS, LONGER * sizes[k])), 0)
    for begin, end in turns[:count]:
        if end < len(zero):
            found[known[begin:end]] = True
    return found
