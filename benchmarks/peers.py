"""Who is measured: every estimator that tabdl has, and the packages a user might take instead.

All get the same training rows, and the same validation rows where they can use them: boosting with library defaults grows
the default number of trees and keeps the best round, HistGradientBoosting and pytabkit's models stop by them, scikit-learn's
MLP has no use for them. "TD" and "D" are pytabkit's names of its tuned and its plain defaults. tabdl gets the raw table;
a peer gets the columns as its documentation asks for them, prepared before the clock starts: categories as pandas category
with a level for gaps where gaps are refused, numbers imputed where NaN is refused.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from splits import Parts

COMMON = ("numpy", "pandas", "scikit-learn")
Fitting = tuple[Any, Callable[[Parts], dict[str, Any]]]  # an estimator, and what its `fit` gets beside rows and targets


@dataclass(frozen=True)
class Model:
    """One line of the table."""

    name: str
    family: str  # "tabdl", "boosting" or "other"
    packages: tuple[str, ...]  # those whose versions may change a result
    make: Callable[[bool, int], Fitting]  # (classes or numbers, seed); imports all that `fit` will need
    prepare: Callable[[pd.DataFrame], Callable[[pd.DataFrame], pd.DataFrame]] = lambda train: lambda frame: frame
    slow: bool = False  # seed 0 only
    beside: str = ""  # the estimator of tabdl to which it is compared in time


def typed(train: pd.DataFrame, gaps: bool = False, numbers: bool = False) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """How to make text a pandas category of the levels in the training rows; also fill gaps in it, and in numbers."""
    texts = [c for c in train if not pd.api.types.is_numeric_dtype(train[c])]
    bools = {c: "int8" for c in train if pd.api.types.is_bool_dtype(train[c])}
    levels = {c: pd.CategoricalDtype([*sorted(train[c].dropna().unique()), *["missing"] * gaps]) for c in texts}
    medians = train.drop(columns=texts).median() if numbers else {}

    def convert(frame: pd.DataFrame) -> pd.DataFrame:
        seen = {c: frame[c].where(frame[c].isin(levels[c].categories)) for c in texts}  # other levels become gaps
        frame = frame.assign(**seen).astype({**bools, **levels})
        return frame.fillna({**{c: "missing" for c in texts if gaps}, **medians})

    return convert


def _for_catboost(train: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return typed(train, gaps=True)


def _for_pytabkit(train: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return typed(train, numbers=True)


def _lightgbm(classes: bool, seed: int) -> Fitting:
    import lightgbm

    model = (lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor)(random_state=seed, verbose=-1)
    keep_best = lightgbm.early_stopping(model.n_estimators, verbose=False)
    return model, lambda parts: {"eval_set": [(parts.X_val, parts.y_val)], "callbacks": [keep_best]}


def _xgboost(classes: bool, seed: int) -> Fitting:
    import xgboost

    make = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
    # 100 rounds are the default: patience for as many keeps the best one.
    model = make(random_state=seed, enable_categorical=True, early_stopping_rounds=100)
    return model, lambda parts: {"eval_set": [(parts.X_val, parts.y_val)], "verbose": False}


def _catboost(classes: bool, seed: int) -> Fitting:
    import catboost

    make = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
    model = make(random_seed=seed, verbose=False, allow_writing_files=False)
    return model, lambda parts: {
        "cat_features": list(parts.X.select_dtypes("category")),
        "eval_set": (parts.X_val, parts.y_val),
    }


def _boosting_of_sklearn(classes: bool, seed: int) -> Fitting:
    from sklearn import ensemble

    make = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor
    return make(random_state=seed, early_stopping=True), _validation


def _mlp_of_sklearn(classes: bool, seed: int) -> Fitting:
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    if classes:
        network = MLPClassifier(random_state=seed)
    else:
        network = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    return make_pipeline(columns, network), lambda parts: {}


def _validation(parts: Parts) -> dict[str, Any]:
    return {"X_val": parts.X_val, "y_val": parts.y_val}


def _pytabkit(name: str, interface: str, *modules: str) -> Callable[[bool, int], Fitting]:
    def make(classes: bool, seed: int) -> Fitting:
        import pytabkit

        for module in (f"pytabkit.models.alg_interfaces.{interface}", *modules):
            importlib.import_module(module)
        estimator = getattr(pytabkit, f"{name}_{'Classifier' if classes else 'Regressor'}")
        # Its default is the number of physical cores; the others take all that they may use.
        return estimator(random_state=seed, n_threads=cores()), _validation

    return make


PYTABKIT = (*COMMON, "pytabkit", "torch")
PEERS = [
    Model("LightGBM", "boosting", (*COMMON, "lightgbm"), _lightgbm, typed),
    Model("XGBoost", "boosting", (*COMMON, "xgboost"), _xgboost, typed),
    Model("CatBoost", "boosting", (*COMMON, "catboost"), _catboost, _for_catboost),
    Model(
        "LightGBM-TD",
        "boosting",
        (*PYTABKIT, "lightgbm"),
        _pytabkit("LGBM_TD", "lightgbm_interfaces", "lightgbm"),
        _for_pytabkit,
    ),
    Model(
        "XGBoost-TD",
        "boosting",
        (*PYTABKIT, "xgboost"),
        _pytabkit("XGB_TD", "xgboost_interfaces", "xgboost"),
        _for_pytabkit,
    ),
    Model(
        "CatBoost-TD",
        "boosting",
        (*PYTABKIT, "catboost"),
        _pytabkit("CatBoost_TD", "catboost_interfaces", "catboost"),
        _for_pytabkit,
    ),
    Model("HistGradientBoosting", "other", COMMON, _boosting_of_sklearn, typed),
    Model("sklearn MLP", "other", COMMON, _mlp_of_sklearn),
    Model(
        "RealMLP-TD",
        "other",
        (*PYTABKIT, "pytorch-lightning"),
        _pytabkit("RealMLP_TD", "nn_interfaces"),
        _for_pytabkit,
        slow=True,
        beside="tabdl RealMLP",
    ),
    Model("TabM-D", "other", PYTABKIT, _pytabkit("TabM_D", "tabm_interface"), _for_pytabkit, slow=True, beside="tabdl TabM"),
]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def backend() -> str:
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def networks() -> list[Model]:
    """tabdl's estimators of tables, as they are found; one that the user has to supply, or that reads only series, is none."""
    from tabdl import models

    kinds = ("Classifier", "Regressor")
    found = models.catalogue()
    names = sorted({public.removesuffix(kind) for public in found for kind in kinds if public.endswith(kind)})
    return [
        Model(f"tabdl {name}", "tabdl", (*COMMON, "keras", backend()), _network(name))
        for name in names
        if all(name + kind in found for kind in kinds)
        and not found[name + "Classifier"].endswith(".custom")
        and getattr(models.load_class(name + "Classifier"), "reads_tables", True)
    ]


def _network(name: str) -> Callable[[bool, int], Fitting]:
    def make(classes: bool, seed: int) -> Fitting:
        import keras  # noqa: F401  # tabdl itself imports it on first use

        from tabdl import models

        warnings.filterwarnings("ignore", message="columns dropped")
        return models.load_class(name + ("Classifier" if classes else "Regressor"))(random_state=seed), _validation

    return make


def in_order(own: list[Model], peers: list[Model]) -> list[Model]:
    """All models, those whose fit seconds are compared next to each other: tabdl's first."""
    compared = {peer.beside: peer for peer in peers}
    alone = [peer for peer in peers if peer.beside not in {model.name for model in own}]
    pairs = [one for model in own if model.name in compared for one in (model, compared[model.name])]
    return [*(model for model in own if model.name not in compared), *alone, *pairs]


def find(name: str) -> Model:
    known = networks() if name.startswith("tabdl ") else PEERS
    for model in known:
        if model.name == name:
            return model
    raise SystemExit(f"expected a model among {', '.join(model.name for model in known)}, received {name!r}")
