"""The learning curve as a small drawing for notebooks."""

from __future__ import annotations

import numpy as np


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
