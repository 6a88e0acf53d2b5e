"""The learning curve: as a picture, and as a small drawing for notebooks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def plot_history(history: dict[str, list[float]], best_epoch: int, title: str, path: str | os.PathLike[str] | None = None) -> Any:
    """Training loss and validation score by epoch, as a matplotlib Figure; saved when `path` is given."""
    from matplotlib.figure import Figure

    scores = [key for key in history if key.startswith("val_")]
    figure = Figure(figsize=(7, 2.4 + 2.2 * len(scores)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1 + len(scores), 1, sharex=True))
    for panel, key in zip(panels, ["loss", *scores], strict=True):
        panel.plot(history["epoch"], history[key], color="#2b6cb0", marker=".", markersize=4)
        panel.axvline(best_epoch, color="#dd6b20", linewidth=1, linestyle="--")
        panel.set_ylabel("training loss" if key == "loss" else "validation " + key.removeprefix("val_").replace("_", " "))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(title, loc="left")
    panels[-1].set_xlabel(f"epoch (dashed: best, {best_epoch})")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def curve_svg(history: dict[str, list[float]], best_epoch: int, width: int = 360, height: int = 90) -> str:
    """The validation score (or the loss) by epoch as inline SVG, no script and no font needed."""
    key = next((k for k in history if k.startswith("val_")), "loss")
    values = np.array(history[key], float)
    x = np.linspace(6, width - 6, len(values)) if len(values) > 1 else np.array([width / 2])
    low, high = values.min(), values.max()
    y = height - 20 - (values - low) / (high - low or 1) * (height - 34)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    best = int(np.clip(history["epoch"].index(best_epoch) if best_epoch in history["epoch"] else len(x) - 1, 0, len(x) - 1))
    label = f"{key}: {values[best]:.4g} at epoch {best_epoch} of {int(history['epoch'][-1])}"
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<polyline points="{points}" fill="none" stroke="#2b6cb0" stroke-width="1.5"/>'
        f'<circle cx="{x[best]:.1f}" cy="{y[best]:.1f}" r="3.5" fill="#dd6b20"/>'
        f'<text x="6" y="{height - 4}" font-size="11" font-family="sans-serif" fill="currentColor">{label}</text></svg>'
    )
