"""Forecasters: long tables in, tidy forecasts out, and one sentence for what cannot be forecast."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import tabdl
from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.estimators.histories import Roles, read_static
from tabdl.frames import read_frame

STEPS, HORIZON = 120, 7


def stores(steps: int = STEPS, seed: int = 0, names: str = "ab") -> pd.DataFrame:
    """Days of two stores: a week's pattern, promotions that lift sales by 8, gaps, two targets."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, name in enumerate(names):
        promo = rng.uniform(size=steps) < 0.25
        week = np.array([0, 1, 2, 3, 6, 9, 4.0])[np.arange(steps) % 7]
        sales = 30 + 10 * number + week + 8 * promo + rng.normal(size=steps)
        times = pd.date_range("2024-01-01", periods=steps)
        columns = {"store": name, "date": times, "sales": sales, "promo": np.where(promo, "yes", "no")}
        parts.append(
            pd.DataFrame(columns | {"visitors": sales * 3 + rng.normal(size=steps), "city": "Oslo" if number else "Bergen"})
        )
    return pd.concat(parts, ignore_index=True)


ROLES = {"horizon": HORIZON, "time": "date", "id": "store", "target": "sales"}
TABLE = stores(STEPS + HORIZON)
PAST, AFTER = TABLE[TABLE["date"] < "2024-04-30"], TABLE[TABLE["date"] >= "2024-04-30"]


def new(**params: Any) -> Any:
    return tabdl.RidgeForecaster(**ROLES | params)


@pytest.fixture(scope="module")
def model() -> Any:
    return new().fit(PAST)


@pytest.fixture(scope="module")
def knowing() -> Any:
    return new(known="promo", past=("visitors",), static="city").fit(PAST)


def error(forecast: pd.DataFrame) -> float:
    both = forecast.merge(AFTER, on=["store", "date"])
    assert len(both) == 2 * HORIZON
    return float(np.abs(both["mean"] - both["sales"]).mean())


# ---- what predict returns ------------------------------------------------------------------------------------------------


def test_a_tidy_table(model: Any) -> None:
    forecast = model.predict()
    assert list(forecast.columns) == ["store", "date", "mean", "q0.025", "q0.1", "q0.9", "q0.975"]
    assert forecast["store"].tolist() == ["a"] * HORIZON + ["b"] * HORIZON
    assert forecast["date"].tolist() == list(pd.date_range("2024-04-30", periods=HORIZON)) * 2
    assert forecast["date"].dtype == TABLE["date"].dtype
    bounds = forecast[["q0.025", "q0.1", "mean", "q0.9", "q0.975"]].to_numpy()
    assert (np.diff(bounds, axis=1) >= 0).all()
    assert error(forecast) < 5


def test_levels(model: Any) -> None:
    assert list(model.predict(levels=(0.5,)).columns[3:]) == ["q0.25", "q0.75"]
    assert list(model.predict(levels=()).columns[3:]) == []
    with pytest.raises(ParameterError, match="expected shares between 0 and 1"):
        model.predict(levels=(95,))


def test_intervals_hold_their_share() -> None:
    rng = np.random.default_rng(0)
    values = [10 * np.sin(np.arange(400) * np.pi / 6) + rng.normal(size=400) * (1 + i) for i in range(12)]
    table = pd.concat([pd.DataFrame({"id": i, "t": np.arange(400), "y": v}) for i, v in enumerate(values)])
    fitted = tabdl.RidgeForecaster(horizon=12, time="t", id="id", target="y").fit(table[table["t"] < 300])
    inside = {level: [] for level in (0.8, 0.95)}
    for origin in range(300, 388, 12):
        both = fitted.predict(table[table["t"] < origin]).merge(table, on=["id", "t"])
        for level, (low, high) in {0.8: ("q0.1", "q0.9"), 0.95: ("q0.025", "q0.975")}.items():
            inside[level] += ((both[low] <= both["y"]) & (both["y"] <= both[high])).tolist()
    assert np.mean(inside[0.8]) == pytest.approx(0.8, abs=0.05)
    assert np.mean(inside[0.95]) == pytest.approx(0.95, abs=0.03)


def test_several_targets_and_no_id() -> None:
    table = PAST[PAST["store"] == "a"]
    fitted = new(id=None, target=("sales", "visitors")).fit(table)
    forecast = fitted.predict()
    assert list(forecast.columns[:3]) == ["date", "target", "mean"]
    assert forecast["target"].tolist() == ["sales"] * HORIZON + ["visitors"] * HORIZON
    alone = new(id=None).fit(table).predict()
    np.testing.assert_allclose(forecast["mean"][:HORIZON], alone["mean"], atol=4)
    assert forecast["mean"][HORIZON:].mean() > 60


def test_several_ids_keep_their_types() -> None:
    table = PAST.assign(item=np.where(PAST["store"] == "a", 1, 2))
    forecast = new(id=("store", "item")).fit(table).predict()
    assert list(forecast.columns[:3]) == ["store", "item", "date"]
    assert forecast["item"].tolist() == [1] * HORIZON + [2] * HORIZON
    assert forecast["item"].dtype.kind == "i"


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_dates_as_text_come_back_as_text(form: str) -> None:
    table = PAST.assign(date=PAST["date"].dt.strftime(form))
    forecast = new().fit(table).predict()
    assert forecast["date"].tolist() == AFTER["date"].dt.strftime(form).tolist()


def test_libraries_agree(model: Any) -> None:
    import polars
    import pyarrow

    expected = model.predict()
    for table in (polars.from_pandas(PAST), pyarrow.Table.from_pandas(PAST), PAST.to_dict("records"), PAST.to_dict("list")):
        found = new().fit(table).predict()
        np.testing.assert_array_equal(found["mean"], expected["mean"])
        assert found["date"].tolist() == expected["date"].tolist()


def test_times_in_the_index() -> None:
    table = PAST[PAST["store"] == "a"].set_index("date")
    assert new(id=None).fit(table).predict()["date"].tolist() == AFTER["date"].tolist()[:HORIZON]
    pd.testing.assert_frame_equal(new(id=None).fit(table["sales"]).predict(), new(id=None).fit(table[["sales"]]).predict())


# ---- history -------------------------------------------------------------------------------------------------------------


def test_history_is_where_a_forecast_begins(model: Any) -> None:
    pd.testing.assert_frame_equal(model.predict(PAST), model.predict())
    earlier = model.predict(PAST[PAST["date"] < "2024-03-01"])
    assert earlier["date"].min() == pd.Timestamp("2024-03-01")
    one = model.predict(PAST[PAST["store"] == "b"])
    pd.testing.assert_frame_equal(one, model.predict()[HORIZON:].reset_index(drop=True))


def test_late_targets_leave_what_is_known_of_their_steps(knowing: Any) -> None:
    """The table itself says what is known of the steps after the last known target."""
    late = pd.concat([PAST, AFTER.assign(sales=np.nan)])
    expected = knowing.predict(PAST, AFTER)
    pd.testing.assert_frame_equal(knowing.predict(late), expected)
    fitted = new(known="promo", past=("visitors",), static="city").fit(late)
    pd.testing.assert_frame_equal(fitted.predict(), expected)
    other = AFTER.assign(promo=np.where(AFTER["promo"] == "yes", "no", "yes"))
    pd.testing.assert_frame_equal(knowing.predict(late, other), knowing.predict(PAST, other))
    with pytest.raises(SchemaError, match="received a gap in 'promo' at 2024-04-30"):
        knowing.predict(late.assign(promo=late["promo"].mask(late["sales"].isna())))


def test_series_without_a_value_are_left_out(model: Any, knowing: Any) -> None:
    empty = PAST[PAST["store"] == "a"].assign(store="empty", sales=np.nan, city="Rome")
    table = pd.concat([empty, PAST])
    says = "1 of 3 series are left out, as they have no known value of 'sales': series store='empty'"
    with pytest.warns(UserWarning, match=f"fit: {says}"):
        found = new(known="promo", past=("visitors",), static="city").fit(table)
    assert found.ids_ == knowing.ids_
    pd.testing.assert_frame_equal(found.predict(future=AFTER), knowing.predict(future=AFTER))
    with pytest.warns(UserWarning, match=f"history: {says}") as caught:
        pd.testing.assert_frame_equal(model.predict(table), model.predict(PAST))
    assert caught[0].filename == __file__
    with pytest.raises(TargetError, match="expected known values of 'sales' in series store='a', received only gaps"):
        new().fit(PAST.assign(sales=np.nan))


def test_static_cells_may_be_missing(knowing: Any) -> None:
    gappy = PAST.assign(city=PAST["city"].mask(PAST["date"] < "2024-01-03"))
    roles = Roles.of("date", "store", "sales", None, None, "city")
    assert read_static(read_frame(gappy), roles, len(gappy)).columns["city"].tolist() == ["Bergen", "Oslo"]
    changed = gappy.assign(city=gappy["city"].mask(gappy.index == gappy.index[9], "Rome"))
    with pytest.raises(SchemaError, match="one value a series, received 'Bergen' and 'Rome' in series store='a'"):
        read_static(read_frame(changed), roles, len(changed))


def test_a_fit_that_fails_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new().fit(PAST)
    before, state = model.predict(), dict(vars(model))

    def crash(*given: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(type(model), "_learn", crash)
    with pytest.raises(RuntimeError, match="luck"):
        model.fit(PAST.assign(sales=1.0 + np.arange(len(PAST))))
    assert vars(model) == state
    pd.testing.assert_frame_equal(model.predict(), before)


def test_unknown_series_and_short_ones(model: Any) -> None:
    new_store = PAST[(PAST["store"] == "a") & (PAST["date"] >= "2024-04-15")].assign(store="new")
    assert len(new_store) < model.lookback_
    forecast = model.predict(new_store)
    assert forecast["store"].unique().tolist() == ["new"]
    assert np.isfinite(forecast.select_dtypes("number").to_numpy()).all()
    assert np.abs(forecast["mean"] - AFTER["sales"].to_numpy()[:HORIZON]).mean() < 6
    assert np.isfinite(model.predict(new_store[:1])["mean"]).all()


def test_gaps_in_rows_and_cells(model: Any) -> None:
    gappy = PAST.drop(index=PAST.index[[5, 6, 50, 117, 160]])
    gappy.loc[gappy.index[70], "sales"] = np.nan
    fitted = new().fit(gappy)
    assert fitted.predict()["date"].tolist() == model.predict()["date"].tolist()
    np.testing.assert_allclose(fitted.predict()["mean"], model.predict()["mean"], atol=5)


def test_the_order_of_rows_does_not_count_and_the_table_stays(model: Any) -> None:
    shuffled = pd.concat([PAST[:1], PAST[1:].sample(frac=1, random_state=0)])
    before = shuffled.copy()
    pd.testing.assert_frame_equal(new().fit(shuffled).predict(), model.predict())
    pd.testing.assert_frame_equal(shuffled, before)


# ---- covariates ------------------------------------------------------------------------------------------------------------


def test_known_covariates_help(model: Any, knowing: Any) -> None:
    assert error(knowing.predict(future=AFTER)) < 0.6 * error(model.predict())
    lifted = knowing.predict(future=AFTER.assign(promo="yes"))["mean"] - knowing.predict(future=AFTER.assign(promo="no"))["mean"]
    assert lifted.mean() == pytest.approx(8, abs=1.5)


def test_days_without_an_event_have_no_name_of_one() -> None:
    names = TABLE.assign(promo=TABLE["promo"].replace("no", None))
    ahead = names[names["date"] >= "2024-04-30"]
    found = new(known="promo").fit(names[names["date"] < "2024-04-30"])
    expected = new(known="promo").fit(PAST).predict(future=AFTER)
    np.testing.assert_allclose(found.predict(future=ahead)["mean"], expected["mean"], rtol=1e-6)


def test_the_past_tells_nothing_of_the_future_of_past_covariates(knowing: Any) -> None:
    plain = knowing.predict(future=AFTER)
    pd.testing.assert_frame_equal(knowing.predict(future=AFTER.assign(visitors=1e9)), plain)
    pd.testing.assert_frame_equal(knowing.predict(future=AFTER[["store", "date", "promo"]].sample(frac=1, random_state=1)), plain)
    pd.testing.assert_frame_equal(knowing.predict(PAST, TABLE), plain)


@pytest.mark.parametrize(
    ("future", "says"),
    [
        (None, "received no row at 2024-04-30 00:00:00 of series store='a'"),
        (AFTER[:-1], "received no row at 2024-05-06 00:00:00 of series store='b'"),
        (AFTER.assign(promo=AFTER["promo"].where(AFTER.index != AFTER.index[2])), "received a gap in 'promo' at 2024-05-02"),
        (AFTER.drop(columns="promo"), "the table lacks 'promo'"),
        (AFTER.assign(date=AFTER["date"].dt.tz_localize("UTC")), "expected times without a time zone as in fit"),
    ],
)
def test_a_future_that_is_not_complete(knowing: Any, future: Any, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        knowing.predict(future=future)


def test_the_calendar_tells_what_a_short_lookback_does_not() -> None:
    hours = pd.date_range("2024-01-01", periods=24 * 50, freq="h")
    sales = 10.0 + 5 * (hours.day_of_week >= 5) + 0.3 * np.random.default_rng(0).normal(size=len(hours))
    table = pd.DataFrame({"date": hours, "sales": sales})
    friday = table[table["date"] < "2024-02-10"]
    ahead = {}
    for calendar in (True, False):
        fitted = new(id=None, horizon=12, lookback=24, season=24, calendar=calendar).fit(table)
        ahead[calendar] = fitted.predict(friday)["mean"].mean()
    assert ahead[True] == pytest.approx(15, abs=1.5)
    assert ahead[False] < 12.5


# ---- errors ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "table", "error", "says"),
    [
        ({"horizon": 0}, PAST, ParameterError, "horizon=0"),
        ({"season": ()}, PAST, ParameterError, "season=.*: expected one season or more, received none"),
        ({"known": "price"}, PAST.assign(price=np.nan), SchemaError, "known column 'price': expected values .* only gaps"),
        ({"known": "price"}, PAST.assign(price=None), SchemaError, "known column 'price': expected values .* only gaps"),
        ({"time": None}, PAST, ParameterError, "time=None: expected the name of the column of times"),
        ({"target": ()}, PAST, ParameterError, "expected the name of the column to forecast"),
        ({"known": "sales"}, PAST, ParameterError, "column 'sales' has two roles"),
        ({"known": "price"}, PAST, SchemaError, "the table lacks 'price'"),
        ({"id": "shop"}, PAST, SchemaError, "the table lacks 'shop'"),
        ({"lookback": 114}, PAST, SchemaError, "lookback=114: expected a series of at least 121 steps, .* received 120"),
        ({"horizon": 61}, PAST, SchemaError, "at least 122 steps, twice the horizon, received 120"),
        ({}, PAST.assign(sales=np.nan), TargetError, "received only gaps"),
        ({}, PAST.assign(sales="many"), TargetError, "should hold numbers"),
        ({}, PAST.assign(sales=np.inf), TargetError, "received infinity in row 0"),
        ({}, PAST.assign(sales=PAST["date"]), TargetError, "received times"),
        ({}, pd.concat([PAST, PAST[:1]]), SchemaError, "2024-01-01 00:00:00 twice in series store='a'"),
        ({"id": None}, PAST, SchemaError, "twice in the series"),
        ({}, PAST.assign(date="soon"), SchemaError, "received 'soon' in row 0"),
        (
            {},
            PAST.assign(date=PAST["date"].where(PAST.index != 9, PAST["date"] + pd.Timedelta("5h"))),
            SchemaError,
            "steps of 1 day",
        ),
        (
            {},
            pd.concat([PAST[:60], stores(30, names="c").assign(date=pd.date_range("2024", periods=30, freq="W"))]),
            SchemaError,
            "others in series store='c'",
        ),
        ({}, PAST[:0], SchemaError, "fit: expected one row a step, received a table without rows"),
        ({"static": "promo"}, PAST, SchemaError, "static column 'promo': expected one value a series, received 'no' and 'yes'"),
    ],
)
def test_what_cannot_be_learned(params: dict[str, Any], table: pd.DataFrame, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        new(**params).fit(table)


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (PAST.drop(columns="sales"), "history: expected the columns .* the table lacks 'sales'"),
        (
            PAST.assign(date=PAST["date"].dt.tz_localize("Europe/Oslo")),
            "without a time zone as in fit, received times in the time zone",
        ),
        (pd.concat([PAST, PAST[:1]]), "twice in series store='a'"),
        (PAST.assign(date=PAST["date"] + pd.to_timedelta(np.arange(len(PAST)) % 2, unit="h")), "steps of 1 day"),
    ],
)
def test_a_history_that_does_not_fit(model: Any, history: pd.DataFrame, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        model.predict(history)


def test_a_failed_fit_leaves_the_model(model: Any) -> None:
    copied = pickle.loads(pickle.dumps(model))
    with pytest.raises(TargetError):
        copied.fit(PAST.assign(sales=np.nan))
    pd.testing.assert_frame_equal(copied.predict(), model.predict())


# ---- estimators --------------------------------------------------------------------------------------------------------------


def test_attributes(model: Any) -> None:
    assert (model.horizon_, model.season_) == (HORIZON, 7)
    assert model.lookback_ % 7 == 0
    assert 0 < model.score_ < 1
    assert new(lookback=21, season=14).fit(PAST).lookback_ == 21
    assert new(season=(7, 14)).fit(PAST).forecasts_.seasons == (7, 14)


def test_clone_params_and_repr(model: Any) -> None:
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert copied.set_params(horizon=3).horizon == 3
    assert "horizon=7" in repr(model)
    assert "RidgeForecaster" in model._repr_html_()
    with pytest.raises(NotFittedError, match="RidgeForecaster"):
        copied.predict()
    with pytest.raises(TypeError, match="no_such"):
        tabdl.RidgeForecaster(no_such=1)


def test_pickle_and_the_same_bits_again(model: Any) -> None:
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())
    pd.testing.assert_frame_equal(new().fit(PAST).predict(), model.predict())


def test_save_and_load_without_rows(knowing: Any, tmp_path: Any) -> None:
    loaded = tabdl.load(tabdl.save(knowing, tmp_path / "stores.tabdl"))
    assert type(loaded) is tabdl.RidgeForecaster
    assert loaded.get_params() == knowing.get_params() | {"known": "promo"}
    pd.testing.assert_frame_equal(loaded.predict(PAST, AFTER), knowing.predict(PAST, AFTER))
    with pytest.raises(SchemaError, match="a loaded model, which keeps no rows"):
        loaded.predict(future=AFTER)


def test_save_and_load_with_the_last_steps(tmp_path: Any) -> None:
    fitted = new(keep_history=True, known="promo").fit(PAST)
    with pytest.warns(UserWarning, match="contains rows of the training table"):
        path = tabdl.save(fitted, tmp_path / "stores.tabdl")
    pd.testing.assert_frame_equal(tabdl.load(path).predict(future=AFTER), fitted.predict(future=AFTER))


def test_a_picture(model: Any, tmp_path: Any) -> None:
    figure = model.plot_forecast(tmp_path / "fan.png")
    assert len(figure.axes) == 2
    assert figure.axes[1].get_title(loc="left") == "sales, series store='b'"
    assert (tmp_path / "fan.png").stat().st_size > 1000
