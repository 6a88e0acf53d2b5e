"""tabdl: deep learning on tables, the scikit-learn way. Names load on first use; importing costs nothing."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "Schema": "tabdl.schema",
    "Parquet": "tabdl.parquet",
    "TableNetwork": "tabdl.network",
    "SequenceNetwork": "tabdl.network",
    "Classifier": "tabdl.estimators.supervised",
    "Regressor": "tabdl.estimators.supervised",
    "RollingOrigin": "tabdl.splitting",
    "Backtest": "tabdl.backtesting",
    "backtest": "tabdl.backtesting",
    "event_windows": "tabdl.events",
    "Stream": "tabdl.stream",
    "param": "tabdl.params",
    "save": "tabdl.artifact",
    "load": "tabdl.artifact",
}
_MODULES = ("datasets", "errors", "layers", "models", "testing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"tabdl.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if not name.startswith("_"):
        models = importlib.import_module("tabdl.models")
        if name in models.catalogue():
            return models.load_class(name)
    raise AttributeError(f"module 'tabdl' has no attribute {name!r}")


def __dir__() -> list[str]:
    models = importlib.import_module("tabdl.models")
    return sorted([*_NAMES, *_MODULES, *models.catalogue(), "__version__"])
