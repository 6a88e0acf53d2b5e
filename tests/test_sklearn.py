"""scikit-learn's own checks, and its tools around our estimators with real fits."""

from __future__ import annotations

import io
import pickle
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_predict, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import series_sizes

from tabdl import EmbeddingClassifier, MLPClassifier, MLPRegressor, TabMClassifier, models
from tabdl.testing import mixed_table

ROWS = 200
CHECKED_ALWAYS = ("MLPClassifier", "MLPRegressor", "TabMClassifier", "TabMRegressor")
OTHERS = [name for name in models.catalogue("Classifier", "Regressor") if name not in CHECKED_ALWAYS]
SMALL = {
    "MLP": {"units": (32, 32)},
    "TabM": {"members": 2, "width": 32, "bins": 8},
    "Neighbors": {"width": 16, "embedding_width": 4},
    "Tabular": {"members": 1},
    "ResNet": {"width": 32, "blocks": 1},
    "Embedding": {"units": (32,)},
    "FTTransformer": {"width": 16, "blocks": 1, "bins": 8},
    "DCN": {"units": (32,), "bins": 8},
    "CNN": {"width": 16, "blocks": 1, "bins": 8},
    "RNN": {"width": 16, "bins": 8},
    "Inception": {"width": 12, "depth": 3, "kernel_size": 8},
    "LITE": {"width": 16, "kernel_size": 8},
}


def _small(name: str) -> Any:
    """A cheap estimator of a public class; one without sizes of its own keeps its defaults."""
    network = name.removesuffix("Classifier").removesuffix("Regressor")
    sizes = SMALL.get(network) or series_sizes(name)
    return models.load_class(name)(**sizes, epochs=60, learning_rate=0.01)


def _run(check: Any, estimator: Any) -> None:
    """A check that must pass; but float32 keeps 1e-7, the bound of one of them, by luck only, and random masks keep it never."""
    try:
        check(estimator)
    except AssertionError:
        if check.func.__name__ != "check_sample_weight_equivalence_on_dense_data":
            raise
        pytest.xfail("float32 and random masks cannot give rtol 1e-7; see tests/test_weights.py")


@parametrize_with_checks([_small(name) for name in CHECKED_ALWAYS])
def test_sklearn_check(estimator: Any, check: Any) -> None:
    _run(check, estimator)


@pytest.mark.full
@parametrize_with_checks([_small(name) for name in OTHERS])
def test_sklearn_check_of_the_others(estimator: Any, check: Any) -> None:
    _run(check, estimator)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return mixed_table(ROWS)


@pytest.fixture(scope="module")
def y(table: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(7).normal(size=ROWS)
    return np.where(2 * table["number"] + table["active"] + 0.5 * noise > 0.5, "yes", "no")


def _mlp(**params: Any) -> Any:
    return MLPClassifier(**{"units": (16,), "epochs": 15, "learning_rate": 0.02, "random_state": 0} | params)


def _auc(model: Any, X: Any, y: np.ndarray) -> float:
    return roc_auc_score(y, model.predict_proba(X)[:, 1])


def test_grid_search_in_two_processes(table: pd.DataFrame, y: np.ndarray) -> None:
    grid = {"learning_rate": [1e-6, 0.02], "dropout": [0.0, 0.2]}
    search = GridSearchCV(_mlp(), grid, cv=2, n_jobs=2, scoring="roc_auc").fit(table, y)
    assert search.best_params_["learning_rate"] == 0.02  # 15 epochs at one millionth learn nothing
    assert _auc(search, table, y) > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_pipeline_with_column_transformer(table: pd.DataFrame, y: np.ndarray) -> None:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepare = ColumnTransformer(
        [("numbers", numbers, ["number", "gappy"]), ("city", OneHotEncoder(sparse_output=False), ["city", "active"])]
    )
    model = make_pipeline(prepare, _mlp()).fit(table, y)
    assert _auc(model, table, y) > 0.9
    assert model[-1].n_features_in_ == model[:-1].transform(table).shape[1]


def test_frames_of_set_output_reach_the_model(table: pd.DataFrame, y: np.ndarray) -> None:
    prepare = ColumnTransformer([("numbers", StandardScaler(), ["number", "gappy"])], remainder="passthrough")
    model = make_pipeline(prepare, _mlp()).set_output(transform="pandas").fit(table, y)
    assert {"numbers__number", "remainder__city"} <= set(model[-1].feature_names_in_)
    assert {c.name: c.kind for c in model[-1].schema_.columns}["remainder__city"] == "category"
    assert _auc(model, table, y) > 0.9


def test_voting(table: pd.DataFrame, y: np.ndarray) -> None:
    members = [("mlp", _mlp()), ("embedding", EmbeddingClassifier(units=(16,), epochs=5, learning_rate=0.02, random_state=0))]
    vote = VotingClassifier(members, voting="soft").fit(table, y)
    mean = np.mean([m.predict_proba(table) for m in vote.estimators_], axis=0)
    np.testing.assert_allclose(vote.predict_proba(table), mean)
    assert _auc(vote, table, y) > 0.9


def test_voting_of_regressors(table: pd.DataFrame) -> None:
    target = 100 * table["number"].to_numpy()
    members = [(f"seed {s}", MLPRegressor(units=(16,), epochs=15, learning_rate=0.02, random_state=s)) for s in (0, 1)]
    assert VotingRegressor(members).fit(table, target).score(table, target) > 0.7


def test_calibration(table: pd.DataFrame, y: np.ndarray) -> None:
    model = CalibratedClassifierCV(_mlp(), cv=2, method="sigmoid").fit(table, y)
    p = model.predict_proba(table)
    assert len(model.calibrated_classifiers_) == 2
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert _auc(model, table, y) > 0.85


def test_tuned_threshold(table: pd.DataFrame) -> None:
    rare = (table["number"] > 1).to_numpy()
    plain = _mlp().fit(table, rare)
    tuned = TunedThresholdClassifierCV(_mlp(), scoring="balanced_accuracy", cv=2).fit(table, rare)
    assert 0 < tuned.best_threshold_ < 1
    scores = [balanced_accuracy_score(rare, m.predict(table)) for m in (plain, tuned)]
    assert scores[1] >= scores[0] - 0.05
    assert tuned.predict(table).sum() >= plain.predict(table).sum()


def test_cross_val_predict(table: pd.DataFrame, y: np.ndarray) -> None:
    p = cross_val_predict(_mlp(), table, y, cv=3, method="predict_proba")
    assert p.shape == (ROWS, 2)
    assert roc_auc_score(y, p[:, 1]) > 0.85
    first, second = (cross_val_predict(_mlp(), table, y, cv=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_clone_fits_the_same_model(table: pd.DataFrame, y: np.ndarray) -> None:
    model = TabMClassifier(members=2, width=16, epochs=3, random_state=3).fit(table, y)
    copied = clone(model)
    assert not hasattr(copied, "weights_")
    np.testing.assert_array_equal(copied.fit(table, y).predict_proba(table), model.predict_proba(table))


@pytest.mark.parametrize("keeper", ["pickle", "joblib"])
def test_keeping(table: pd.DataFrame, y: np.ndarray, keeper: str) -> None:
    model = make_pipeline(_mlp(epochs=3)).fit(table, y)
    if keeper == "pickle":
        kept = pickle.loads(pickle.dumps(model))
    else:
        file = io.BytesIO()
        joblib.dump(model, file)
        file.seek(0)
        kept = joblib.load(file)
    np.testing.assert_array_equal(kept.predict_proba(table), model.predict_proba(table))
    assert kept[-1].history_ == model[-1].history_


def test_sample_weight_is_routed(table: pd.DataFrame, y: np.ndarray) -> None:
    """Weights reach the fits of a search only when asked for, and then they pull towards the heavy rows."""
    weight = np.where(y == "yes", 20.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = make_pipeline(_mlp(epochs=3).set_fit_request(sample_weight=True)).fit(table, y, sample_weight=weight)
        without = make_pipeline(_mlp(epochs=3)).fit(table, y)
        results = cross_validate(
            _mlp(epochs=3).set_fit_request(sample_weight=True).set_score_request(sample_weight=False),
            table,
            y,
            cv=2,
            params={"sample_weight": weight},
            return_estimator=True,
        )
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            make_pipeline(_mlp(epochs=3)).fit(table, y, sample_weight=weight)
    assert asked.predict_proba(table)[:, 1].mean() > without.predict_proba(table)[:, 1].mean() + 0.1
    assert all(m.predict_proba(table)[:, 1].mean() > 0.6 for m in results["estimator"])


def test_several_targets_one_model_each(table: pd.DataFrame, y: np.ndarray) -> None:
    targets = np.column_stack([y, np.where(table["active"], "on", "off")])
    model = MultiOutputClassifier(_mlp()).fit(table, targets)
    assert model.predict(table).shape == (ROWS, 2)
    assert [list(classes) for classes in model.classes_] == [["no", "yes"], ["off", "on"]]
    assert (model.predict(table) == targets).mean() > 0.85


def test_beside_other_classifiers(table: pd.DataFrame, y: np.ndarray) -> None:
    """A vote with scikit-learn's own models, on columns that both can read."""
    numbers = table[["number", "active"]].astype(float)
    vote = VotingClassifier([("mlp", _mlp()), ("linear", LogisticRegression())], voting="soft").fit(numbers, y)
    assert _auc(vote, numbers, y) > 0.9
