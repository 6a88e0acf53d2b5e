"""Who is measured on series: every network of tabdl that takes them, and the packages a user might take instead.

All get the same series. aeon takes equal lengths only: shorter series end in zeros. The rivals have their defaults; what they are
told is the season and the horizon. statsforecast fits each history anew in `predict`, so its fit takes no time. Nothing that is
deterministic has more than one seed, nothing that takes hours is measured unless it is named.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import peers
import suites

CLASSIFIERS = ("series", "rocket", "lite", "lite members=5", "inception", "cnn", "rnn", "tcn", "sequencetransformer")
FORECASTERS = ("forecaster", "ridge", "segrnn", "tsmixer", "patchtst")
SMALL = ("ItalyPowerDemand", "SonyAIBORobotSurface1", "ECG200", "FaceFour", "Wine", "BasicMotions")  # for hours of training


def same(X: Any, length: int) -> Any:
    """Series as they are."""
    return X


@dataclass(frozen=True)
class Rival:
    """One line of the tables."""

    name: str
    family: str  # "tabdl", or the interpreter that has it
    kinds: tuple[str, ...]
    packages: tuple[str, ...]  # those whose versions may change a result
    make: Callable[[str, str, int], Any]  # (kind, data set, seed) -> estimator; imports all that `fit` will need
    convert: Callable[[Any, int], Any] = same  # (series, longest length) -> what `fit` takes
    seeded: bool = True
    compiled: bool = False  # by numba, on first use
    slow: bool = False  # measured only when named, seed 0 on SMALL sets

    def takes(self, name: str) -> bool:
        return suites.kind(name) in self.kinds and (not self.slow or name in SMALL)


def channels_first(X: Any, length: int) -> np.ndarray:
    """(rows, channels, steps) of one length, zeros behind the shorter ones."""
    return np.stack([np.pad(x, ((0, length - len(x)), (0, 0))).T for x in X])


def _aeon(module: str, **more: Any) -> Callable[[str, str, int], Any]:
    def make(kind: str, name: str, seed: int) -> Any:
        place, _, family = module.rpartition(".")
        if kind == "regressor":
            place, family = place.replace("classification", "regression"), family.replace("Classifier", "Regressor")
        return getattr(importlib.import_module(f"aeon.{place}"), family)(random_state=seed, **more)

    return make


class Flat:
    """A forest on the steps of all channels side by side."""

    def __init__(self, seed: int) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self.forest = RandomForestRegressor(500, random_state=seed, n_jobs=-1)

    def fit(self, X: np.ndarray, y: np.ndarray) -> Flat:
        self.forest.fit(X.reshape(len(X), -1), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.forest.predict(X.reshape(len(X), -1))


def in_rows(tidy: pd.DataFrame, ids: pd.Series, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Columns of a tidy forecast (id, time, ...) as (ids, horizon) in the order of the ids asked for."""
    asked = pd.Index(ids.unique())
    tidy = tidy.assign(place=asked.get_indexer(tidy["id"])).sort_values(["place", "time"])
    counts = np.bincount(tidy["place"], minlength=len(asked))
    if len(set(counts)) != 1:
        raise ValueError(f"expected as many steps for each of {len(asked)} series, received {counts.min()} to {counts.max()}")
    return {name: tidy[column].to_numpy(float).reshape(len(asked), -1) for name, column in names.items() if column in tidy}


NAMES = ("mean", *(name for pair in suites.LEVELS.values() for name in pair))
LEVELS = tuple(suites.LEVELS)  # percent


class Forecasts:
    """A forecaster of tabdl: fitted on one table, asked about others."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, train: pd.DataFrame) -> None:
        self.estimator.fit(train)

    def predict(self, histories: pd.DataFrame) -> dict[str, np.ndarray]:
        tidy = self.estimator.predict(histories, levels=tuple(level / 100 for level in LEVELS))
        return in_rows(tidy, histories["id"], {name: name for name in NAMES})


class Classical:
    """Models of statsforecast and neuralforecast, whose tables are (unique_id, ds, y)."""

    def __init__(self, name: str, column: str, answer: Callable[[pd.DataFrame, Any], pd.DataFrame], learn: Any = None) -> None:
        self.answer, self.learn = answer, learn
        self.names = {"mean": name + column}
        for level, (low, high) in suites.LEVELS.items():
            self.names |= {low: f"{name}-lo-{level}", high: f"{name}-hi-{level}"}

    def fit(self, train: pd.DataFrame) -> None:
        if self.learn is not None:
            self.learn(*_renamed(train))

    def predict(self, histories: pd.DataFrame) -> dict[str, np.ndarray]:
        tidy = self.answer(*_renamed(histories)).reset_index().rename(columns={"unique_id": "id", "ds": "time"})
        tidy.columns = [column.removesuffix(".0") for column in tidy]  # neuralforecast names levels as floats
        return in_rows(tidy, histories["id"], self.names)


def _renamed(table: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
    """The table with their names, and the step: 1 where times are counted."""
    step = 1 if pd.api.types.is_integer_dtype(table["time"]) else pd.infer_freq(table["time"].iloc[:24])
    return table.rename(columns={"id": "unique_id", "time": "ds", "value": "y"}), step


def _statsforecast(model: str) -> Callable[[str, str, int], Any]:
    def make(kind: str, name: str, seed: int) -> Classical:
        import statsforecast
        from statsforecast import models

        one = getattr(models, model)(season_length=suites.season(name), alias=model)

        def answer(table: pd.DataFrame, step: Any) -> pd.DataFrame:
            runner = statsforecast.StatsForecast(models=[one], freq=step)
            return runner.forecast(df=table, h=suites.horizon(name), level=list(LEVELS))

        return Classical(model, "", answer)

    return make


def _neuralforecast(model: str) -> Callable[[str, str, int], Any]:
    def make(kind: str, name: str, seed: int) -> Classical:
        import neuralforecast
        from neuralforecast import models
        from neuralforecast.losses.pytorch import MQLoss

        quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
        steps, fitted = suites.horizon(name), {}
        loss = MQLoss(level=list(LEVELS))
        one = getattr(models, model)(h=steps, input_size=min(5 * steps, 720), loss=loss, random_seed=seed + 1, **quiet)

        def learn(table: pd.DataFrame, step: Any) -> None:
            fitted["runner"] = neuralforecast.NeuralForecast(models=[one], freq=step)
            fitted["runner"].fit(table)

        return Classical(model, "-median", lambda table, step: fitted["runner"].predict(df=table), learn)

    return make


def _forest(kind: str, name: str, seed: int) -> Flat:
    return Flat(seed)


BOTH = ("classifier", "regressor")
AEON = ("numpy", "scikit-learn", "aeon", "numba")
ROCKET, DEEP = "classification.convolution_based", "classification.deep_learning"
RIVALS = [
    Rival("MiniRocket", "aeon", BOTH, AEON, _aeon(f"{ROCKET}.MiniRocketClassifier"), channels_first, compiled=True),
    Rival(
        "MultiRocketHydra",
        "aeon",
        BOTH,
        (*AEON, "torch"),
        _aeon(f"{ROCKET}.MultiRocketHydraClassifier"),
        channels_first,
        compiled=True,
    ),
    Rival(
        "FreshPRINCE",
        "aeon",
        ("regressor",),
        (*AEON, "tsfresh"),
        _aeon("classification.feature_based.FreshPRINCEClassifier", n_jobs=-1),
        channels_first,
        compiled=True,
    ),
    Rival("random forest", "aeon", ("regressor",), AEON, _forest, channels_first),
    Rival(
        "LITETime",
        "aeon",
        ("classifier",),
        (*AEON, "tensorflow", "keras"),
        _aeon(f"{DEEP}.LITETimeClassifier"),
        channels_first,
        slow=True,
    ),
    Rival(
        "InceptionTime",
        "aeon",
        ("classifier",),
        (*AEON, "tensorflow", "keras"),
        _aeon(f"{DEEP}.InceptionTimeClassifier"),
        channels_first,
        slow=True,
    ),
    *(
        Rival(name, "stats", ("forecaster",), ("numpy", "pandas", "statsforecast"), _statsforecast(name), seeded=False)
        for name in ("SeasonalNaive", "AutoTheta", "AutoETS")
    ),
    Rival("NHITS", "neural", ("forecaster",), ("numpy", "pandas", "neuralforecast", "torch"), _neuralforecast("NHITS")),
]


def own() -> list[Rival]:
    """What tabdl has of the networks for series."""
    from tabdl import models

    return [network(name) for name in dict.fromkeys(CLASSIFIERS + FORECASTERS) if name.split()[0] in models.names()]


def network(asked: str) -> Rival:
    """An architecture of tabdl, by the name of its file, and parameters such as members=5 behind it."""
    from tabdl import models

    name, *given = asked.split()
    has = {public.lower() for public, place in models.catalogue().items() if place.rpartition(".")[2] == name}
    kinds = tuple(kind for kind in ("classifier", "regressor", "forecaster") if any(p.endswith(kind) for p in has))
    if not kinds:
        raise SystemExit(f"expected a model among {', '.join(models.names())}, received {name!r}")
    params = {key: json.loads(value) for key, _, value in (one.partition("=") for one in given)}
    return Rival(f"tabdl {asked}", "tabdl", kinds, (*peers.COMMON, "keras", peers.backend()), _own(name, params))


def _own(name: str, params: dict[str, Any]) -> Callable[[str, str, int], Any]:
    def make(kind: str, table: str, seed: int) -> Any:
        import keras  # noqa: F401  # tabdl itself imports it on first use

        from tabdl import models

        warnings.filterwarnings("ignore", module="tabdl")
        found = models.find(name, kind)
        drawn = params | {"random_state": seed} if "random_state" in found.fields else params
        if kind != "forecaster":
            return found(**drawn)
        return Forecasts(found(horizon=suites.horizon(table), time="time", id="id", target="value", **drawn))

    return make


def find(name: str) -> Rival:
    if name.startswith("tabdl "):
        return network(name.removeprefix("tabdl "))
    for rival in RIVALS:
        if rival.name == name:
            return rival
    raise SystemExit(f"expected a model among {', '.join(rival.name for rival in RIVALS)}, received {name!r}")
