"""From an estimator's parameters to a training run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.errors import ParameterError
from tabdl.network import set_weights, weight_paths
from tabdl.training.blocks import Blocks, ahead
from tabdl.training.checkpoint import Checkpoint, fingerprint
from tabdl.training.clock import Clock
from tabdl.training.initial import adapt, give_up, supported_codes, widen
from tabdl.training.order import Plan, automatic_batch_size, automatic_epochs
from tabdl.training.program import Program, get_program
from tabdl.training.train import Copy, Settings, Validation, train

Arrays = dict[str, np.ndarray]
MEMORABLE = 50_000  # rows from which a network that compares rows picks what it keeps
LEAST_NORMALISED = 8  # rows in a step of a network with batch norm


@dataclass(frozen=True)
class Fitted:
    """What a training run leaves behind."""

    weights: Arrays
    history: dict[str, list[float]]
    best_epochs: list[int]
    program: Program
    values: list[list[Any]]


@dataclass(frozen=True)
class Source:
    """What some copies of the network learn from: a table of inputs, some of its rows, a validation, and rows that stream."""

    arrays: Arrays
    rows: np.ndarray | None
    validation: Validation | None
    blocks: Blocks | None = None  # all training rows, if those in `arrays` are a sample


@dataclass(frozen=True)
class Run:
    """Copies that learn side by side in one graph: those of the whole fit, or of one of the folds that are trained apart."""

    sources: list[Source]
    seeds: list[int]
    start: Arrays | None
    settings: Settings
    checkpoint: Checkpoint
    partial: bool  # whether more rows follow, nobody knows how many


def _continue(model: Any, start: Arrays, copy: int, copies: int) -> None:
    """Give a model the weights of a copy of the last fit."""
    stacked = () if copies == 1 else (copies,)
    shapes = {path: (*stacked, *weight.shape) for path, weight in zip(weight_paths(model), model.weights, strict=True)}
    if shapes != {path: array.shape for path, array in start.items()}:
        raise ParameterError(
            "warm_start expects the network of the last fit, received parameters that give it other weights; "
            "set them back, or fit with warm_start=False"
        )
    set_weights(model, start if copies == 1 else {k: v[copy] for k, v in start.items()})


def _batch_size(estimator: Any, rows: int) -> int:
    asked = estimator.batch_size
    if isinstance(asked, str):
        asked = rows if asked == "full" else automatic_batch_size(rows, estimator.batch_of_few)
    return int(asked)


def _epochs(estimator: Any, steps: int, blocks: Blocks | None) -> int:
    """Epochs of `steps` steps, or how many blocks make them."""
    wanted, fewest = estimator.automatic_training
    of_few, within = estimator.epochs_of_few
    wanted = max(wanted, min(of_few * steps, within))
    if blocks is None:
        return (
            automatic_epochs(steps, wanted, fewest, estimator.most_epochs)
            if estimator.epochs == "auto"
            else int(estimator.epochs)
        )
    whole = math.ceil(blocks.in_pass)
    return max(math.ceil(wanted / steps), whole) if estimator.epochs == "auto" else math.ceil(estimator.epochs * blocks.in_pass)


def make_settings(
    estimator: Any,
    rows: int,
    seed: int,
    partial: bool,
    *,
    fold: tuple[int, int] = (0, 1),
    fewest: int | None = None,
    least: int = 1,
    going_on: bool = False,
    blocks: Blocks | None = None,
) -> Settings:
    """Parameters of the estimator with every 'auto' made a number; with `blocks`, each of these is an epoch of the training.

    fold: number of this one, and how many are trained one after the other. fewest: rows of the copy that has the fewest.
    least: rows in a step, whatever `batch_size` says. going_on: whether the network is that of an earlier, maybe larger, table.
    """
    context = estimator.network_params().get("context", 0)
    batch_size = _batch_size(estimator, rows if blocks is None else blocks.rows)
    plan = Plan.of(rows, batch_size, context, fewest, repeat=going_on, least=least)
    return Settings(
        plan=plan,
        epochs=1 if partial else _epochs(estimator, plan.steps * plan.chunks, blocks),
        learning_rate=float(estimator.learning_rate) * (estimator.steady if partial else 1.0),
        schedule="constant" if partial else estimator.schedule,
        warmup=0.0 if partial else float(estimator.warmup),
        weight_decay=float(estimator.weight_decay),
        patience=math.ceil(estimator.patience * (1 if blocks is None else blocks.in_pass)),
        seed=seed,
        time_limit=estimator.time_limit,
        verbose=int(estimator.verbose),
        optimizer=estimator.optimizer,
        momentum=float(estimator.momentum),
        second_moment=float(estimator.second_moment),
        clip_norm=estimator.clip_norm,
        fade="none" if partial else estimator.fade,
        title=type(estimator).__name__ + (f" {fold[0] + 1}/{fold[1]}" if fold[1] > 1 else ""),
    )


def _mark(network: Any, settings: Settings, sources: list[Source], target: Arrays, seeds: list[int], start: Arrays | None) -> str:
    """Fingerprint of everything that decides a fit; how much it prints and how long it may take do not."""
    params = {k: v.__qualname__ if callable(v) else repr(v) for k, v in network.network_params().items()}
    fixed = replace(settings, verbose=0, time_limit=None, title="")
    arrays = _stacked(sources, target, sources[0].arrays) | ({} if start is None else {f"start/{k}": v for k, v in start.items()})
    for i, source in enumerate(sources):
        judged = {} if source.validation is None else source.validation.arrays
        arrays |= {f"val {i}/{k}": v for k, v in judged.items()}
        arrays |= {} if source.rows is None else {f"rows {i}": source.rows}
    scored = None if sources[0].validation is None else sources[0].validation.name
    told = [params, repr(fixed), backends.name(), scored, seeds]
    return fingerprint(arrays, json.dumps(told, sort_keys=True))


def _stacked(sources: list[Source], target: Arrays, kinds: Iterable[str]) -> Arrays:
    """What copies that learn side by side are given: inputs (tables, rows, columns) of these kinds, target and weight."""
    inputs = {k: np.stack([s.arrays[k] for s in sources]) for k in kinds if k in sources[0].arrays}
    return inputs | {"target": target["target"], "weight": target["weight"].astype(np.float32)}


def checkpoint_files(estimator: Any, folds: int) -> list[Path]:
    """Where a fit keeps its state: a file, or one for each fold that is trained apart."""
    if estimator.checkpoint is None:
        return []
    path = Path(estimator.checkpoint)
    return [Path(f"{path}.fold{i}") for i in range(folds)] if folds > 1 and estimator.folds_apart else [path]


def _copies(estimator: Any, program: Program, network: Any, run: Run, target: Arrays) -> list[Copy]:
    """Models with their initial weights, `members` for each source."""
    private, members = estimator.encoder_.private_numbers, len(run.seeds) // len(run.sources)
    copies = []
    for table, source in enumerate(run.sources):
        pick = slice(None) if source.rows is None else source.rows
        arrays = {k: v[pick] for k, v in (source.arrays | target).items()}
        weight = arrays["weight"]  # float64: rounding must not move a quantile
        even = None if np.ptp(weight) == 0 else weight
        known = {}
        if not run.partial:
            total = len(weight) if source.blocks is None else source.blocks.rows
            known = supported_codes(arrays, weight, program.head, program.spec, private, total)
        for i in range(table * members, (table + 1) * members):
            seed = run.seeds[i]
            model = program.fresh_model(network, seed)
            if run.start is None:
                adapt(model, arrays, even, program.head, private, seed)
            else:
                _continue(model, run.start, i, len(run.seeds))
                widen(model, target["target"], program.head)
            give_up(model, known)
            copies.append(Copy(model, seed, source.rows, table, source.validation, _memory(network, source, target, seed)))
    return copies


def _memory(network: Any, source: Source, target: Arrays, seed: int) -> Arrays:
    """The rows that a network may keep, in random order: at most `MEMORABLE` of those that it learns from."""
    if not network.compares_rows:
        return {}
    rows = np.arange(len(target["weight"])) if source.rows is None else source.rows
    rows = np.random.default_rng(seed).permutation(rows)[:MEMORABLE]
    weight = {"weight": target["weight"].astype(np.float32)}
    return {k: v[rows] for k, v in (source.arrays | target | weight).items()}


def fit_network(
    estimator: Any, sources: list[Source], target: Arrays, seeds: list[int], *, start: Arrays | None, partial: bool
) -> Fitted:
    """Build or find the network, train a copy a seed from fresh weights or from `start`, and return the best weights.

    target: "target" (rows, columns) and "weight" (rows,). seeds: one a copy, those of the first source first.
    """
    program, network = get_program(estimator, estimator.encoder_.spec, estimator.target_.head)
    normalises = any(type(layer).__name__ == "BatchNormalization" for layer in program.model.layers)
    least = LEAST_NORMALISED if normalises else 1
    runs = _runs(estimator, network, sources, target, seeds, start, partial, least)
    for run in runs:
        run.checkpoint.read()  # refuses that of another fit before any fold is trained
    clock = Clock(estimator.time_limit, len(runs))
    done = [_train_run(estimator, program, network, run, target, clock) for run in runs]
    return done[0] if len(done) == 1 else _one_of_folds(done, len(seeds) // len(sources))


def _runs(
    estimator: Any,
    network: Any,
    sources: list[Source],
    target: Arrays,
    seeds: list[int],
    start: Arrays | None,
    partial: bool,
    least: int,
) -> list[Run]:
    """All sources in one run, or each in its own; these share their compiled steps. least: rows in a step."""
    counts = [len(target["target"]) if s.rows is None else len(s.rows) for s in sources]
    parts = len(sources) if estimator.folds_apart else 1
    files = [None] * parts if partial else checkpoint_files(estimator, parts) or [None] * parts
    copies, runs, blocks = len(seeds) // parts, [], sources[0].blocks
    rows, fewest = (max(counts), min(counts)) if blocks is None else (blocks.size, None)
    for i, path in enumerate(files):
        own = slice(i * copies, (i + 1) * copies)
        given = sources if parts == 1 else [sources[i]]
        begun = start
        if start is not None and parts > 1:
            begun = {k: v[own] if copies > 1 else v[i] for k, v in start.items()}
        told = {"fold": (i, parts), "fewest": fewest, "least": least, "going_on": start is not None, "blocks": blocks}
        settings = make_settings(estimator, rows, seeds[i * copies], partial, **told)
        mark = "" if path is None else _mark(network, settings, given, target, seeds[own], begun)
        runs.append(Run(given, seeds[own], begun, settings, Checkpoint(path, mark), partial))
    return runs


def _one_of_folds(folds: list[Fitted], copies: int) -> Fitted:
    """Fits of `copies` models each as one; the history has means of the folds that still ran, and sums of seconds."""
    join = np.stack if copies == 1 else np.concatenate
    weights = {k: join([fold.weights[k] for fold in folds]) for k in folds[0].weights}
    epochs = range(max(len(fold.history["epoch"]) for fold in folds))
    history = {
        key: [
            (sum if key == "seconds" else np.mean)([f.history[key][e] for f in folds if e < len(f.history[key])]) for e in epochs
        ]
        for key in folds[0].history
    }
    best = [epoch for fold in folds for epoch in fold.best_epochs]
    values = [own for fold in folds for own in fold.values]
    return Fitted(weights, {k: [*map(float, v)] for k, v in history.items()}, best, folds[0].program, values)


def _train_run(estimator: Any, program: Program, network: Any, run: Run, target: Arrays, clock: Clock) -> Fitted:
    copies = _copies(estimator, program, network, run, target)
    told = {"callbacks": list(estimator.callbacks or []), "checkpoint": run.checkpoint, "clock": clock}
    blocks = run.sources[0].blocks
    if blocks is None:
        done = train(program, copies, _stacked(run.sources, target, program.model.input), run.settings, **told)
    else:
        stream = blocks.stream(run.seeds[0])
        kinds = {*program.model.input, *backends.SHARED}
        tables = ({k: v if k in backends.SHARED else v[None] for k, v in block.items() if k in kinds} for block in stream)
        with ahead(tables) as give:
            done = train(program, copies, give, run.settings, **told)
    weights = done.weights()
    return Fitted(weights, done.history, done.best_epoch, program, program.values(weights, len(copies)))
