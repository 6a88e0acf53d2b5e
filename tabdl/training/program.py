"""A network compiled once for one table shape and one target, shared by all fits that need the same.

TensorFlow gives back little of the memory of a compiled function (about 9 MB a fit otherwise), and tracing costs a
second: a search of 200 fits should pay once, not 200 times.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.network import Network, build, network_class, weight_paths
from tabdl.spec import Head, Spec
from tabdl.training.losses import make_loss
from tabdl.training.step import Step

LARGE = 3e10  # rows times weights of a training from which XLA pays: it compiles for seconds, and halves many a step
MOST_MAPPINGS = 20_000  # of memory; a network and its training take about 240
KEPT = 32  # programs in memory, of which the least recently used goes first, and compiled functions of one, the oldest first


class Program:
    """Compiled training and prediction of one network, for one copy of it or several; holds no state of a fit."""

    def __init__(self, network: Network, spec: Spec, head: Head):
        self.network, self.spec, self.head = network, spec, head
        self.lock = threading.RLock()
        self.model = build(network, spec, head, seed=0)
        self.paths = weight_paths(self.model)
        known = dict(zip(map(id, self.model.weights), self.paths, strict=True))
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        self.names = {known.get(id(v), f"seed {i}"): np.array(v.numpy()) for i, v in enumerate(variables)}  # -> value at start
        self._compiled: OrderedDict[Any, Any] = OrderedDict()
        self._memory: Any = None

    def training(self, optimizer: str, folds: tuple[int, ...], rows: int) -> tuple[Step, Callable[..., Any]]:
        """(step, compiled training) for an optimiser, copies that learn from the tables `folds`, and all rows of all epochs."""
        members = int(self.network.members) if self.network.one_for_all_members else len(folds)
        weights = sum(math.prod(v.shape) for v in self.model.trainable_variables)
        large = backends.name() == "tensorflow" and members * rows * weights >= LARGE
        fused = self.network.compares_rows or large

        def make() -> Any:
            step = Step(self.model, optimizer, make_loss(self.head), fused)
            return step, backends.compile_training(step, folds)

        return self._once((optimizer, folds, fused), make)

    def forward(self, values: list[list[Any]], arrays: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Mean predictions (rows, outputs) of the copies whose weights are `values`, on one table or one table a copy."""
        comparing = self.network.compares_rows
        compiled = self._once(len(values), lambda: backends.compile_forward(self.model, self.head, len(values), comparing))
        return compiled(values, [{k: v for k, v in self._complete(table).items() if k in self.model.input} for table in arrays])

    def _complete(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Networks that compare rows take targets too, which rows to predict do not have."""
        if "target" not in self.model.input or "target" in arrays:
            return arrays
        rows = len(next(iter(arrays.values())))
        return arrays | {"target": np.zeros((rows, self.head.columns), np.float32), "weight": np.ones(rows, np.float32)}

    def remember(self, values: list[Any], arrays: dict[str, np.ndarray], whole: bool) -> dict[int, np.ndarray]:
        """What a layer with a memory keeps of these rows under these weights: {place among the untrained variables: array}.

        whole: all rows, made fewer by the layer if there are too many; else only as many as there is room for.
        """
        layer = next((layer for layer in self.model.layers if hasattr(layer, "remember")), None)
        if layer is None or not arrays:
            return {}
        if not whole:
            arrays = {k: v[: layer.memory] for k, v in arrays.items()}
        shown = self._shown(layer)
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        own = dict(zip(map(id, variables), values, strict=True))
        run = self._once("memory", lambda: backends.compile_forward(shown, Head(0, "identity", "mse")))
        seen = run([[own[id(v)] for v in (*shown.trainable_variables, *shown.non_trainable_variables)]], [arrays])
        width = layer.keys.shape[1]
        kept = layer.remember(seen[:, :width], seen[:, width:], arrays["weight"])
        places = {id(v): i for i, v in enumerate(self.model.non_trainable_variables)}
        return {places[id(getattr(layer, name))]: array for name, array in kept.items()}

    def _shown(self, layer: Any) -> Any:
        """Model from inputs to what a layer with a memory sees of a row: (rows, width + columns of the target)."""
        if self._memory is None:
            import keras

            z, targets, _ = layer.input
            self._memory = keras.Model(self.model.input, keras.ops.concatenate([z, targets], axis=-1))
        return self._memory

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        found = self._compiled.get(key)  # without the lock: a prediction does not wait for what a fit compiles
        if found is None:
            with self.lock:
                found = self._compiled.get(key)
                if found is None:
                    while len(self._compiled) >= KEPT:
                        self._compiled.popitem(last=False)
                    found = self._compiled[key] = make()
        return found

    def fresh_model(self, network: Network, seed: int) -> Any:
        """A new model with its own initial weights."""
        return build(network, self.spec, self.head, seed)

    def values(self, weights: dict[str, np.ndarray], copies: int = 1) -> list[list[Any]]:
        """Weights by name, (copies, ...) where there are several -> device values of each copy for `forward`."""
        variables = dict(zip(self.paths, self.model.weights, strict=True))
        if set(self.paths) != set(weights):
            odd = sorted(set(self.paths) ^ set(weights))
            raise ValueError(f"expected weights named {self.paths}, received a different set; first difference: {odd[0]!r}")
        for path, variable in variables.items():
            expected = tuple(variable.shape) if copies == 1 else (copies, *variable.shape)
            if expected != weights[path].shape:
                raise ValueError(f"weight {path!r}: expected shape {expected}, received {weights[path].shape}")
        own = [weights if copies == 1 else {k: v[c] for k, v in weights.items()} for c in range(copies)]
        return [backends.to_device([one.get(n, start) for n, start in self.names.items()]) for one in own]


_programs: OrderedDict[Any, Program] = OrderedDict()
_guard = threading.Lock()


def _key(network: Network, spec: Spec, head: Head) -> Any:
    """Equal for networks that compile to the same functions: parameters kept in weights count only as zero or not."""
    fields = type(network).fields
    params = tuple((k, bool(v) if fields[k].weight else _hashable(v)) for k, v in network.network_params().items())
    return backends.name(), type(network), params, spec, head


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((repr(k), _hashable(v)) for k, v in value.items()))
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def _free_mappings() -> None:
    """JAX keeps what it compiled, and XLA crashes where Linux has no mapping left for a process: one allows 65,530."""
    with suppress(OSError), open("/proc/self/maps", "rb") as mappings:
        if backends.name() == "jax" and sum(1 for _ in mappings) > MOST_MAPPINGS:
            sys.modules["jax"].clear_caches()


def get_program(network: Any, spec: Spec, head: Head) -> tuple[Program, Network]:
    """The shared program for an estimator or network, and the plain network with its own parameters."""
    plain = network_class(type(network))(**network.network_params())
    spec = spec.only(plain.reads)
    key = _key(plain, spec, head)
    with _guard:
        if key not in _programs:
            _free_mappings()
            _programs[key] = Program(plain, spec, head)
        _programs.move_to_end(key)
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
        return _programs[key], plain
