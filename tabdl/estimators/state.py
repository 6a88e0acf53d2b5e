"""A fitted estimator <-> plain JSON and arrays: what an artifact holds. No code, no pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.errors import ParameterError
from tabdl.estimators.calibration import COLDEST, HOTTEST, STEPS
from tabdl.targets import Quantiles, Target, tag_labels, untag_labels

NOT_SAVED = ("callbacks", "checkpoint", "device")  # belong to one fit or one machine


def pack(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(JSON, arrays) of a fitted estimator."""
    estimator._check_fitted()
    own, arrays = estimator._own_state()
    params = {k: _plain(v) for k, v in estimator.get_params(deep=False).items() if k not in NOT_SAVED}
    return {"params": params, "contains_rows": estimator.contains_rows, **own}, arrays


def unpack(
    cls: type,
    state: dict[str, Any],
    arrays: dict[str, np.ndarray],
    functions: Mapping[str, Callable] = MappingProxyType({}),
) -> Any:
    """A fitted estimator of `cls` from `pack`'s result; raises on anything that does not fit together.

    A parameter that was a function is looked up by its name, in `functions` and among the defaults of `cls`.
    """
    made: Any = cls
    own = {f.default.__name__: f.default for f in made.fields.values() if callable(f.default)}
    params = {k: _revive(v, {**own, **functions}) for k, v in state["params"].items() if k in made.fields}
    estimator = made(**params)
    estimator.check_params()
    estimator._restore_own(state, arrays)
    return estimator


def table_state(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an estimator of tables has learned; arrays are named "weights/...", "encoder/..." or "radii"."""
    encoder, arrays = estimator.encoder_.state()
    fitted, weights = estimator._fitted_state()
    folds = estimator.encoders_ if len(estimator.encoders_) > 1 else []
    state = {
        "encoder": encoder,
        "target": {"kind": type(estimator.target_).__name__, **estimator.target_.state()},
        "fitted": fitted,
        "folds": len(folds),
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": getattr(estimator, "feature_names_in_", np.array([])).tolist(),
        "classes": tag_labels(estimator.classes_) if hasattr(estimator, "classes_") else None,
        "temperature": getattr(estimator, "temperature_", None),
    }
    named = {f"encoder/{k}": v for k, v in arrays.items()} | {f"weights/{k}": v for k, v in weights.items()}
    for i, fold in enumerate(folds):
        named |= {f"fold{i}/{k}": v for k, v in fold.state(estimator.encoder_)[1].items()}
    if hasattr(estimator, "radii_"):
        named["radii"] = estimator.radii_
    return state, named


def restore_table(estimator: Any, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """The opposite of `table_state`."""
    estimator.encoder_ = TableEncoder.from_state(state["encoder"], _under("encoder/", arrays))
    estimator.schema_ = estimator.encoder_.schema
    count, first = int(state["folds"]), estimator.encoder_
    folds = [TableEncoder.from_state(state["encoder"], _under(f"fold{i}/", arrays), first) for i in range(count)]
    estimator.encoders_ = folds or [estimator.encoder_]
    kind = dict(state["target"])
    estimator.target_ = Target.kinds[kind.pop("kind")].from_state(kind)
    estimator.n_features_in_ = int(state["n_features_in"])
    if state["feature_names_in"]:
        estimator.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
    if state["classes"] is not None:
        estimator.classes_ = untag_labels(state["classes"])
    _unpack_held_out(estimator, state, arrays)
    estimator._restore_fitted(state["fitted"], _under("weights/", arrays))
    estimator._warm_up()


def _unpack_held_out(estimator: Any, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """What was learned from rows that the model had not seen; files older than that have none."""
    estimator._forget_held_out()
    temperature, radii = state.get("temperature"), arrays.get("radii")
    if temperature is not None:
        if not COLDEST * 0.999 <= temperature <= HOTTEST * 1.001:
            raise ValueError(f"expected a temperature from {COLDEST} to {HOTTEST}, received {temperature!r}")
        estimator.temperature_ = float(temperature)
    if radii is not None:
        outputs = 1 if isinstance(estimator.target_, Quantiles) else estimator.target_.head.outputs
        if radii.shape != (outputs, STEPS + 1) or np.isnan(radii).any():
            raise ValueError(f"expected radii of shape {(outputs, STEPS + 1)} without NaN, received shape {radii.shape}")
        estimator.radii_ = radii


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _plain(value: Any) -> Any:
    """A parameter as JSON: a function becomes its name, a generator of random numbers None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {"items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if callable(value):
        return {"function": value.__name__}
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        return None  # a generator has moved on: a refit of the loaded model draws a new seed
    raise ParameterError(
        f"expected parameters of plain types (numbers, text, tuples, dicts, functions), received {value!r}; "
        "change the parameter's type to save the model"
    )


def _revive(value: Any, functions: Mapping[str, Callable]) -> Any:
    if isinstance(value, list):
        return tuple(_revive(v, functions) for v in value)
    if isinstance(value, dict) and "items" in value:
        return {_revive(k, functions): _revive(v, functions) for k, v in value["items"]}
    if isinstance(value, dict):
        if value["function"] not in functions:
            name = value["function"]
            raise ValueError(f"the model uses a function {name!r} of yours; give it as tabdl.load(path, classes=[{name}])")
        return functions[value["function"]]
    return value
