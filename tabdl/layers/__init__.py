"""Building blocks of networks, in `keras.ops` only. Modules load on first use, so that importing a model costs nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabdl.layers import blocks, categories, horizon, links, members, neighbors, numbers, scaled, temporal, tokens

__all__ = ["blocks", "categories", "horizon", "links", "members", "neighbors", "numbers", "scaled", "temporal", "tokens"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"tabdl.layers.{name}")
    raise AttributeError(f"module 'tabdl.layers' has no attribute {name!r}; it has {', '.join(__all__)}")
