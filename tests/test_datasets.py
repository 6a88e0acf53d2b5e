"""The simulated conversion table: honest, reproducible, and its truth is the truth."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tabdl.datasets import CAUSES, MOMENT, PLANS, conversion, conversion_logit, make_conversion, make_sales, sales
from tabdl.errors import ParameterError, SchemaError


@pytest.fixture(scope="module")
def large():
    return make_conversion(20_000, random_state=0, return_probability=True)


def expit(x):
    return 1 / (1 + np.exp(-x))


def digest(*parts) -> int:
    return sum(int(pd.util.hash_pandas_object(part).to_numpy().sum()) for part in parts) % 2**64


def test_columns_have_the_documented_kinds_and_ranges(large):
    X, converted, probability = large
    assert X.shape == (20_000, 21)
    assert set(CAUSES) | {"customer_id", "pages", "noise"} == set(X.columns)
    assert (converted.name, probability.name) == ("converted", "probability")
    assert set(converted.unique()) == {0, 1}
    assert probability.between(0, 1).all()
    assert X["customer_id"].is_unique
    assert (str(X["age"].dtype), str(X["newsletter"].dtype)) == ("Int64", "boolean")
    assert X["age"].dropna().between(18, 85).all()
    assert X["plan"].cat.ordered
    assert tuple(X["plan"].cat.categories) == PLANS
    assert not X["device"].cat.ordered
    assert X["business"].dtype == bool
    assert X["app_installed"].dtype == bool
    for name in ("income", "discount", "minutes_per_visit", "noise"):
        assert X[name].dtype == np.float64, name
    for name in ("team_size", "visits", "pages", "support_tickets"):
        assert X[name].dtype == np.int64, name
        assert X[name].min() >= 0, name
        assert X[name].skew() > 2, name
    assert (X["pages"] >= X["visits"]).all()
    assert X["city"].nunique() > 1_000
    assert X["referrer"].nunique() > 1_200
    assert X["campaign"].nunique() > 400
    assert X["city"].value_counts().iloc[0] > 20 * X["city"].value_counts().median()


def test_nothing_is_known_after_the_moment_of_prediction(large):
    X = large[0]
    assert (X["last_visit"] < MOMENT).all()
    assert (X["signup_date"] <= X["last_visit"]).all()
    assert (X["signup_date"] == X["signup_date"].dt.normalize()).all()


def test_gaps_are_only_where_documented(large):
    gaps = large[0].isna().mean()
    assert set(gaps[gaps > 0].index) == {"age", "income", "minutes_per_visit", "newsletter"}
    for name, share in (("age", 0.08), ("income", 0.26), ("minutes_per_visit", 0.05), ("newsletter", 0.03)):
        assert gaps[name] == pytest.approx(share, abs=0.02), name


def test_only_the_gap_in_income_informs(large):
    X, converted, _ = large
    assert converted[X["income"].isna()].mean() < 0.7 * converted[X["income"].notna()].mean()
    for name in ("age", "minutes_per_visit", "newsletter"):
        gap = X[name].isna()
        error = np.sqrt(converted.var() / gap.sum())
        assert abs(converted[gap].mean() - converted.mean()) < 4 * error, name


@pytest.mark.parametrize("seed", range(40))
def test_about_five_percent_convert(seed):
    assert 0.04 <= make_conversion(5_000, random_state=seed)[1].mean() <= 0.06


def test_labels_are_redrawn_until_their_share_fits():
    class Uniforms:
        draws = [np.full(5_000, 0.99), np.linspace(0, 1, 5_000)]  # no positive at all, then 5%

        def random(self, n):
            return self.draws.pop(0)

    assert conversion._labels(np.full(5_000, 0.05), Uniforms()).mean() == pytest.approx(0.05, abs=0.001)
    assert Uniforms.draws == []


def test_truth_is_calibrated_within_binomial_error(large):
    _, converted, probability = large
    for bin_ in np.array_split(np.argsort(probability.to_numpy()), 10):
        p = probability.to_numpy()[bin_]
        error = np.sqrt((p * (1 - p)).sum())
        assert abs(converted.to_numpy()[bin_].sum() - p.sum()) < 4 * error + 1


def test_truth_is_calibrated_over_many_rows():
    tables = [make_conversion(20_000, seed, return_probability=True) for seed in range(1, 6)]
    p = np.concatenate([table[2] for table in tables])
    z = (np.concatenate([table[1] for table in tables]).sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 4


def test_probability_follows_from_the_visible_row(large):
    X, _, probability = large
    logit = conversion_logit(X)
    hidden = X[["age", "minutes_per_visit", "newsletter"]].isna().any(axis=1)
    np.testing.assert_array_equal(logit.isna(), hidden)
    np.testing.assert_array_equal(expit(logit[~hidden]), probability[~hidden])
    assert logit[~hidden & X["income"].isna()].notna().all()


def test_logit_survives_a_csv_file_row_order_and_extra_columns(tmp_path):
    X = make_conversion(200, random_state=0)[0]
    X.to_csv(tmp_path / "customers.csv", index=False)
    again = pd.read_csv(tmp_path / "customers.csv").sample(frac=1, random_state=0).assign(extra=1)
    logit = conversion_logit(again)
    np.testing.assert_allclose(logit.sort_index(), conversion_logit(X), rtol=1e-12)


def test_logit_names_missing_columns():
    X = make_conversion(5, random_state=0)[0]
    with pytest.raises(SchemaError, match=r"\['age', 'city'\]; add them"):
        conversion_logit(X.drop(columns=["age", "city"]))


@pytest.mark.parametrize("name", ["noise", "pages", "customer_id"])
def test_columns_without_effect_have_none(large, name):
    X = large[0].dropna()
    shuffled = X.assign(**{name: X[name].sample(frac=1, random_state=0).to_numpy()})
    pd.testing.assert_series_equal(conversion_logit(shuffled), conversion_logit(X))


def test_noise_is_independent_and_pages_only_look_useful(large):
    X, converted, probability = large
    assert abs(np.corrcoef(X["noise"], probability)[0, 1]) < 4 / np.sqrt(len(X))
    numbers = X.drop(columns="noise").select_dtypes("number").astype(float)
    assert numbers.corrwith(X["noise"]).abs().max() < 4.5 / np.sqrt(len(X))
    assert roc_auc_score(converted, X["noise"]) == pytest.approx(0.5, abs=0.04)
    assert roc_auc_score(converted, X["pages"]) > 0.55


@pytest.mark.parametrize("name", CAUSES)
def test_columns_with_an_effect_have_one(large, name):
    X = large[0].dropna().head(2_000)
    shuffled = X.assign(**{name: X[name].sample(frac=1, random_state=0).array})
    assert (conversion_logit(shuffled) - conversion_logit(X)).std() > 0.1


def test_no_single_column_leaks(large):
    X, converted, probability = large
    X = X.drop(columns="customer_id")
    half = np.arange(len(X)) < len(X) // 2
    for name in X:
        groups = X[name].astype(str)
        if X[name].nunique() > 20 and not pd.api.types.is_string_dtype(X[name].dtype):
            groups = pd.qcut(X[name].astype("int64" if "date" in str(X[name].dtype) else float), 20, duplicates="drop").astype(
                str
            )
        mean = probability[half].groupby(groups[half]).mean()  # the best a model of this column alone could learn
        score = groups[~half].map(mean).fillna(probability[half].mean()).astype(float)
        assert roc_auc_score(converted[~half], score) < 0.75, name


def test_truth_ranks_far_above_a_linear_score(large):
    _, converted, probability = large
    assert roc_auc_score(converted, probability) > 0.88
    assert average_precision_score(converted, probability) > 0.4


def test_lightgbm_beats_logistic_regression():
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm belongs to the extra 'bench'")
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X, converted = make_conversion(20_000, random_state=1)
    X = X.drop(columns="customer_id").assign(
        recency=(MOMENT - X["last_visit"]).dt.days,
        tenure=(MOMENT - X["signup_date"]).dt.days,
        hour=X["last_visit"].dt.hour,
        weekday=X["last_visit"].dt.day_of_week,
        month=X["signup_date"].dt.month,
    )
    X = X.drop(columns=["last_visit", "signup_date"]).astype({"age": float, "newsletter": float})
    texts = ["city", "campaign", "referrer", "industry", "plan", "device"]
    X[texts] = X[texts].astype(str).astype("category")
    train, test = np.arange(20_000) < 14_000, np.arange(20_000) >= 14_000
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20), texts + ["hour", "weekday", "month"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), make_column_selector(dtype_exclude="category")),
    )
    linear = make_pipeline(encoder, LogisticRegression(C=0.1, max_iter=1_000)).fit(X[train], converted[train])
    trees = lightgbm.LGBMClassifier(
        n_estimators=300, learning_rate=0.04, num_leaves=15, cat_smooth=30, cat_l2=20, colsample_bytree=0.6,
        random_state=0, verbose=-1, n_jobs=1,
    ).fit(X[train], converted[train])  # fmt: skip
    scores = [model.predict_proba(X[test])[:, 1] for model in (linear, trees)]
    auc = [roc_auc_score(converted[test], score) for score in scores]
    precision = [average_precision_score(converted[test], score) for score in scores]
    assert auc[1] > auc[0] + 0.03
    assert precision[1] > 1.2 * precision[0]


def test_same_seed_same_bits_in_another_process():
    code = (
        "import pandas as pd; from tabdl.datasets import make_conversion;"
        "parts = make_conversion(300, random_state=7, return_probability=True);"
        "print(sum(int(pd.util.hash_pandas_object(p).to_numpy().sum()) for p in parts) % 2**64)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(other) == digest(*make_conversion(300, random_state=7, return_probability=True))


STATES = [lambda: 3, lambda: np.int64(3), lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)]


@pytest.mark.parametrize("state", STATES, ids=["int", "int64", "Generator", "RandomState"])
def test_every_kind_of_random_state_repeats(state):
    assert digest(*make_conversion(100, state())) == digest(*make_conversion(100, state()))


def test_a_given_generator_moves_on_and_none_is_fresh():
    for state in (np.random.default_rng(0), np.random.RandomState(0), None):
        assert digest(*make_conversion(50, state)) != digest(*make_conversion(50, state))
    assert digest(*make_conversion(50, 0)) != digest(*make_conversion(50, 1))


@pytest.mark.parametrize("state", [0, None])
def test_global_random_state_is_untouched(state):
    before = np.random.get_state()
    make_conversion(100, state)
    after = np.random.get_state()
    assert before[2:] == after[2:]
    assert (before[1] == after[1]).all()


@pytest.mark.parametrize("n", [0, -5, 2.5, "10", True])
def test_wrong_n(n):
    with pytest.raises(ParameterError, match="n should be a whole number of rows, 1 or more, received"):
        make_conversion(n)


@pytest.mark.parametrize("state", [-1, 0.5, "seed"])
def test_wrong_random_state(state):
    with pytest.raises(ParameterError, match=r"random_state should be None, .* received"):
        make_conversion(10, state)


@pytest.mark.parametrize("n", [1, 2, 17])
def test_few_rows(n):
    X, converted, probability = make_conversion(n, return_probability=True)
    assert len(X) == len(converted) == len(probability) == n
    assert (X.index == converted.index).all()


def test_names_are_many_and_distinct():
    for names, count in ((conversion._cities(), 1_200), (conversion._campaigns(), 480), (conversion._referrers(), 1_600)):
        assert len(names) == len(set(names)) == count
    fixed = conversion._fixed(pd.Series(conversion._cities()))
    assert abs(fixed.mean()) < 0.1
    assert fixed.std() == pytest.approx(1 / np.sqrt(3), abs=0.05)


def test_import_is_cheap():
    code = "import sys, tabdl.datasets; assert not {'pandas', 'sklearn', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_example_in_the_documentation_runs():
    assert doctest.testmod(conversion).failed == 0


# --- sales --------------------------------------------------------------------------------------------------------------


def test_sales_are_a_panel_with_every_kind_of_column():
    table = make_sales(stores=12, days=400, random_state=3)
    assert not table.duplicated(["store", "date"]).any()
    assert table.equals(table.sort_values(["store", "date"]))
    assert table.drop(columns=["sales", "visitors"]).notna().all().all()
    assert 0.005 < table["sales"].isna().mean() < 0.02
    assert (table["sales"].isna() == table["visitors"].isna()).all()
    assert (table.groupby("store")[["city", "size"]].nunique() == 1).all().all()
    counts = table.groupby("store").size()
    assert counts.tolist() == [400] * 11 + [80]
    assert table.groupby("store")["date"].max().nunique() == 1
    assert set(table["promo"].unique()) == {0, 1}


def test_sales_have_the_documented_effects():
    table = make_sales(stores=40, days=730, random_state=0).dropna()
    ratio = np.log(table["sales"] / table["visitors"])
    assert ratio[table["promo"] == 1].mean() - ratio[table["promo"] == 0].mean() == pytest.approx(0.35, abs=0.01)
    assert ratio[table["promo"] == 0].std() == pytest.approx(0.08, abs=0.01)
    visitors = np.log(table["visitors"]) - np.log(table["size"])
    week = visitors.groupby(table["date"].dt.day_of_week).mean()
    assert np.allclose(week - week.mean(), sales.WEEK - sales.WEEK.mean(), atol=0.02)


def test_sales_repeat_under_a_seed_and_grow_with_it():
    assert make_sales(3, 30, random_state=1).equals(make_sales(3, 30, random_state=1))
    assert not make_sales(3, 30, random_state=1).equals(make_sales(3, 30, random_state=2))
    assert make_sales(1, 1).shape == (1, 7)


@pytest.mark.parametrize("wrong", [dict(stores=0), dict(days=-1), dict(days=2.5), dict(stores=True), dict(random_state="x")])
def test_sales_refuse_what_is_no_count(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        make_sales(**wrong)


def test_the_example_of_sales_runs():
    assert doctest.testmod(sales).failed == 0
