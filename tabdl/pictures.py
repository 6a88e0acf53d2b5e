"""Pictures: learning curves, and forecasts with their intervals. The only file that knows matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tabdl.times import TimeType, read_times

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#4a5568"
MOST_COUNTED = 20  # classes whose counts are written into a picture of confusion
MOST_SERIES = 6  # panels of a picture of forecasts


def plot_history(history: dict[str, list[float]], best_epoch: int, title: str, path: str | os.PathLike[str] | None = None) -> Any:
    """Training loss and validation score by epoch, as a matplotlib Figure; saved when `path` is given."""
    from matplotlib.figure import Figure

    scores = [key for key in history if key.startswith("val_")]
    figure = Figure(figsize=(7, 2.4 + 2.2 * len(scores)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1 + len(scores), 1, sharex=True))
    for panel, key in zip(panels, ["loss", *scores], strict=True):
        panel.plot(history["epoch"], history[key], color=BLUE, marker=".", markersize=4)
        panel.axvline(best_epoch, color=ORANGE, linewidth=1, linestyle="--")
        panel.set_ylabel("training loss" if key == "loss" else "validation " + key.removeprefix("val_").replace("_", " "))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(title, loc="left")
    panels[-1].set_xlabel(f"epoch (dashed: best, {best_epoch})")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def plot_confusion(counts: np.ndarray, classes: Sequence[Any], title: str, path: str | os.PathLike[str] | None = None) -> Any:
    """counts (true class, predicted class) as a matplotlib Figure, coloured by their share of the true class; saved to `path`."""
    from matplotlib.figure import Figure

    few = len(classes) <= MOST_COUNTED
    side = 2.2 + (0.55 if few else 0.18) * len(classes)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    panel, shares = figure.subplots(), counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts if few else counts[:0]):
        panel.text(j, i, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if shares[i, j] > 0.6 else "black")
    names = [str(name) for name in classes]
    upright = max(map(len, names)) <= 3
    panel.set_xticks(range(len(names)), names, fontsize=8, rotation=0 if upright else 90)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set(xlabel="predicted class", ylabel="true class")
    panel.set_title(title, loc="left", fontsize=10)
    figure.colorbar(image, ax=panel, label="share of the true class", shrink=0.8)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def plot_forecast(
    past: list[tuple[str, Any, np.ndarray]], ahead: list[tuple[Any, Any]], time: str, path: str | os.PathLike[str] | None = None
) -> Any:
    """History, forecast and intervals of the first series as a matplotlib Figure, a panel each; saved when `path` is given.

    past: title, times and values of each series. ahead: times and the columns "mean", "q0.1" ... of each forecast.
    """
    from matplotlib.figure import Figure

    shown = min(len(past), MOST_SERIES)
    figure = Figure(figsize=(9, 0.8 + 2.4 * shown), layout="constrained")
    for panel, (title, times, values), (next_times, forecast) in zip(
        np.atleast_1d(figure.subplots(shown, 1)), past, ahead, strict=False
    ):
        panel.plot(times, values, color=GREY, linewidth=1, label="history")
        _draw_intervals(panel, next_times, forecast)
        panel.plot(next_times, forecast["mean"], color=BLUE, linewidth=1.5, label="forecast")
        panel.set_title(title, loc="left", fontsize=10)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(loc="upper left", fontsize=8, ncols=4, frameon=False)
    figure.axes[-1].set_xlabel(time)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _draw_intervals(panel: Any, times: Any, table: Any, *, named: bool = True) -> None:
    """The columns "q0.1" ... of a table of forecasts as bands, the widest first and lightest; each with its level if `named`."""
    bounds = [column for column in table if str(column).startswith("q0.")]
    for i in range(len(bounds) // 2):
        low, high = bounds[i], bounds[-1 - i]
        share = f"{float(high[1:]) - float(low[1:]):.0%} interval" if named else None
        shade = min(0.18 + 0.12 * i, 0.6)
        panel.fill_between(times, table[low], table[high], color=BLUE, alpha=shade, linewidth=0, label=share)


def plot_backtest(
    forecasts: Any,
    by_origin: Any,
    keys: list[str],
    time: str,
    *,
    most: int = 3,
    like: TimeType | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Forecast fans of the first method over the truth for the first series, and MASE by origin of every method.

    `forecasts` and `by_origin` are those of a `Backtest`, `keys` the columns that tell series apart, `most` how many are drawn,
    `like` how times are written. Returns a matplotlib Figure; saved when `path` is given.
    """
    from matplotlib.figure import Figure

    forecasts = _place_times(forecasts, [time, "origin"], like)
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
    _draw_scores(panels[-1], by_origin["mase"].unstack("origin").loc[methods, by_origin.index.unique("origin")])
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _place_times(frame: Any, columns: list[str], like: TimeType | None) -> Any:
    """The frame with columns of times as matplotlib can place them: texts would be categories, each with a tick."""
    import pandas as pd

    values, type = read_times(pd.DataFrame({"time": pd.concat([frame[column] for column in columns])}), "time", like)
    parts = np.split(type.place(type.to_clock(values)), len(columns))
    return frame.assign(**dict(zip(columns, parts, strict=True)))


def _draw_fans(panel: Any, group: Any, methods: list[str], time: str) -> None:
    first, rival = methods[0], "seasonal naive" if "seasonal naive" in methods else methods[-1]
    for method, part in group[group["method"].isin([first, rival])].groupby("method", sort=False):
        for number, (origin, fan) in enumerate(part.groupby("origin")):
            fan = fan.sort_values(time)
            label = None if number else str(method)
            if method != first:
                panel.plot(fan[time], fan["mean"], color=GREY, linewidth=1, linestyle="--", label=label)
                continue
            _draw_intervals(panel, fan[time], fan, named=not number)
            panel.plot(fan[time], fan["mean"], color=BLUE, linewidth=1.5, label=label)
            panel.axvline(origin, color=GREY, linewidth=0.8, linestyle=":")
    truth = group[group["method"] == first].drop_duplicates(time).sort_values(time)
    panel.plot(truth[time], truth["truth"], color="black", linewidth=1, marker=".", markersize=3, label="truth")


def _draw_scores(panel: Any, mase: Any) -> None:
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
