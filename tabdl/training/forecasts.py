"""Forecasts of many series from their own past: one linear kernel for all, and in each series its own share of seasonal naives.

Everything is learned twice: from the steps before the last ones, which then judge what fits best, and from all.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from tabdl.encoding.windows import Series, window_blocks
from tabdl.training.linear import PENALTIES, STRONG, Choice, Sums, change, least_known, repeat_seasons, search, solve, sum_windows

MOST_LOOKBACK = 720
LEAST = 0.4  # of the linear forecast of a positive series, or of the naive ones, which shares below 0 may leave
SHARE = 0.75  # of the steps of a series that are seen at once
SHORTER = (1.0, 0.7, 0.45, 0.25)  # parts of the longest lookback that are tried
EFFORT = 2e10  # products that summing the windows may cost; windows are left out beyond
HELD_OUT = 0.25  # share of the steps held out of a single series
ENOUGH_HELD_OUT = 300  # horizons held out over all series, where that is fewer steps
BLOCKS = 4  # of the steps, each forecast by a model that has not learned from it, where that is how much is held out
MIXED = 7  # seasons whose mean is mixed in
MIXED_WINDOWS = 70  # of each series, from which its shares are learned
MIXTURES = (1e9, 3.0, 1.0, 0.3, 0.1, 0.03)  # penalties on these shares; the first leaves none
JUDGED_WINDOWS = 4000
SERIES_AT_ONCE = 64


@dataclass(frozen=True)
class Forecasts:
    """What is needed to forecast.

    kernel: (lookback or fewer, horizon). seasons: the first is the main one. lookback: steps to be seen.
    mixture: (series, naives), the share of each seasonal naive. log: whether the kernel acts on logarithms. floor: of positive
    series, the least value, else 0. score: of the steps held out, errors divided by those of the seasonal naive.
    """

    kernel: np.ndarray
    seasons: tuple[int, ...]
    lookback: int
    mixture: np.ndarray
    log: bool
    floor: float
    score: float = math.nan

    @property
    def horizon(self) -> int:
        return self.kernel.shape[1]

    @property
    def naives(self) -> list[tuple[int, int]]:
        """(season, seasons averaged) of the seasonal naives: the last season of each length, and the mean of a few."""
        return [(season, 1) for season in self.seasons if season <= self.lookback] + [(self.seasons[0], MIXED)]

    def apply_kernel(self, seen: np.ndarray) -> np.ndarray:
        """(windows, lookback) -> (windows, horizon)."""
        values = read_values(self, seen)
        level = values[:, -1:]
        forecast = (values[:, -len(self.kernel) :] - level) @ self.kernel + level
        if not self.log:
            return forecast
        low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
        return np.exp(np.clip(forecast, 2 * low - high - 1, 2 * high - low + 1))

    def __call__(self, seen: np.ndarray, series: np.ndarray) -> np.ndarray:
        """(windows, lookback) and the number of the series of each, -1 for one that is not known -> (windows, horizon)."""
        linear = self.apply_kernel(seen)
        if not self.mixture.any():
            return linear
        shares = np.vstack([self.mixture, self.mixture.mean(axis=0)])[series]  # (windows, naives)
        forecast, least = linear.copy(), linear * LEAST
        for k, naive in enumerate(self.naives):
            repeated = repeat_seasons(seen, self.horizon, *naive)
            forecast += shares[:, k : k + 1] * (repeated - linear)
            least = np.minimum(least, repeated)
        return np.maximum(forecast, least) if self.log else forecast


@dataclass(frozen=True)
class Fitted:
    """final: learned from all steps. trial: learned from those before the last `held` steps; equal to `final` where that is 0.

    blocks: for intervals, models and the steps that each has not learned from, as how many there are and how many follow.
    series: as they were learned from, with gaps filled.
    """

    final: Forecasts
    trial: Forecasts
    held: int
    series: list[Series]
    blocks: list[tuple[Forecasts, int, int]]


def fit_forecasts(
    values: Sequence[np.ndarray], horizon: int, seasons: tuple[int, ...], lookback: int | None = None, held: int | None = None
) -> Fitted:
    """Learn from series (steps,) with NaN for gaps; `lookback` and `held` None: chosen from the lengths of the series."""
    steps = np.array([len(part) for part in values])
    held = held_steps(steps, horizon) if held is None else held
    lookbacks = [lookback] if lookback else lookbacks_of(int(np.median(steps)) - held, seasons)
    seasons = usable_seasons(seasons, max(lookbacks), int(np.median(steps)) - held)
    longest = max(*lookbacks, *seasons)
    season = next((season for season in seasons if season <= max(lookbacks)), 1)
    series = [Series.of(part, longest, seasons[0]) for part in values]
    positive = all(np.nanmin(part, initial=np.inf) > 0 for part in values)
    floor = min(float(np.nanmin(part, initial=np.inf)) for part in values) if positive else 0.0
    found = []
    for log in (False, True) if positive else (False,):
        start = Forecasts(np.zeros((1, horizon)), seasons, longest, np.zeros((len(series), 0)), log, floor)
        found.append(_fit_scale(start, series, lookbacks, season, held))
    return min(found, key=lambda fitted: fitted.final.score)


def _fit_scale(start: Forecasts, series: list[Series], lookbacks: list[int], season: int, held: int) -> Fitted:
    """On the values, or on their logarithms."""
    horizon, longest = start.horizon, max(part.steps for part in series)
    count = BLOCKS if held and held * (BLOCKS + 1) > np.median([part.steps for part in series]) else 1
    scaled = [part.map(np.log) for part in series] if start.log else series
    blocks, between = _sum_blocks(scaled, max(lookbacks), horizon, season, held, count)
    total = add([*blocks, *between])
    judged = cut_judged(start, series, held, JUDGED_WINDOWS)
    if not held or not blocks[0].windows or np.isnan(judged.after).all():
        only = Choice(min(lookbacks), 1, STRONG if total.windows >= season else PENALTIES[-1])
        final = replace(start, kernel=solve(total, [only], season))
        final = replace(final, mixture=np.zeros((len(series), len(start.naives))))
        return Fitted(final, final, 0, series, [(final, longest, 0)])
    before = add([*blocks[1:], *between[1:]])
    chosen = search(before, blocks[0], lookbacks, season, held * len(series) / max(season, 2))
    trial, final = (replace(start, kernel=solve(sums, chosen, season)) for sums in (before, total))
    lowest = min(part.values[part.lookback : part.values.size - held].min(initial=np.inf) for part in series)
    trial = replace(trial, floor=lowest if start.floor > 0 else 0.0)
    tried = [replace(trial, mixture=shares) for shares in mix(trial, series, held, MIXTURES)]
    scale = scales(trial, series, held)
    scores = [relative_error(one, judged, one(judged.seen, judged.series), scale) for one in tried]
    best = int(np.argmin(scores))
    trial = replace(tried[best], score=scores[best])
    final = replace(final, mixture=mix(final, series, 0, MIXTURES[best : best + 1])[0], score=scores[best])
    apart = [(trial, held, 0)]
    for k in range(1, count):
        rest = add([*blocks[:k], *blocks[k + 1 :], *between[: k - 1], *between[k + 1 :]])
        apart.append((replace(trial, kernel=solve(rest, chosen, season)), held if k < count - 1 else longest, k * held))
    return Fitted(final, trial, held, series, apart)


def held_steps(steps: np.ndarray, horizon: int) -> int:
    """How many of the last steps are held out; 0 where the series are too short for it."""
    middle = int(np.median(steps))
    held = min(int(HELD_OUT * middle), -(-ENOUGH_HELD_OUT * horizon // len(steps)))
    return max(held, horizon) if middle >= 3 * horizon else 0


def usable_seasons(seasons: tuple[int, ...], lookback: int, steps: int) -> tuple[int, ...]:
    """Those that the kernel sees, and those that repeat in the steps of a series: the seasonal naives know these."""
    return tuple(season for season in seasons if season <= lookback or 2 * season <= steps) or (1,)


def lookbacks_of(steps: int, seasons: tuple[int, ...]) -> list[int]:
    """Lookbacks to try for series of so many steps: whole seasons, of the longest that fits in twice."""
    longest = max(1, min(int(SHARE * steps), MOST_LOOKBACK))
    one = 1 if seasons[0] > longest == MOST_LOOKBACK else min(seasons[0], longest)
    season = max([s for s in seasons if 2 * s <= longest], default=one)
    return sorted({max(round(part * longest / season - 0.2), 1) * season for part in SHORTER})


def _sum_blocks(
    series: list[Series], lookback: int, horizon: int, season: int, held: int, count: int
) -> tuple[list[Sums], list[Sums]]:
    """Sums over the windows of blocks of `held` steps from the last one back, and over those that reach from one to the next.

    The last of the blocks, behind `count` of them or the only one without `held`, has all that is left.
    """
    windows = sum(part.steps for part in series)
    stride = coprime(1 + int(2 * windows * lookback * (lookback + 2 * horizon) / EFFORT), season)
    ends = [part.steps for part in series]
    cuts = [k * held for k in range(max(count, 2))] if held else [0]
    blocks, between = [], []
    for cut, after in zip(cuts, [*cuts[1:], max(ends)], strict=True):
        spans = [(max(1, end - after), end - cut) for end in ends]
        blocks.append(sum_windows(series, spans, lookback, horizon, season, stride))
        if cut:
            spans = [(max(1, end - cut - horizon + 1), min(end, end - cut + horizon - 1)) for end in ends]
            between.append(sum_windows(series, spans, lookback, horizon, season, stride))
    return blocks, between


def add(parts: Sequence[Sums]) -> Sums:
    return functools.reduce(operator.add, parts)


def coprime(stride: int, season: int) -> int:
    """The next stride that meets every position in a season."""
    while math.gcd(stride, season) > 1:
        stride += 1
    return stride


def mix(model: Forecasts, series: list[Series], held: int, penalties: Sequence[float]) -> np.ndarray:
    """Shares (penalties, series, naives) that a series takes of the seasonal naives: a ridge regression on its last windows."""
    shares = np.zeros((len(penalties), len(series), len(model.naives)))
    back = max(10 * model.horizon, 3 * max(model.seasons))
    for first in range(0, len(series), SERIES_AT_ONCE):
        part = series[first : first + SERIES_AT_ONCE]
        cut = cut_windows(model, part, back + model.horizon, held, MIXED_WINDOWS * len(part))
        linear, gap = model.apply_kernel(cut.seen), np.isnan(cut.after)
        naives = [repeat_seasons(cut.seen, model.horizon, *naive) - linear for naive in model.naives]
        moves, goal = np.where(gap, 0.0, np.stack(naives)), np.where(gap, 0.0, cut.after - linear)
        for i, one in enumerate(part):
            own, scale = cut.series == i, _usual_change(model, one, held)
            if not own.any() or not scale > 0:
                continue
            x, y = moves[:, own].reshape(len(naives), -1) / scale, goal[own].ravel() / scale  # (naives, windows x horizon)
            for k, penalty in enumerate(penalties):
                shares[k, first + i] = np.linalg.solve(x @ x.T / len(y) + penalty * np.eye(len(naives)), x @ y / len(y))
    return shares


@dataclass(frozen=True)
class Windows:
    """seen, known: (windows, lookback), values and where they were observed. after: (windows, horizon), NaN in gaps.

    series: number of each. begin: first step after.
    """

    seen: np.ndarray
    known: np.ndarray
    after: np.ndarray
    series: np.ndarray
    begin: np.ndarray

    def take(self, index: np.ndarray | slice) -> Windows:
        return Windows(*(getattr(self, field.name)[index] for field in fields(self)))


def cut_windows(model: Forecasts, series: list[Series], back: int, held: int, most: int) -> Windows:
    """Windows whose horizon lies in the last `back` steps before the held-out ones, about as many as `most`."""
    stride, least = coprime(1 + len(series) * back // most, model.seasons[0]), least_known(series)
    empty = np.zeros((0, model.lookback))
    parts = [(empty, empty.astype(bool), np.zeros((0, model.horizon)), np.zeros(0, int), np.zeros(0, int))]
    for i, part in enumerate(series):
        stop = part.steps - held
        begin = stop - model.horizon
        for values, known in window_blocks(part, model.lookback, model.horizon, max(1, stop - back), stop, stride):
            at = begin - stride * np.arange(len(values))
            begin -= stride * len(values)
            kept = known[:, : model.lookback].mean(axis=1) >= least
            after = np.where(known[:, model.lookback :], values[:, model.lookback :], np.nan)
            seen, there = values[kept, : model.lookback], known[kept, : model.lookback]
            parts.append((seen, there, after[kept], np.full(kept.sum(), i), at[kept]))
    return Windows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def cut_judged(model: Forecasts, series: list[Series], held: int, most: int) -> Windows:
    """Windows of the held-out steps, of the series that changed before: of others nobody knows what a large error is."""
    windows = cut_windows(model, series, held, 0, most)
    return windows.take(np.array([_usual_change(model, part, held) > 0 for part in series])[windows.series])


def _usual_change(model: Forecasts, series: Series, held: int) -> float:
    """Over a season before the held-out steps; over a step where each season is the same. Zero: it does not change."""
    values = series.values[series.lookback : series.values.size - held]
    return change(values, model.seasons[0]) or change(values, 1)


def scales(model: Forecasts, series: list[Series], held: int) -> np.ndarray:
    """How much each series changes over a season before the held-out steps, (series,); never zero."""
    found = np.array([_usual_change(model, part, held) for part in series])
    usual = float(np.median(found[found > 0])) if (found > 0).any() else 1.0
    return np.maximum(found, 1e-6 * usual)


def read_values(model: Forecasts, values: np.ndarray) -> np.ndarray:
    """(windows, steps) as the kernel sees them: logarithms, where it acts on these.

    There a value that has none, such as a day out of stock, is a gap: it takes the value of a season before, else the least.
    """
    if not model.log:
        return values
    if (values > 0).all():
        return np.log(values)
    season, filled = model.seasons[0], np.where(values > 0, values, np.inf)
    for step in range(season, values.shape[1]):
        filled[:, step] = np.where(values[:, step] > 0, values[:, step], filled[:, step - season])
    least = filled.min(axis=1, keepdims=True, initial=np.inf)
    return np.log(np.where(np.isfinite(filled), filled, np.where(np.isfinite(least), least, model.floor)))


def volatility(model: Forecasts, values: np.ndarray) -> np.ndarray:
    """How much rows (windows, steps) change over a season, as the kernel sees them."""
    return np.array([change(row, model.seasons[0]) for row in read_values(model, values)])


def deviation(model: Forecasts, values: np.ndarray) -> np.ndarray:
    """How far rows (windows, steps) are from their means, as the kernel sees them."""
    return read_values(model, values).std(axis=1)


def usual_deviation(model: Forecasts, values: np.ndarray) -> float:
    """Of a series (steps,), window by window."""
    starts = range(0, max(len(values) - model.lookback, 0) + 1, model.lookback)
    parts = [deviation(model, values[None, start : start + model.lookback])[0] for start in starts]
    return float(np.sqrt(np.mean(np.square(parts))))


def relative_error(model: Forecasts, windows: Windows, forecast: np.ndarray, scale: np.ndarray) -> float:
    """Over that of the seasonal naive: scaled errors, and of positive series also percentage errors; scale: (series,)."""
    naive = repeat_seasons(windows.seen, model.horizon, min(model.seasons[0], model.lookback), 1)
    found = []
    for values in (forecast, naive):
        distance = np.abs(values - windows.after)
        scaled = distance / scale[windows.series, None]
        percent = distance / (np.abs(values) + np.abs(windows.after) + 1e-300) if model.floor > 0 else scaled
        found.append((np.nanmean(scaled), np.nanmean(percent)))
    ours, other = found
    return float(np.mean([a / max(b, 1e-300) for a, b in zip(ours, other, strict=True)]))
