"""One function that trains: any network, any target, any backend."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.errors import ParameterError
from tabdl.training.checkpoint import Checkpoint
from tabdl.training.order import Plan
from tabdl.training.program import Program, Updates
from tabdl.training.progress import Progress
from tabdl.training.schedules import factors

KEPT = ("epoch", "epochs", "progress", "rate_scale", "history", "best_epoch", "best_score", "stopped")  # in a checkpoint


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
    updates: Updates = field(default_factory=Updates)
    title: str = "fit"


@dataclass(frozen=True)
class Validation:
    """`score(predict)` of held-out rows, and its direction; `name` goes into the history as val_<name>.

    arrays: all that the score depends on, so that a checkpoint knows its validation rows again.
    """

    name: str
    larger_is_better: bool
    score: Callable[[Callable[[dict[str, np.ndarray]], np.ndarray]], float]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Training:
    """State of one fit: where it stands, the best weights so far, the history."""

    def __init__(self, program: Program, settings: Settings, validation: Validation | None, callbacks: list[Any]):
        import keras

        self.program, self.settings, self.validation = program, settings, validation
        self.model = program.model
        self.optimizer, self.step = program.training(settings.updates)
        self.epoch, self.epochs, self.progress, self.rate_scale = 0, settings.epochs, 0.0, 1.0
        self.history: dict[str, list[float]] = {}
        self.best: list[np.ndarray] | None = None
        self.best_epoch, self.best_score = 0, np.inf
        self.stopped = False
        self.model.optimizer, self.model.stop_training = self.optimizer, False
        told = {"epochs": settings.epochs, "steps": settings.plan.chunks * settings.plan.steps, "verbose": settings.verbose}
        copies = [copy.deepcopy(c) for c in callbacks]
        self.callbacks = keras.callbacks.CallbackList(copies, model=self.model, **told) if copies else None

    def variables(self) -> dict[str, list[Any]]:
        return {
            "model": [*self.model.trainable_variables, *self.model.non_trainable_variables],
            "optimizer": list(self.optimizer.variables),
        }

    def start(self, model: Any) -> None:
        """Initial weights and random states of `model`; a fresh optimiser."""
        source = [*model.trainable_variables, *model.non_trainable_variables]
        for variable, own in zip(self.variables()["model"], source, strict=True):
            variable.assign(own.value)
        for variable, initial in zip(self.optimizer.variables, self.optimizer.initial, strict=True):
            variable.assign(initial)

    def resume(self, saved: tuple[dict[str, Any], dict[str, list[np.ndarray]]]) -> None:
        """Continue a fit from its checkpoint."""
        plain, groups = saved
        for name, variables in self.variables().items():
            for variable, array in zip(variables, groups[name], strict=True):
                variable.assign(array)
        for key in KEPT:
            setattr(self, key, plain[key])
        self.best = groups["best"] or None

    def save(self, checkpoint: Checkpoint) -> None:
        if checkpoint.path is None:
            return
        groups = {name: [np.array(v.numpy()) for v in variables] for name, variables in self.variables().items()}
        checkpoint.write({k: getattr(self, k) for k in KEPT}, groups | {"best": self.best or []})

    def call(self, moment: str, *arguments: Any) -> None:
        """Tell the user's callbacks; a learning rate that they change scales the schedule from there on."""
        if self.callbacks is None:
            return
        before = float(self.optimizer.learning_rate.numpy())
        getattr(self.callbacks, moment)(*arguments)
        after = float(self.optimizer.learning_rate.numpy())
        if after != before and before > 0:
            self.rate_scale *= after / before
        self.stopped = self.stopped or bool(self.model.stop_training)

    def run_epoch(self, data: Any, bar: Progress, deadline: float) -> float:
        """One pass over the rows; returns the mean training loss."""
        s, plan = self.settings, self.settings.plan
        share = (1 - self.progress) / (self.epochs - self.epoch)  # of the schedule, spent in this epoch
        order, keep = plan.order(s.seed, self.epoch)
        shape = (plan.chunks, plan.steps)
        place = self.progress + share * (np.arange(plan.chunks * plan.steps) + 0.5).reshape(shape) / (plan.chunks * plan.steps)
        rates = np.float32(s.learning_rate) * factors(s.schedule, place, s.warmup)
        rates *= keep.any(axis=-1)  # a step of filler rows only moves nothing
        self.optimizer.learning_rate.assign(rates[0, 0] * np.float32(self.rate_scale))
        self.call("on_epoch_begin", self.epoch)
        losses = []
        for chunk in range(plan.chunks):
            self.call("on_train_batch_begin", chunk * plan.steps)
            scaled = rates[chunk] * np.float32(self.rate_scale)
            losses.append(self.step(data, order[chunk], keep[chunk], scaled, s.weight_decay))
            self.call("on_train_batch_end", (chunk + 1) * plan.steps - 1, {"loss": losses[-1]})
            bar.advance(plan.steps)
            if self.stopped or time.monotonic() > deadline:
                self.stopped = True
                break
        self.progress += share
        self.epoch += 1
        return float(np.average(losses, weights=keep[: len(losses)].sum(axis=(1, 2)) + 1e-9))

    def judge(self, loss: float, seconds: float) -> None:
        """Score the validation rows, keep the best weights, decide whether to stop."""
        rate = float(self.optimizer.learning_rate.numpy())
        logs = {"loss": loss, "learning_rate": rate, "seconds": seconds}
        told = {}
        if not np.isfinite(loss):
            raise ParameterError(
                f"expected a finite training loss, received {loss} in epoch {self.epoch}: the training diverged; "
                "lower learning_rate, or limit the gradient with clip_norm=1.0"
            )
        if self.validation is not None:
            values = backends.forward_values(self.model)
            score = self.validation.score(lambda arrays: self.program.forward(values, arrays))
            logs["val_" + self.validation.name] = score
            ranked = -score if self.validation.larger_is_better else score
            told["val_loss"] = ranked  # what Keras's callbacks look at by default
            if ranked < self.best_score or self.best is None:
                self.best_score, self.best_epoch = ranked, self.epoch
                self.best = [np.array(w.numpy()) for w in self.model.weights]
            elif self.epoch - self.best_epoch >= self.settings.patience:
                self.stopped = True
        for key, value in {"epoch": self.epoch, **logs}.items():
            self.history.setdefault(key, []).append(value)
        self.call("on_epoch_end", self.epoch - 1, logs | told)

    def replan(self, started: float, done_before: int) -> None:
        """Fewer epochs when the time limit would cut the schedule short."""
        limit = self.settings.time_limit
        if limit is None:
            return
        spent = time.monotonic() - started
        affordable = self.epoch + int(max(0.0, 0.95 * limit - spent) / (spent / max(1, self.epoch - done_before)))
        self.epochs = max(self.epoch, min(self.epochs, affordable))


def train(
    program: Program,
    model: Any,
    arrays: dict[str, np.ndarray],
    settings: Settings,
    *,
    validation: Validation | None = None,
    callbacks: list[Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Train from the weights of `model` and leave the best ones in it.

    arrays: encoded table by name with "target" (rows, columns) and "weight" (rows,), weights of mean 1.
    """
    checkpoint = checkpoint or Checkpoint(None, "")
    started = time.monotonic()
    deadline = np.inf if settings.time_limit is None else started + settings.time_limit
    with program.lock:
        state = Training(program, settings, validation, callbacks or [])
        state.start(model)
        saved = checkpoint.read()
        if saved is not None:
            state.resume(saved)
        first, plan = state.epoch, settings.plan
        data = backends.to_device(arrays)
        state.call("on_train_begin")
        with Progress(settings.title, settings.verbose, (state.epochs - first) * plan.chunks * plan.steps) as bar:
            while state.epoch < state.epochs and not state.stopped:
                begun = time.monotonic()
                loss = state.run_epoch(data, bar, deadline)
                state.judge(loss, time.monotonic() - begun)
                state.replan(started, first)
                total = (state.epochs - first) * plan.chunks * plan.steps
                bar.report(state.epoch, state.epochs, total, {k: v[-1] for k, v in state.history.items() if k != "epoch"})
                state.save(checkpoint)
        state.call("on_train_end")
        final = [np.array(w.numpy()) for w in state.model.weights] if state.best is None else state.best
        for weight, array in zip(model.weights, final, strict=True):
            weight.assign(array)
        state.best_epoch = state.best_epoch or state.epoch
    checkpoint.remove()
    return state
