"""Architectures, one file each; a file is found because it is there."""

from __future__ import annotations

import importlib
import re
from functools import cache
from importlib import resources

_CLASS = re.compile(r"^class (\w*?)(Classifier|Regressor|Forecaster)\(", re.MULTILINE)


@cache
def catalogue(*kinds: str) -> dict[str, str]:
    """Public estimator name -> module, read from the files without importing them; `kinds`: "Classifier", "Regressor" ..."""
    found = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".py") and not file.name.startswith("_"):
            for network, kind in _CLASS.findall(file.read_text(encoding="utf-8")):
                if kinds and kind not in kinds:
                    continue
                found[network + kind] = f"{__name__}.{file.name.removesuffix('.py')}"
    return found


def load_class(name: str) -> type:
    """The estimator class of a public name."""
    return getattr(importlib.import_module(catalogue()[name]), name)


def names(*kinds: str) -> list[str]:
    """Architectures by their file names, e.g. "mlp"; `kinds` as in `catalogue`."""
    return sorted({module.rpartition(".")[2] for module in catalogue(*kinds).values()})


def find(name: str, kind: str) -> type:
    """Estimator of an architecture for a kind of task: find("tabm", "classifier")."""
    for public, module in catalogue().items():
        if module.rpartition(".")[2] == name.lower() and public.lower().endswith(kind):
            return load_class(public)
    raise ValueError(f"expected a model among {', '.join(names(kind))} that has a {kind}, received {name!r}")
