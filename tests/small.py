"""Sizes of networks that make tests fast; a network without an entry keeps its defaults."""

from __future__ import annotations

from typing import Any

from tabdl import models

SERIES = {
    "Inception": {"width": 4, "depth": 2, "kernel_size": 8},
    "LITE": {"width": 4, "kernel_size": 8},
    "TCN": {"width": 8, "blocks": 2, "kernel_size": 3},
    "SequenceTransformer": {"width": 8, "blocks": 1, "heads": 2},
    "": {"width": 8},
    "SegRNN": {"width": 8},
    "TSMixer": {"width": 8, "blocks": 1},
    "PatchTST": {"width": 8, "blocks": 1, "heads": 2},
    "Rocket": {"kernels": 84, "groups": 1},
}


def series_sizes(name: str) -> dict[str, Any]:
    """Parameters of a public estimator of series."""
    network = name.removesuffix("Classifier").removesuffix("Regressor").removesuffix("Forecaster")
    assert network in {
        n.removesuffix("Classifier").removesuffix("Regressor").removesuffix("Forecaster") for n in models.catalogue()
    }
    return SERIES.get(network, {})
