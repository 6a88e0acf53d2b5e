"""One picture of all: how good against how slow, a small panel a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import reports
import splits

COLORS = {"tabdl": "#c8102e", "boosting": "#1f6f8b", "other": "#7a7a7a"}
LABELS = {"tabdl": "tabdl", "boosting": "gradient boosting", "other": "other networks, scikit-learn"}
COLUMNS, LINE = 4, 0.038  # panels a row; height of a label, of a panel
LEADER = {"arrowstyle": "-", "lw": 0.35, "alpha": 0.5, "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)}
NAMES_FROM = 0.64  # where the names begin, of the width


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Percent of error less than the best booster, against fit seconds; points far below the rest stand on the lower edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    gains, seconds = reports.gain(frame), reports.over_seeds(frame, "fit_seconds")
    families = frame.groupby("model", sort=False)["family"].first()
    rows = -(-len(gains.columns) // COLUMNS)
    columns = min(COLUMNS, len(gains.columns))
    figure = Figure(figsize=(max(4.6 * columns, 7), 4.2 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, table in enumerate(gains, 1):
        axes = figure.add_subplot(rows, columns, panel)
        points = pd.DataFrame({"gain": gains[table], "seconds": seconds[table], "family": families}).dropna()
        if len(points):
            _panel(axes, points)
        axes.set_title(f"{table}, {reports.NAMES[splits.METRICS[table]]}", fontsize=11)
    figure.supxlabel("fit seconds    (error: RMSE, 1 - AUC, 1 - average precision)", fontsize=10)
    figure.supylabel("% less error than the best booster", fontsize=10)
    handles = [Line2D([], [], marker="o", ls="", color=COLORS[family], label=label) for family, label in LABELS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=130)


def _panel(axes, points: pd.DataFrame) -> None:
    """Points of one table, each with its name beside it."""
    low, high = max(points["gain"].min(), points["gain"].quantile(0.15) - 3), points["gain"].max()
    margin = 0.06 * max(high - low, 1.0)
    bottom, top = low - margin, high + margin
    left, right = points["seconds"].min() / 1.6, points["seconds"].max() * 1.6
    axes.set(xscale="log", xlim=(left, right * (right / left) ** (1 / (NAMES_FROM - 0.04) - 1)), ylim=(bottom, top))
    axes.axhline(0, xmax=NAMES_FROM - 0.02, color="#bbbbbb", lw=0.8, zorder=0)
    points = points.assign(shown=points["gain"].clip(lower=low)).sort_values("shown", ascending=False)
    at = spread((points["shown"].to_numpy() - bottom) / (top - bottom), min(LINE, 1 / len(points)))
    for (name, point), height in zip(points.iterrows(), at, strict=True):
        color, below = COLORS[point["family"]], point["gain"] < low
        axes.plot(point["seconds"], point["shown"], marker="v" if below else "o", color=color, ms=5, zorder=3)
        axes.annotate(
            f"{name.removeprefix('tabdl ')} ({point['gain']:.0f} %)" if below else name.removeprefix("tabdl "),
            (point["seconds"], point["shown"]),
            xytext=(NAMES_FROM, height),
            textcoords="axes fraction",
            ha="left",
            va="center",
            color=color,
            fontsize=7.5,
            arrowprops=LEADER | {"color": color},
        )
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def spread(heights: np.ndarray, least: float) -> np.ndarray:
    """Descending heights in 0..1, moved apart until neighbours keep the least distance, as little as that needs."""
    heights = np.asarray(heights, float)
    steps = least * np.arange(len(heights))
    blocks: list[list[float]] = []  # of heights + steps, which must not rise: pool those that do
    for value in heights + steps:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    free = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) if blocks else heights
    moved = free - steps
    low, high = least / 2, 1 - least / 2
    moved = np.minimum(moved, high - steps)
    return np.maximum(moved, (low + steps)[::-1])
