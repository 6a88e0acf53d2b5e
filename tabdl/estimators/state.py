"""A fitted estimator <-> plain JSON and arrays: what an artifact holds. No code, no pickle."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.estimators.base import Estimator, Live
from tabdl.targets import Target, tag_labels, untag_labels



def pack(estimator: Estimator) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(JSON, arrays) of a fitted estimator; arrays are named "weights/..." or "encoder/..."."""
    estimator._check_fitted()
    encoder, arrays = estimator.encoder_.state()
    state = {
        "params": {k: _plain(type(estimator).__name__, k, v) for k, v in estimator.get_params(deep=False).items()},
        "encoder": encoder,
        "target": {"kind": type(estimator.target_).__name__, **estimator.target_.state()},
        "history": estimator.history_,
        "best_epoch": estimator.best_epoch_,
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": getattr(estimator, "feature_names_in_", np.array([])).tolist(),
        "classes": tag_labels(estimator.classes_) if hasattr(estimator, "classes_") else None,
        "contains_rows": False,
    }
    named = {f"encoder/{k}": v for k, v in arrays.items()} | {f"weights/{k}": v for k, v in estimator.weights_.items()}
    return state, named


def unpack(cls: type[Estimator], state: dict[str, Any], arrays: dict[str, np.ndarray]) -> Estimator:
    """A fitted estimator of `cls` from `pack`'s result; raises on anything that does not fit together."""
    params = {k: _revive(v) for k, v in state["params"].items()}
    known = {k: v for k, v in params.items() if k in cls.fields and not _is_stub(v)}
    estimator = cls(**known)
    estimator.check_params()
    estimator.encoder_ = TableEncoder.from_state(state["encoder"], _under("encoder/", arrays))
    estimator.schema_ = estimator.encoder_.schema
    kind = dict(state["target"])
    estimator.target_ = Target.kinds[kind.pop("kind")].from_state(kind)
    estimator.weights_ = _under("weights/", arrays)
    estimator.history_ = {str(k): [float(x) for x in v] for k, v in state["history"].items()}
    estimator.best_epoch_, estimator.n_features_in_ = int(state["best_epoch"]), int(state["n_features_in"])
    if state["feature_names_in"]:
        estimator.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
    if state["classes"] is not None:
        estimator.classes_ = untag_labels(state["classes"])
    estimator._live = Live()
    estimator._warm_up()
    return estimator


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _plain(owner: str, name: str, value: Any) -> Any:
    """A parameter as JSON; what only lives in memory (callbacks, generators, functions) leaves a stub with its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)) and name != "callbacks":
        return [_plain(owner, name, v) for v in value]
    if isinstance(value, dict):
        return {"items": [[_plain(owner, name, k), _plain(owner, name, v)] for k, v in value.items()]}
    return {"stub": type(value).__name__}


def _revive(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_revive(v) for v in value)
    if isinstance(value, dict) and "items" in value:
        return {_revive(k): _revive(v) for k, v in value["items"]}
    return value


def _is_stub(value: Any) -> bool:
    return isinstance(value, dict) and "stub" in value


