"""Rolling origins: whole times on one side, nothing of the future in training, and scikit-learn's tools on top."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from tabdl.datasets import make_sales
from tabdl.errors import ParameterError, SchemaError
from tabdl.splitting import RollingOrigin

TABLE = make_sales(stores=3, days=40, random_state=0).fillna(0).sample(frac=1, random_state=0)


def steps(splitter, X):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(X)]


def test_origins_roll_to_the_end_of_the_rows():
    assert steps(RollingOrigin(2, origins=2), np.zeros((7, 1))) == [([0, 1, 2], [3, 4]), ([0, 1, 2, 3, 4], [5, 6])]


def test_step_gap_and_lookback():
    splitter = RollingOrigin(2, origins=3, step=1, gap=1, lookback=2)
    assert steps(splitter, list(range(7))) == [([0, 1], [3, 4]), ([1, 2], [4, 5]), ([2, 3], [5, 6])]


@pytest.mark.parametrize("kind", ["column", "index", "level", "polars", "texts"])
@pytest.mark.parametrize("options", [dict(), dict(step=3), dict(gap=4, lookback=9)])
def test_no_training_row_is_at_or_after_the_origin(kind, options):
    X = {
        "column": TABLE,
        "index": TABLE.set_index("date"),
        "level": TABLE.set_index(["store", "date"]),
        "polars": polars.from_dict(TABLE.to_dict("list")),
        "texts": TABLE.assign(date=TABLE["date"].dt.strftime("%d.%m.%Y")),
    }[kind]
    splitter = RollingOrigin(7, origins=3, time=None if kind == "index" else "date", **options)
    day = TABLE["date"].to_numpy()
    splits = list(splitter.split(X))
    assert len(splits) == splitter.get_n_splits() == 3
    for train, test in splits:
        gap = np.timedelta64(options.get("gap", 0) + 1, "D")
        assert day[train].max() == day[test].min() - gap
        assert len(np.unique(day[test])) == 7
        assert not set(day[train]) & set(day[test])
        assert len(test) == np.isin(day, day[test]).sum()
        if "lookback" in options:
            assert len(np.unique(day[train])) == 9
    assert day[splits[-1][1]].max() == day.max()


def test_scikit_learn_cross_validates_and_searches_with_it():
    pick = make_column_transformer(("passthrough", ["promo", "size"]))
    splitter = RollingOrigin(7, origins=2, time="date")
    assert np.isfinite(cross_val_score(make_pipeline(pick, Ridge()), TABLE, TABLE["sales"], cv=splitter)).all()
    search = GridSearchCV(make_pipeline(pick, Ridge()), {"ridge__alpha": [0.1, 10.0]}, cv=splitter)
    search = clone(search).fit(TABLE, TABLE["sales"])
    assert search.n_splits_ == 2


def test_training_never_sees_a_spike_from_the_origin_on():
    y = np.zeros(20)
    y[14:] = 1e9
    scores = cross_val_score(DummyRegressor(), np.zeros((20, 1)), y, cv=RollingOrigin(6, origins=1), scoring="neg_max_error")
    assert scores.tolist() == [-1e9]


def test_splitting_leaves_the_table_as_it_was():
    before = TABLE.copy()
    list(RollingOrigin(3, time="date").split(TABLE))
    pd.testing.assert_frame_equal(TABLE, before)


def test_too_short_a_table_says_how_long_it_should_be():
    with pytest.raises(ParameterError, match="at least 12 steps for 3 origins of horizon 3, received 11"):
        list(RollingOrigin(3, origins=3, gap=1, lookback=2).split(np.zeros((11, 1))))
    assert len(list(RollingOrigin(3, origins=3, gap=1, lookback=2).split(np.zeros((12, 1))))) == 3


@pytest.mark.parametrize(
    "wrong", [dict(horizon=0), dict(horizon=2.5), dict(origins=0), dict(step=0), dict(gap=-1), dict(lookback=0), dict(gap=None)]
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=rf"RollingOrigin\({next(iter(wrong))}="):
        list(RollingOrigin(**{"horizon": 1, **wrong}).split(np.zeros((9, 1))))


def test_a_time_that_is_not_there_is_refused():
    with pytest.raises(SchemaError, match="expected a column 'day'"):
        list(RollingOrigin(3, time="day").split(TABLE))
    with pytest.raises(SchemaError, match="received ndarray; leave out time="):
        list(RollingOrigin(3, time="day").split(np.zeros((9, 2, 2))))
