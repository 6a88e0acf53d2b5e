"""A row of weight 3 counts like three rows: in the schema, the encoder, the target's scale, the loss and the validation score.

This is our own form of scikit-learn's check_sample_weight_equivalence: nothing random (no dropout), full batches, given
validation rows, and a tolerance that float32 can keep. Batch normalisation knows no weights, so that networks with it
are equivalent in everything but their running means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabdl import EmbeddingRegressor, MLPClassifier, MLPRegressor, ResNetClassifier, TabMClassifier, TabMRegressor

ROWS, HELD = 90, 60
CLOSE = 1e-4  # of the standard deviation of an output
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "number": RNG.normal(size=ROWS + HELD),
        "gappy": np.where(RNG.uniform(size=ROWS + HELD) < 0.3, np.nan, RNG.normal(50, 9, ROWS + HELD)),
        "visits": np.floor(RNG.lognormal(2, 2.5, ROWS + HELD)),
        "city": RNG.choice(["Oslo", "Bergen", "Tromsø", "Bodø", None], ROWS + HELD, p=[0.3, 0.3, 0.2, 0.1, 0.1]),
        "active": RNG.uniform(size=ROWS + HELD) < 0.5,
        "since": pd.Timestamp("2021-03-01") + pd.to_timedelta(RNG.integers(0, 900, ROWS + HELD), unit="D"),
    }
)
SIGNAL = (2 * TABLE["number"] + TABLE["active"] + RNG.normal(size=ROWS + HELD)).to_numpy()
WEIGHT = RNG.integers(1, 6, ROWS + HELD)
TARGETS = {
    "two classes": np.where(SIGNAL > 0, "yes", "no"),
    "three classes": np.digitize(SIGNAL, [-1, 1]),
    "labels": np.column_stack([SIGNAL > -1, SIGNAL > 1]).astype(int),
    "number": 100 + 10 * SIGNAL,
    "numbers": np.column_stack([SIGNAL, -5 * SIGNAL]),
    "counts": np.floor(np.exp(SIGNAL / 2)),
}
SAME: dict[str, Any] = {"dropout": 0.0, "batch_size": "full", "epochs": 12, "random_state": 0, "patience": 100}
MLP = {"units": (16,)}
TABM = {"members": 3, "width": 16, "bins": 6}
CASES = {
    "classifier": (MLPClassifier, MLP, "two classes"),
    "three classes": (MLPClassifier, MLP, "three classes"),
    "labels": (MLPClassifier, MLP, "labels"),
    "ordinal": (MLPClassifier, MLP | {"loss": "ordinal"}, "three classes"),
    "balanced": (MLPClassifier, MLP | {"class_weight": "balanced"}, "two classes"),
    "ranked by AUC": (MLPClassifier, MLP | {"metric": "auc"}, "two classes"),
    "penalised": (MLPClassifier, MLP | {"l1": 1e-3, "l2": 1e-3}, "two classes"),
    "layer norm": (ResNetClassifier, {"norm": "layer", "width": 8, "blocks": 1}, "two classes"),
    "piecewise-linear classifier": (TabMClassifier, TABM, "two classes"),
    "regressor": (MLPRegressor, MLP, "number"),
    "absolute errors": (MLPRegressor, MLP | {"loss": "mae"}, "number"),
    "several outputs": (MLPRegressor, MLP | {"metric": "r2"}, "numbers"),
    "counts": (MLPRegressor, MLP | {"loss": "poisson"}, "counts"),
    "logarithms": (MLPRegressor, MLP | {"loss": "log_mse"}, "counts"),
    "quantiles": (MLPRegressor, MLP | {"quantiles": (0.1, 0.5, 0.9)}, "number"),
    "piecewise-linear regressor": (TabMRegressor, TABM, "number"),
    "piecewise-linear quantiles": (TabMRegressor, TABM | {"quantiles": (0.1, 0.5, 0.9)}, "number"),
}


def outputs(model: Any) -> np.ndarray:
    p = model.predict_proba(TABLE) if hasattr(model, "predict_proba") else model.predict(TABLE)
    return p.reshape(len(TABLE), -1)


def assert_close(first: Any, second: Any) -> None:
    received, expected = outputs(first), outputs(second)
    assert (np.abs(received - expected) <= CLOSE * expected.std(axis=0)).all()


def fitted(model: Any, y: np.ndarray, index: np.ndarray, held: np.ndarray, weight: Any = None, held_weight: Any = None) -> Any:
    given = {"X_val": TABLE.iloc[held], "y_val": y[held], "sample_weight_val": held_weight}
    return model.fit(TABLE.iloc[index], y[index], weight, **given)


def pair(case: str) -> tuple[Any, Any]:
    """The model of weighted rows and the model of repeated rows."""
    cls, params, target = CASES[case]
    y, index, held = TARGETS[target], np.arange(ROWS), np.arange(ROWS, ROWS + HELD)
    weighted = fitted(cls(**SAME, **params), y, index, held, WEIGHT[index], WEIGHT[held])
    repeated = fitted(cls(**SAME, **params), y, np.repeat(index, WEIGHT[index]), np.repeat(held, WEIGHT[held]))
    return weighted, repeated


@pytest.mark.parametrize("case", CASES)
def test_weights_count_like_repeated_rows(case: str) -> None:
    weighted, repeated = pair(case)
    assert_close(weighted, repeated)
    assert weighted.best_epoch_ == repeated.best_epoch_
    if hasattr(weighted, "radii_"):
        np.testing.assert_allclose(weighted.radii_, repeated.radii_, rtol=0.011, err_msg="radii, rounded to three digits")
    else:
        assert weighted.temperature_ == pytest.approx(repeated.temperature_, rel=1e-3)
    for name, course in repeated.history_.items():
        if name != "seconds":
            np.testing.assert_allclose(weighted.history_[name], course, rtol=1e-4, atol=1e-6, err_msg=name)
    plain = fitted(
        type(weighted)(**weighted.get_params()), TARGETS[CASES[case][2]], np.arange(ROWS), np.arange(ROWS, ROWS + HELD)
    )
    distance = np.abs(outputs(plain) - outputs(weighted)).max(axis=0)
    assert (distance > 10 * CLOSE * outputs(weighted).std(axis=0)).any(), "the weights should matter at all"


def test_vocabularies_scales_and_bins_are_those_of_repeated_rows() -> None:
    weighted, repeated = pair("piecewise-linear regressor")
    assert weighted.schema_ == repeated.schema_
    (state, arrays), (expected_state, expected) = weighted.encoder_.state(), repeated.encoder_.state()
    assert state == expected_state
    for name, array in expected.items():
        np.testing.assert_allclose(arrays[name], array, rtol=1e-12, err_msg=name)
    for name in ("center", "scale"):
        np.testing.assert_allclose(weighted.target_.state()[name], repeated.target_.state()[name], rtol=1e-12)
    bins = [name for name in weighted.weights_ if name.rpartition("/")[2] in ("slope", "shift", "low", "high")]
    assert len(bins) == 4
    for name in bins:
        np.testing.assert_array_equal(weighted.weights_[name], repeated.weights_[name])


def test_frequencies_of_a_vocabulary_follow_the_weights() -> None:
    rare_but_heavy = np.where(TABLE["city"] == "Bodø", 100.0, 1.0)
    model = MLPRegressor(**SAME, units=(4,)).fit(TABLE, TARGETS["number"], rare_but_heavy)
    (city,) = [column for column in model.schema_.columns if column.name == "city"]
    assert city.values[0] == "Bodø"


@pytest.mark.parametrize("cls", [MLPClassifier, TabMRegressor, EmbeddingRegressor])
def test_rows_of_weight_zero_are_absent(cls: type) -> None:
    """Exactly, with the usual dropout, batches and held-out rows, and whatever those rows hold."""
    weight = WEIGHT * (np.arange(ROWS + HELD) % 3 > 0)
    y = TARGETS["two classes" if cls is MLPClassifier else "number"]
    strange = TABLE.copy()
    strange.loc[weight == 0, "city"] = "Atlantis"
    strange.loc[weight == 0, "number"] = 1e9
    with_zeros = cls(epochs=3, random_state=0).fit(strange, y, weight)
    without = cls(epochs=3, random_state=0).fit(TABLE[weight > 0], y[weight > 0], weight[weight > 0])
    np.testing.assert_array_equal(outputs(with_zeros), outputs(without))
    assert with_zeros.schema_ == without.schema_


@pytest.mark.parametrize("cls", [MLPClassifier, TabMRegressor, EmbeddingRegressor])
@pytest.mark.parametrize("equal", [1, 2.5, 1e-3])
def test_equal_weights_are_no_weights(cls: type, equal: float) -> None:
    y = TARGETS["two classes" if cls is MLPClassifier else "number"]
    plain = cls(epochs=3, random_state=0).fit(TABLE, y)
    np.testing.assert_array_equal(outputs(cls(epochs=3, random_state=0).fit(TABLE, y, np.full(len(y), equal))), outputs(plain))


@pytest.mark.parametrize("case", ["classifier", "quantiles", "piecewise-linear regressor"])
def test_only_the_ratio_of_weights_matters(case: str) -> None:
    cls, params, target = CASES[case]
    y, index, held = TARGETS[target], np.arange(ROWS), np.arange(ROWS, ROWS + HELD)
    first, second = (fitted(cls(**SAME, **params), y, index, held, factor * WEIGHT[index]) for factor in (1, 1000))
    assert_close(first, second)
