"""A register of the tests that show what parameters do, and the small data and models that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tabdl import MLPClassifier, MLPRegressor, models
from tabdl.params import Param

ROWS = 100
EFFECTS: dict[str, Callable[..., None]] = {}


def effect(*parameters: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a test as the one that shows what a parameter does, named "Owner.parameter"."""

    def register(test: Callable[..., None]) -> Callable[..., None]:
        EFFECTS.update(dict.fromkeys(parameters, test))
        return test

    return register


def declared() -> set[str]:
    """Every parameter of every public estimator, by the class that declares it."""
    found = set()
    for cls in map(models.load_class, models.catalogue()):
        for name in cls.fields:
            owner = next(base for base in cls.__mro__ if isinstance(vars(base).get(name), Param))
            found.add(f"{owner.__name__}.{name}")
    return found


_rng = np.random.default_rng(0)
X = _rng.normal(size=(ROWS, 3))
y = 3 * X[:, 0] + X[:, 1] ** 2 + 0.3 * _rng.normal(size=ROWS)
c = (y > np.quantile(y, 0.7)).astype(int)

PLAIN = {"units": (6,), "dropout": 0.0, "epochs": 1, "random_state": 0, "weight_decay": 0.0}
STEP = {
    "validation_fraction": 0,
    "batch_size": "full",
    "optimizer": "sgd",
    "momentum": 0.0,
    "schedule": "constant",
    "warmup": 0,
    "clip_norm": None,
}  # an epoch is one step of plain gradient descent


def regressor(**params: Any) -> Any:
    return MLPRegressor(**PLAIN | params)


def classifier(**params: Any) -> Any:
    return MLPClassifier(**PLAIN | params)


def start(make: Callable[..., Any], X: np.ndarray, y: np.ndarray, **params: Any) -> Any:
    """A model that is still where it started: one step at the smallest learning rate."""
    return make(**STEP | {"learning_rate": 1e-6} | params).fit(X, y)


def moved(model: Any, origin: Any) -> np.ndarray:
    """Distance of all weights from `origin`, as one vector."""
    return np.concatenate([(w - origin.weights_[k]).ravel() for k, w in model.weights_.items()]).astype(np.float64)
