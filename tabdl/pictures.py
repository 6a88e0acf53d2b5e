"""Pictures: matplotlib figures, drawn without pyplot, so that nothing global changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MOST_DRAWN = 4
BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#718096"


def plot_backtest(
    forecasts: pd.DataFrame,
    by_origin: pd.DataFrame,
    keys: list[str],
    time: str,
    *,
    most: int = 3,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Forecast fans of the first method over the truth for the first series, and MASE by origin of every method.

    `forecasts` and `by_origin` are those of a `Backtest`, `keys` the columns that tell series apart, `most` how many are drawn.
    Returns a matplotlib Figure; saved when `path` is given.
    """
    from matplotlib.figure import Figure

    methods = list(by_origin.index.get_level_values("method").unique())
    groups: list[tuple[Any, Any]] = list(forecasts.groupby(keys, sort=False)) if keys else [((), forecasts)]
    rows = min(len(groups), most)
    figure = Figure(figsize=(9, 2.2 * rows + 2.6), layout="constrained")
    panels = figure.subplots(rows + 1, 1)
    for panel in panels[1:rows]:
        panel.sharex(panels[0])
    for panel, (name, group) in zip(panels[:rows], groups, strict=False):
        _draw_fans(panel, group, methods, time)
        panel.set_title(", ".join(map(str, name)), loc="left", fontsize=10)
        panel.tick_params(labelbottom=panel is panels[rows - 1])
    panels[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    _draw_scores(panels[-1], by_origin["mase"].unstack("origin").loc[methods])
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _draw_fans(panel: Any, group: Any, methods: list[str], time: str) -> None:
    quantiles = [name for name in group.columns if str(name).startswith("q0.")]
    pairs = list(zip(quantiles, reversed(quantiles), strict=True))[: len(quantiles) // 2]
    first, rival = methods[0], "seasonal naive" if "seasonal naive" in methods else methods[-1]
    for method, part in group[group["method"].isin([first, rival])].groupby("method", sort=False):
        for number, (origin, fan) in enumerate(part.groupby("origin")):
            fan = fan.sort_values(time)
            label = None if number else str(method)
            if method != first:
                panel.plot(fan[time], fan["mean"], color=GREY, linewidth=1, linestyle="--", label=label)
                continue
            for low, high in pairs:
                share = None if number else f"{float(high[1:]) - float(low[1:]):.0%} interval"
                panel.fill_between(fan[time], fan[low], fan[high], color=BLUE, alpha=0.18, linewidth=0, label=share)
            panel.plot(fan[time], fan["mean"], color=BLUE, linewidth=1.5, label=label)
            panel.axvline(origin, color=GREY, linewidth=0.8, linestyle=":")
    truth = group[group["method"] == first].drop_duplicates(time).sort_values(time)
    panel.plot(truth[time], truth["truth"], color="black", linewidth=1, marker=".", markersize=3, label="truth")


def _draw_scores(panel: Any, mase: pd.DataFrame) -> None:
    """mase: one row a method, one column an origin."""
    width = 0.8 / len(mase)
    colors = dict(zip(mase.index, [BLUE, GREY, "#a0aec0", ORANGE], strict=False))
    for number, (method, values) in enumerate(mase.iterrows()):
        x = np.arange(mase.shape[1]) + (number - (len(mase) - 1) / 2) * width
        panel.bar(x, values.to_numpy(), width * 0.9, color=colors.get(method), label=str(method))
    panel.axhline(1, color="black", linewidth=0.8, linestyle=":")
    panel.set_xticks(range(mase.shape[1]), [str(origin).removesuffix(" 00:00:00") for origin in mase.columns])
    panel.set_ylabel("MASE")
    panel.set_xlabel("origin: the first step that is forecast")
    panel.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)


def plot_forecast(series: list[tuple[str, Any, np.ndarray, Any, Any]], path: str | os.PathLike[str] | None = None) -> Any:
    """What is known of a few series, and fans of what follows.

    series: (name, times, values, times ahead, their rows of a forecast). Returns a matplotlib Figure; saved when `path` is given.
    """
    from matplotlib.figure import Figure

    shown = series[:MOST_DRAWN]
    figure = Figure(figsize=(9, 2.4 * len(shown)), layout="constrained")
    for panel, (name, times, values, ahead, rows) in zip(np.atleast_1d(figure.subplots(len(shown), 1)), shown, strict=True):
        known, steps = (_drawable(part) for part in (times, ahead))
        last = slice(-4 * len(steps), None)
        panel.plot(known[last], values[last], color=GREY, linewidth=1)
        bounds = [column for column in rows.columns if str(column).startswith("q0.")]
        for low, high in zip(bounds[: len(bounds) // 2], reversed(bounds), strict=False):
            panel.fill_between(steps, rows[low], rows[high], color=BLUE, alpha=0.18, linewidth=0)
        panel.plot(steps, rows["mean"], color=BLUE, linewidth=1.4)
        panel.set_title(name, loc="left", fontsize=10)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _drawable(times: Any) -> np.ndarray:
    """Times as matplotlib draws them; texts of dates are dates."""
    import pandas as pd

    series = pd.Series(times)
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.to_timestamp().to_numpy()
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy()
    return pd.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy()
