"""How an estimator shows itself in a notebook: parameters, schema, learning curve."""

from __future__ import annotations

from typing import Any


def estimator_html(estimator: Any, parameters: str) -> str:
    """scikit-learn's own diagram, and below it what was learned."""
    if not hasattr(estimator, "weights_"):
        return parameters
    from tabdl.training.history import curve_svg

    curve = curve_svg(estimator.history_, estimator.best_epoch_) if estimator.history_ else ""
    count = sum(w.size for w in estimator.weights_.values())
    return (
        f"{parameters}<div style='font-family:sans-serif;font-size:13px;margin-top:8px'>"
        f"<p style='margin:4px 0'>{count:,} weights, {len(estimator.schema_.columns)} columns</p>{curve}"
        f"<details><summary>Schema</summary>{estimator.schema_._repr_html_()}</details></div>"
    )
