"""From an estimator's parameters to a training run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.errors import ParameterError
from tabdl.network import get_weights, set_weights, weight_paths
from tabdl.training.checkpoint import Checkpoint, fingerprint
from tabdl.training.initial import adapt
from tabdl.training.order import Plan, automatic_batch_size, automatic_epochs
from tabdl.training.program import Program, Updates, get_program
from tabdl.training.train import Settings, Validation, train

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """What a training run leaves behind."""

    weights: Arrays
    history: dict[str, list[float]]
    best_epoch: int
    program: Program
    values: list[Any]


def _check_start(model: Any, start: Arrays) -> None:
    shapes = {path: tuple(weight.shape) for path, weight in zip(weight_paths(model), model.weights, strict=True)}
    if shapes != {path: array.shape for path, array in start.items()}:
        raise ParameterError(
            "warm_start expects the network of the last fit, received parameters that give it other weights; "
            "set them back, or fit with warm_start=False"
        )


def _batch_size(asked: int | str, rows: int) -> int:
    if isinstance(asked, str):
        return rows if asked == "full" else automatic_batch_size(rows)
    return int(asked)


def make_settings(estimator: Any, rows: int, seed: int, partial: bool) -> Settings:
    """Parameters of the estimator with every 'auto' made a number."""
    plan = Plan.of(rows, _batch_size(estimator.batch_size, rows))
    epochs = automatic_epochs(plan.steps * plan.chunks) if estimator.epochs == "auto" else int(estimator.epochs)
    return Settings(
        plan=plan,
        epochs=1 if partial else epochs,
        learning_rate=float(estimator.learning_rate),
        schedule="constant" if partial else estimator.schedule,
        warmup=0.0 if partial else float(estimator.warmup),
        weight_decay=float(estimator.weight_decay),
        patience=int(estimator.patience),
        seed=seed,
        time_limit=estimator.time_limit,
        verbose=int(estimator.verbose),
        updates=Updates(estimator.optimizer, float(estimator.momentum), estimator.clip_norm),
        title=type(estimator).__name__,
    )


def _mark(
    network: Any,
    settings: Settings,
    arrays: Arrays,
    validation: Validation | None,
    start: Arrays | None,
) -> str:
    """Fingerprint of everything that decides a fit; how much it prints and how long it may take do not."""
    params = {k: v.__qualname__ if callable(v) else repr(v) for k, v in network.network_params().items()}
    fixed = replace(settings, verbose=0, time_limit=None, title="")
    judged = {} if validation is None else {f"val/{k}": v for k, v in validation.arrays.items()}
    begun = {} if start is None else {f"start/{k}": v for k, v in start.items()}
    scored = None if validation is None else validation.name
    return fingerprint(arrays | judged | begun, json.dumps([params, repr(fixed), backends.name(), scored], sort_keys=True))


def fit_network(
    estimator: Any,
    arrays: Arrays,
    validation: Validation | None,
    seed: int,
    *,
    start: Arrays | None,
    partial: bool,
) -> Fitted:
    """Build or find the network, train it from fresh weights or from `start`, and return the best weights."""
    program, network = get_program(estimator, estimator.encoder_.spec, estimator.target_.head)
    model = program.fresh_model(network, seed)
    if start is None:
        weight = arrays["weight"]  # float64: rounding must not move a quantile
        even = None if np.ptp(weight) == 0 else weight
        adapt(model, arrays, even, estimator.target_.head, estimator.encoder_.private_numbers)
    else:
        _check_start(model, start)
        set_weights(model, start)
    arrays = arrays | {"weight": arrays["weight"].astype(np.float32)}
    settings = make_settings(estimator, len(arrays["target"]), seed, partial)
    checkpoint = None
    if estimator.checkpoint is not None and not partial:
        checkpoint = Checkpoint(estimator.checkpoint, _mark(network, settings, arrays, validation, start))
    done = train(
        program, model, arrays, settings, validation=validation, callbacks=list(estimator.callbacks or []), checkpoint=checkpoint
    )
    return Fitted(get_weights(model), done.history, done.best_epoch, program, backends.forward_values(model))
