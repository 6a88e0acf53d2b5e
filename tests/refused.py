"""A small table and cheap estimators for what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabdl import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
ROWS = 60
X = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "city": RNG.choice(["Oslo", "Bergen", "Bodø"], ROWS)})
Y = (X["a"] > 0).astype(int).to_numpy()


def classifier(**params):
    return MLPClassifier(**{"units": (4,), "epochs": 1, "random_state": 0} | params)


def regressor(**params):
    return MLPRegressor(**{"units": (4,), "epochs": 1, "random_state": 0} | params)
