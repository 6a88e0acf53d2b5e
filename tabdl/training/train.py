"""One function that trains: any network, any target, any backend, one copy of the network or several at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.errors import ParameterError
from tabdl.training.checkpoint import Checkpoint
from tabdl.training.clock import Clock
from tabdl.training.listeners import Listeners
from tabdl.training.order import Plan
from tabdl.training.program import Program
from tabdl.training.progress import Progress
from tabdl.training.schedules import CYCLES, factors, fades

KEPT = (
    "epoch",
    "epochs",
    "progress",
    "rate_scale",
    "history",
    "best_epoch",
    "best_score",
    "stopped",
)  # in a checkpoint
Arrays = dict[str, np.ndarray]
Score = Callable[[Callable[[dict[str, np.ndarray]], np.ndarray]], float]


@dataclass(frozen=True)
class Settings:
    """How to train; rates in units of the loss, times in seconds."""

    plan: Plan
    epochs: int
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    patience: int
    seed: int
    time_limit: float | None = None
    verbose: int = 0
    optimizer: str = "adam"
    momentum: float = 0.9
    second_moment: float = 0.99
    clip_norm: float | None = None
    fade: str = "none"
    title: str = "fit"

    @property
    def knobs(self) -> np.ndarray:
        """What `training.step.KNOBS` names, float32."""
        clip = np.inf if self.clip_norm is None else self.clip_norm
        return np.array([self.weight_decay, clip, self.momentum, self.second_moment], np.float32)


@dataclass(frozen=True)
class Validation:
    """`score(predict)` of held-out rows, and its direction; `name` goes into the history as val_<name>.

    arrays: all that the score depends on, so that a checkpoint knows its validation rows again.
    """

    name: str
    larger_is_better: bool
    score: Score
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Copy:
    """One copy of the network: where it starts, what it learns from, what judges it.

    rows: numbers of its training rows, None for all. table: which of the input tables it learns from.
    memory: rows, with "target" and "weight", that a network which compares rows may keep.
    """

    model: Any
    seed: int
    rows: np.ndarray | None = None
    table: int = 0
    validation: Validation | None = None
    memory: dict[str, np.ndarray] = field(default_factory=dict)


class Training:
    """State of one fit: where it stands, the best weights of each copy so far, the history; table: rows of the input tables."""

    def __init__(self, program: Program, settings: Settings, copies: list[Copy], callbacks: list[Any], clock: Clock, table: int):
        self.program, self.settings, self.copies, self.clock = program, settings, copies, clock
        self.plans = [settings.plan if c.rows is None else settings.plan.of_rows(len(c.rows)) for c in copies]
        steps = settings.plan.chunks * settings.plan.steps
        rows = settings.epochs * steps * settings.plan.batch
        self.step, self.run = program.training(settings.optimizer, tuple(c.table for c in copies), rows)
        self.cold, self.step.ran = self.step.ran != (settings.plan, table), (settings.plan, table)
        self.epoch, self.epochs, self.progress, self.rate_scale = 0, settings.epochs, 0.0, 1.0
        self.warm_since = 0.0  # epochs: those after it tell what an epoch takes
        self.history: dict[str, list[float]] = {}
        self.best: list[np.ndarray] = []  # flat (copies, weights), then the other variables (copies, ...)
        self.best_epoch, self.best_score = [0] * len(copies), [np.inf] * len(copies)
        self.stopped = False
        flat, slots, fixed = self.step.initial_state(len(copies))
        for c, copy in enumerate(copies):
            flat[c] = self.step.layout.join([v.numpy() for v in copy.model.trainable_variables])
            for array, variable in zip(fixed, copy.model.non_trainable_variables, strict=True):
                array[c] = variable.numpy()
        self.state = backends.to_device((flat, slots, fixed))
        told = {"epochs": settings.epochs, "steps": steps, "verbose": settings.verbose}
        self.listeners = Listeners(callbacks, copies[0].model, settings.learning_rate, told)

    def resume(self, saved: tuple[dict[str, Any], dict[str, list[np.ndarray]]]) -> None:
        """Continue a fit from its checkpoint."""
        plain, groups = saved
        self.state = backends.to_device((groups["flat"][0], groups["slots"], groups["fixed"]))
        for key in KEPT:
            setattr(self, key, plain[key])
        self.warm_since = self.epoch
        self.best = groups["best"]

    def save(self, checkpoint: Checkpoint, last: bool = False) -> None:
        if checkpoint.path is not None:
            flat, slots, fixed = backends.to_host(self.state)
            groups = {"flat": [flat], "slots": slots, "fixed": fixed, "best": self.best}
            checkpoint.write({k: getattr(self, k) for k in KEPT}, groups, last)

    def call(self, moment: str, *arguments: Any) -> None:
        """Tell the user's callbacks; they see, and may change, the first copy's weights and the learning rate."""
        if not self.listeners.present:
            return
        flat, slots, fixed = self.state
        own = self.step.layout.split(backends.to_host(flat[0])) + backends.to_host([v[0] for v in fixed])
        changed, scale = self.listeners.tell(own, moment, *arguments)
        if changed:
            count = len(self.step.layout.shapes)
            whole, rest = backends.to_host(flat), backends.to_host(fixed)
            whole[0] = self.step.layout.join(own[:count])
            for array, value in zip(rest, own[count:], strict=True):
                array[0] = value
            self.state = (backends.to_device(whole), slots, backends.to_device(rest))
        self.rate_scale *= scale
        self.stopped = self.stopped or self.listeners.stopped

    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers and keep, (chunks, steps, copies, batch), of this epoch."""
        drawn = [plan.order(copy.seed, self.epoch) for plan, copy in zip(self.plans, self.copies, strict=True)]
        rows = [own if c.rows is None else c.rows[own].astype(np.int32) for (own, _), c in zip(drawn, self.copies, strict=True)]
        return np.stack(rows, axis=2), np.stack([keep for _, keep in drawn], axis=2)

    def run_epoch(self, data: Any, bar: Progress) -> float:
        """One pass over the rows; returns the mean training loss."""
        s, plan = self.settings, self.settings.plan
        share = (1 - self.progress) / (self.epochs - self.epoch)  # of the schedule, spent in this epoch
        order, keep = self.order()
        shape = (plan.chunks, plan.steps)
        place = self.progress + share * (np.arange(plan.chunks * plan.steps) + 0.5).reshape(shape) / (plan.chunks * plan.steps)
        rates = np.float32(s.learning_rate) * factors(s.schedule, place, s.warmup)
        rates *= keep.any(axis=(2, 3))  # a step of filler rows only moves nothing
        fading = fades(s.fade, place)
        self.rate = float(rates[0, 0] * self.rate_scale)
        self.listeners.rate = self.rate
        self.call("on_epoch_begin", self.epoch)
        losses, counts = [], keep.sum(axis=(1, 2, 3))
        for chunk in range(plan.chunks):
            self.call("on_train_batch_begin", chunk * plan.steps)
            scaled = rates[chunk] * np.float32(self.rate_scale)
            self.state, loss = self.run(self.state, data, order[chunk], keep[chunk], scaled, fading[chunk], s.knobs)
            self.rate = self.listeners.rate = float(scaled[keep[chunk].any(axis=(1, 2))][-1])  # of the last step that moved
            losses.append(float(loss.mean()))
            self.call("on_train_batch_end", (chunk + 1) * plan.steps - 1, {"loss": losses[-1]})
            bar.advance(plan.steps)
            if plan.chunks > 1:
                self.warm(self.epoch + 1 / plan.chunks)
            if self.stopped or self.clock.over():
                self.stopped = True
                break
        self.progress += share
        self.epoch += 1
        return float(np.average(losses, weights=counts[: len(losses)] + 1e-9))

    def judge(self, loss: float, seconds: float) -> None:
        """Score the validation rows, keep each copy's best weights, decide whether to stop."""
        logs = {"loss": loss, "learning_rate": self.rate, "seconds": seconds}
        told = {}
        if not np.isfinite(loss):
            raise ParameterError(
                f"expected a finite training loss, received {loss} in epoch {self.epoch}: the training diverged; "
                "lower learning_rate, or limit the gradient with clip_norm=1.0"
            )
        validation = self.copies[0].validation
        if validation is not None:
            scores = self.score()
            logs["val_" + validation.name] = float(np.mean(scores))
            sign = -1.0 if validation.larger_is_better else 1.0
            told["val_loss"] = sign * float(np.mean(scores))  # what Keras's callbacks look at by default
            self.keep_best([sign * score for score in scores])
            self.stopped = self.stopped or self.stalled()
        for key, value in {"epoch": self.epoch, **logs}.items():
            self.history.setdefault(key, []).append(value)
        self.call("on_epoch_end", self.epoch - 1, logs | told)

    def stalled(self) -> bool:
        """Whether no copy has become better for `patience` epochs; with cycles, only where one ends is it asked."""
        share = (1 - self.progress) / max(1, self.epochs - self.epoch)  # of the schedule, in an epoch
        ends = CYCLES.get(self.settings.schedule)
        if ends is not None and not any(abs(end - self.progress) <= share / 2 for end in ends):
            return False
        return all(self.epoch - best >= self.settings.patience for best in self.best_epoch)

    def values(self, copy: int, flat: np.ndarray, fixed: list[np.ndarray]) -> list[Any]:
        """Values of one copy, as the compiled forward takes them; flat: (copies, weights), fixed: (copies, ...) each.

        From arrays of the host: to cut a tensor costs a millisecond for every few weights.
        """
        return backends.to_device([*self.step.layout.split(flat[copy]), *(v[copy] for v in fixed)])

    def remember(self) -> None:
        """Let networks that compare rows see some of them with the current weights: as many as they have room for."""
        if not any(copy.memory for copy in self.copies):
            return
        flat, slots, fixed = self.state
        weights, rest = backends.to_host(flat), backends.to_host(fixed)
        for c, copy in enumerate(self.copies):
            found = self.program.remember(self.values(c, weights, rest), copy.memory, whole=False)
            for place, array in found.items():
                rest[place][c] = array
                fixed = [*fixed[:place], backends.to_device(rest[place]), *fixed[place + 1 :]]
        self.state = flat, slots, fixed

    def finish(self) -> None:
        """The best weights are the last word: let networks that compare rows see all of them once more."""
        if not self.best:
            flat, _, fixed = backends.to_host(self.state)
            self.best = [flat, *fixed]
        flat, *fixed = self.best
        for c, copy in enumerate(self.copies):
            for place, array in self.program.remember(self.values(c, flat, fixed), copy.memory, whole=True).items():
                fixed[place][c] = array
        self.best_epoch = [best or self.epoch for best in self.best_epoch]

    def score(self) -> list[float]:
        """Validation score of each copy."""
        self.remember()
        flat, _, fixed = backends.to_host(self.state)
        scores = []
        for c, copy in enumerate(self.copies):
            if copy.validation is not None:
                values = self.values(c, flat, fixed)
                scores.append(copy.validation.score(lambda arrays, values=values: self.program.forward([values], [arrays])))
        return scores

    def keep_best(self, ranked: list[float]) -> None:
        """Copy the weights of the copies that are better than before; `ranked`: scores, smaller is better."""
        flat, _, fixed = backends.to_host(self.state)
        self.best = self.best or [flat.copy(), *(v.copy() for v in fixed)]
        for c, score in enumerate(ranked):
            if score < self.best_score[c] or not self.best_epoch[c]:
                self.best_score[c], self.best_epoch[c] = score, self.epoch
                for kept, now in zip(self.best, (flat, *fixed), strict=True):
                    kept[c] = now[c]

    def warm(self, epochs: float) -> None:
        """The first call, after so many epochs in all, has compiled: what it took says nothing about the next ones."""
        if self.cold:
            self.cold, self.warm_since = False, epochs
            self.clock.share()

    def replan(self) -> None:
        """Fewer epochs where the time limit would cut the schedule short; more again if earlier ones misled."""
        self.warm(self.epoch)
        self.stopped = self.stopped or self.clock.over()
        told = self.epoch - self.warm_since
        affordable = self.clock.affordable(told) if told > 0 else None
        if affordable is not None:
            self.epochs = min(self.settings.epochs, self.epoch + affordable)

    def weights(self) -> dict[str, np.ndarray]:
        """The best weights by name, (copies, ...) where there are several."""
        flat, *fixed = self.best
        columns = [list(c) for c in zip(*map(self.step.layout.split, flat), strict=True)]
        named = dict(zip(self.program.names, [*map(np.stack, columns), *fixed], strict=True))
        return {path: np.array(named[path] if len(self.copies) > 1 else named[path][0]) for path in self.program.paths}


def train(
    program: Program,
    copies: list[Copy],
    arrays: Arrays | Callable[[int], Arrays],
    settings: Settings,
    *,
    callbacks: list[Any] | None = None,
    checkpoint: Checkpoint | None = None,
    clock: Clock | None = None,
) -> Training:
    """Train all copies from the weights of their models, side by side; `weights()` of the result has the best.

    arrays: inputs (tables, rows, columns) by name, "target" (rows, columns) and "weight" (rows,), weights of mean 1; or a
    function that gives those of an epoch, of one shape. What is said of epochs then holds for these pieces of a longer table.
    clock: of the fit that this is a part of.
    """
    checkpoint, clock = checkpoint or Checkpoint(None, ""), clock or Clock(settings.time_limit)
    clock.start()
    table = 0 if callable(arrays) else len(arrays["target"])
    state = Training(program, settings, copies, callbacks or [], clock, table)
    saved = checkpoint.read()
    if saved is not None:
        state.resume(saved)
    first, plan = state.epoch, settings.plan
    if not state.cold:
        clock.share()
    data = None if callable(arrays) else backends.to_device(arrays)
    state.call("on_train_begin")
    with Progress(settings.title, settings.verbose, (state.epochs - first) * plan.chunks * plan.steps) as bar:
        while state.epoch < state.epochs and not state.stopped:
            begun = time.monotonic()
            loss = state.run_epoch(backends.to_device(arrays(state.epoch)) if callable(arrays) else data, bar)
            state.judge(loss, time.monotonic() - begun)
            state.replan()
            total = (state.epochs - first) * plan.chunks * plan.steps
            bar.report(state.epoch, state.epochs, total, {k: v[-1] for k, v in state.history.items() if k != "epoch"})
            state.save(checkpoint)
    state.call("on_train_end")
    clock.finish()
    state.save(checkpoint, last=True)  # what else belongs to the fit may fail, and need not train this again
    state.finish()
    return state
