"""A network compiled once for one table shape and one target, shared by all fits that need the same.

TensorFlow gives back little of the memory of a compiled function (about 9 MB a fit otherwise), and tracing costs a
second: a search of 200 fits should pay once, not 200 times.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.network import Network, build, network_class, set_weights, weight_paths
from tabdl.spec import Head, Spec
from tabdl.training.losses import make_loss
from tabdl.training.optimizers import make_optimizer

KEPT = 32  # programs in memory; the least recently used goes first


@dataclass(frozen=True)
class Updates:
    """What of the training is compiled into a step."""

    optimizer: str = "adam"
    momentum: float = 0.9
    clip_norm: float | None = None


class Program:
    """Compiled training and prediction of one network; `lock` guards the variables that training changes."""

    def __init__(self, network: Network, spec: Spec, head: Head):
        self.network, self.spec, self.head = network, spec, head
        self.lock = threading.RLock()
        self.model = build(network, spec, head, seed=0)
        self.forward = backends.compile_forward(self.model, head)
        self._updates: dict[Updates, tuple[Any, Any]] = {}

    def training(self, updates: Updates) -> tuple[Any, Any]:
        """(optimizer, compiled training step) for a kind of update; made once."""
        if updates not in self._updates:
            while len(self._updates) >= KEPT:
                self._updates.pop(next(iter(self._updates)))
            optimizer = make_optimizer(updates.optimizer, updates.momentum, updates.clip_norm)
            optimizer.build(self.model.trainable_variables)
            step = backends.compile_training(self.model, optimizer, make_loss(self.head))
            self._updates[updates] = optimizer, step
            optimizer.initial = [np.array(v.numpy()) for v in optimizer.variables]
        return self._updates[updates]

    def fresh_model(self, network: Network, seed: int) -> Any:
        """A new model with its own initial weights."""
        return build(network, self.spec, self.head, seed)

    def values(self, weights: dict[str, np.ndarray]) -> list[Any]:
        """Weights by name -> device values for `forward`."""
        with self.lock:
            paths = weight_paths(self.model)
            if set(paths) != set(weights):
                odd = sorted(set(paths) ^ set(weights))
                raise ValueError(f"expected weights named {paths}, received a different set; first difference: {odd[0]!r}")
            for path, variable in zip(paths, self.model.weights, strict=True):
                if tuple(variable.shape) != weights[path].shape:
                    raise ValueError(f"weight {path!r}: expected shape {tuple(variable.shape)}, received {weights[path].shape}")
            set_weights(self.model, weights)
            return backends.forward_values(self.model)


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


def get_program(network: Any, spec: Spec, head: Head) -> tuple[Program, Network]:
    """The shared program for an estimator or network, and the plain network with its own parameters."""
    plain = network_class(type(network))(**network.network_params())
    key = _key(plain, spec, head)
    with _guard:
        if key not in _programs:
            _programs[key] = Program(plain, spec, head)
        _programs.move_to_end(key)
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
        return _programs[key], plain
