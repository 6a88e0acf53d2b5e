"""What rows that the network has not seen tell of it: how sure it may be of classes, how far numbers may be off.

Temperature: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599; as part of the validation score:
Berta et al., Rethinking Early Stopping: Refine, Then Calibrate, 2025, arXiv 2501.19195. Intervals: split conformal,
Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018, arXiv 1604.04173; around quantiles: Romano et al.,
Conformalized Quantile Regression, NeurIPS 2019, arXiv 1905.03222. Everything is float64 NumPy.
"""

from __future__ import annotations

import numpy as np

from tabdl.quantiles import weighted_quantiles
from tabdl.targets import Counts, Numbers, Quantiles, Target

COLDEST, HOTTEST = 0.1, 10.0  # temperatures are looked for in between
PRIOR = 10.0  # curvature of the prior at T = 1; a row's is 0.1 to 0.44, so this is worth 25 to 100 rows
SHARPENING = 1.0  # log-likelihood that a parameter has to earn by Akaike's criterion
FLOOR = 1e-7  # of a probability, as in the validation score: one row that is sure and wrong must not decide
SMALLEST = float(np.finfo(np.float32).tiny)  # probability that float32 may have rounded to 0
HALF_STEP = 2.0**-25  # the same of 1 - p, for a p that was rounded to 1
STEPS = 1000  # coverages with a radius of their own


def effective_rows(rows: int, weight: np.ndarray | None, sample_weight: np.ndarray | None = None) -> float:
    """Rows of equal weight that would tell as much (Kish).

    weight: of each row in the scores, class weights and all. sample_weight: as the user gave it; whole numbers count like
    repeated rows, of others only the ratios matter.
    """
    if weight is None:
        return float(rows)
    repeats = 1 if sample_weight is None or (sample_weight % 1).any() else sample_weight
    return float(weight.sum() ** 2 / (weight**2 / repeats).sum())


# ---- classes -----------------------------------------------------------------------------------------------------------


def fit_temperature(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None, count: float | None = None) -> float:
    """The temperature T at which probabilities p^(1/T) have the least log-loss, drawn towards 1; 1 where too little is gained.

    y: codes (rows, 1) with p (rows, classes), or 0/1 like p (rows, labels). In 1/T the log-loss is convex, and so is the prior
    PRIOR * (1/T - 1 - log(1/T)): that of a gamma density with mode T = 1, without bound on both sides. Rows that the model
    separates perfectly would ask for T = 0, rows that it gets all wrong for infinity; against the prior both stay finite.
    Below 1, the log-likelihood must gain SHARPENING as well: the rows have picked the best epoch, which makes the model look
    surer than it is.
    """
    rows, labels = len(y), y.shape[1] if y.shape == p.shape else 1
    share = np.full(rows, 1 / rows) if weight is None else weight / weight.sum()
    share = np.repeat(share, labels) / labels  # labels of one row are not independent: together they count as one
    if y.shape == p.shape:
        p = np.column_stack([1 - p.ravel(), p.ravel()])  # (rows * labels, 2)
    logs = np.log(np.clip(p, FLOOR, 1 - FLOOR))
    true = logs[np.arange(len(logs)), y.astype(int).ravel()]
    count = effective_rows(rows, weight) if count is None else count
    inverse = _minimise(logs, true, share * count)
    gain = count * (_log_loss(logs, true, share, 1.0) - _log_loss(logs, true, share, inverse))
    return float(1 / inverse) if gain > (SHARPENING if inverse > 1 else 0) else 1.0


def _minimise(logs: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """1/T of the least log-loss plus prior: Newton's steps, and bisection where they leave the bracket."""
    low, high, inverse = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(60):
        share = _softmax(inverse * logs)
        mean = (share * logs).sum(axis=1)
        slope = weight @ (mean - true) + PRIOR * (1 - 1 / inverse)
        curvature = weight @ (share * (logs - mean[:, None]) ** 2).sum(axis=1) + PRIOR / inverse**2
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        last, inverse = inverse, inverse - slope / curvature
        if not low < inverse < high:
            inverse = (low + high) / 2
        if abs(inverse - last) < 1e-10:
            break
    return inverse


def _log_loss(logs: np.ndarray, true: np.ndarray, share: np.ndarray, inverse: float) -> float:
    top = logs.max(axis=1)
    return float(share @ (np.log(np.exp(inverse * (logs - top[:, None])).sum(axis=1)) - inverse * (true - top)))


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def temper(p: np.ndarray, temperature: float, labels: bool) -> np.ndarray:
    """Class probabilities (rows, classes), or of labels (rows, labels) one by one, at a temperature; order and choice stay."""
    if temperature == 1.0:
        return p
    if not labels and p.shape[1] > 2:
        return _softmax(np.log(np.maximum(p, SMALLEST)) / temperature)
    on = p if labels else p[:, 1:]
    odds = (np.log(np.maximum(on, SMALLEST)) - np.log(np.maximum(1 - on, HALF_STEP))) / temperature
    less = np.exp(-np.abs(odds))
    on = np.where(odds >= 0, 1.0, less) / (1 + less)
    return on if labels else np.hstack([1 - on, on])


# ---- numbers -----------------------------------------------------------------------------------------------------------


def learn_radii(target: Target, y: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None, count: float) -> np.ndarray:
    """(outputs, STEPS + 1): half the width of an interval that covers i / STEPS of new rows; inf where rows are too few.

    Rows are not kept: the radii are order statistics of how far off predictions were, rounded up to three digits.
    """
    y = y.reshape(len(y) if isinstance(target, Quantiles) else predicted.shape)
    if isinstance(target, Quantiles):
        pairs = np.array([_pair(target.levels, i) for i in range(STEPS + 1)])
        radii = np.empty(STEPS + 1)
        for low, high in np.unique(pairs, axis=0):
            sizes = np.maximum(predicted[:, low] - y, y - predicted[:, high])
            chosen = (pairs == (low, high)).all(axis=1)
            radii[chosen] = conformal_radii(sizes, weight, count)[chosen]
        return radii[None]
    sizes = np.abs(_even(target, y) - _even(target, predicted)).reshape(len(y), -1)
    return np.stack([conformal_radii(column, weight, count) for column in sizes.T])


def conformal_radii(sizes: np.ndarray, weight: np.ndarray | None, count: float | None = None) -> np.ndarray:
    """Quantiles of the sizes (rows,) at levels i / STEPS, as if one more row of average weight were infinitely far off."""
    count = effective_rows(len(sizes), weight) if count is None else count
    levels = np.arange(STEPS + 1) / STEPS * (count + 1) / count
    radii = weighted_quantiles(np.where(np.isfinite(sizes), sizes, np.inf), np.minimum(levels, 1), weight)
    return np.where(levels > 1 + 1e-9, np.inf, _round_up(radii))


def _round_up(values: np.ndarray) -> np.ndarray:
    """To three significant digits, never down."""
    unit = 10.0 ** (np.floor(np.log10(np.clip(np.abs(values), 1e-280, 1e280))) - 2)
    return np.maximum(np.ceil(values / unit) * unit, values)


def step_of(alpha: float) -> int:
    """Which radius leaves at most a share `alpha` of the rows outside."""
    return int(np.ceil((1 - alpha) * STEPS - 1e-9))


def interval(target: Target, radii: np.ndarray, predicted: np.ndarray, step: int) -> np.ndarray:
    """Lower and upper bounds around predictions, (rows, 2) or (rows, outputs, 2)."""
    if isinstance(target, Quantiles):
        low, high = _pair(target.levels, step)
        middle = predicted[:, target.middle]  # radii may be negative: the two bounds must not pass it
        return np.stack(
            [np.minimum(predicted[:, low] - radii[0, step], middle), np.maximum(predicted[:, high] + radii[0, step], middle)], 1
        )
    radius = radii[:, step] if predicted.ndim == 2 else radii[0, step]
    even = _even(target, predicted)
    low, high = _uneven(target, even - radius), _uneven(target, even + radius)
    return np.stack([np.minimum(low, predicted), np.maximum(high, predicted)], axis=-1)


def _pair(levels: tuple[float, ...], step: int) -> tuple[int, int]:
    """Positions of the two quantiles that are nearest to cutting off equal tails."""
    tail = (1 - step / STEPS) / 2
    low, high = (int(np.argmin(np.abs(np.array(levels) - level))) for level in (tail, 1 - tail))
    return low, high


def _even(target: Target, values: np.ndarray) -> np.ndarray:
    """Numbers on a scale where errors are about as large everywhere: roots of counts, logarithms where these are learned."""
    if isinstance(target, Counts):
        return np.sqrt(np.maximum(values, 0))
    if isinstance(target, Numbers) and target.log:
        return np.log1p(np.maximum(values, -1 + 1e-12))
    return values


def _uneven(target: Target, values: np.ndarray) -> np.ndarray:
    """Back from `_even`."""
    if isinstance(target, Counts):
        return np.maximum(values, 0) ** 2
    return np.expm1(values) if isinstance(target, Numbers) and target.log else values
