"""What the parameters of all forecasters do."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effects import effect

import tabdl
from tabdl.errors import SchemaError
from tabdl.testing.forecasts import HORIZON, SHOPS, ForecastCase, numbers

CASE = ForecastCase(tabdl.RidgeForecaster, {})
TABLE, FUTURE = CASE.table, CASE.future


def fitted(table: Any = TABLE, **params: Any) -> Any:
    return CASE.new(**params).fit(table)


def forecast(table: Any = TABLE, future: Any = None, **params: Any) -> Any:
    return fitted(table, **params).predict(future=future)


@effect("PanelForecaster.horizon")
def test_horizon() -> None:
    last = TABLE["day"].max()
    for horizon in (1, 12):
        found = forecast(horizon=horizon)
        assert found["day"].tolist() == list(pd.date_range(last, periods=horizon + 1)[1:]) * len(SHOPS)


@effect("PanelForecaster.time")
def test_time() -> None:
    """Steps follow the column that is named, in its type and whatever the order of the rows."""
    table = TABLE.assign(number=(TABLE["day"] - TABLE["day"].min()).dt.days * 5)
    found = forecast(table.sample(frac=1, random_state=0), time="number")
    assert "day" not in found
    assert sorted(found["number"].unique()) == [5 * (84 + step) for step in range(HORIZON)]


@effect("PanelForecaster.id")
def test_id() -> None:
    assert forecast()["shop"].unique().tolist() == list(SHOPS)
    two = forecast(TABLE.assign(country="Norway"), id=("country", "shop"))
    assert list(two.columns[:3]) == ["country", "shop", "day"]
    assert list(forecast(TABLE[TABLE["shop"] == "Oslo"], id=None).columns[:2]) == ["day", "mean"]
    with pytest.raises(SchemaError, match="twice"):
        fitted(id=None)


@effect("PanelForecaster.target")
def test_target() -> None:
    one, other = (forecast(target=name)["mean"].mean() for name in ("sales", "visitors"))
    assert other > 2 * one
    both = forecast(target=("sales", "visitors"))
    assert both["target"].value_counts().to_dict() == {"sales": len(both) // 2, "visitors": len(both) // 2}


@effect("PanelForecaster.known")
def test_known() -> None:
    """A promotion that is known ahead lifts the steps that it is on."""
    model = fitted(known="promo")
    without, lifted = (model.predict(future=FUTURE.assign(promo=on))["mean"] for on in (False, True))
    assert (lifted > without).all()
    truth = FUTURE.sort_values(["shop", "day"])["sales"].to_numpy()
    errors = [
        np.abs(found.sort_values(["shop", "day"])["mean"].to_numpy() - truth).mean()
        for found in (forecast(), model.predict(future=FUTURE))
    ]
    assert errors[1] < 0.7 * errors[0]


@effect("PanelForecaster.past")
def test_past() -> None:
    """What a column was at the last step moves the next one; what it will be is not looked at."""
    rng = np.random.default_rng(0)
    days, signal = pd.date_range("2024-01-01", periods=210), rng.normal(size=210)
    sales = 20 + 5 * np.r_[0, signal[:-1]] + 0.1 * rng.normal(size=210)
    table = pd.DataFrame({"day": days, "sales": sales, "signal": signal})
    roles: dict[str, Any] = {"id": None, "horizon": 1, "season": 1, "lookback": 7, "calendar": False}
    model = fitted(table, past="signal", **roles)
    low, high = (model.predict(table.assign(signal=np.r_[signal[:-1], last]))["mean"][0] for last in (0, 2))
    assert high - low == pytest.approx(10, abs=1)
    with pytest.raises(SchemaError, match="signal"):
        model.predict(table.drop(columns="signal"))


@effect("PanelForecaster.static")
def test_static() -> None:
    """Ridge checks that the column is there, and leaves it to networks."""
    np.testing.assert_array_equal(numbers(forecast(static="size")), numbers(forecast()))
    with pytest.raises(SchemaError, match="the table lacks 'area'"):
        fitted(static="area")


@effect("PanelForecaster.lookback")
def test_lookback() -> None:
    """Steps before the lookback do not count."""
    model = fitted(lookback=14)
    assert model.lookback_ == 14
    late = TABLE[TABLE["day"] > TABLE["day"].max() - pd.Timedelta(days=14)]
    changed = TABLE.assign(sales=TABLE["sales"].where(TABLE.index.isin(late.index), 1.0))
    np.testing.assert_allclose(numbers(model.predict(changed)), numbers(model.predict(TABLE)))
    assert fitted().lookback_ != 14
    assert fitted().lookback_ % fitted().season_ == 0


@effect("PanelForecaster.season")
def test_season() -> None:
    assert fitted().season_ == 7, "found by the calendar"
    assert fitted(season=5).season_ == 5
    assert fitted(season=(14, 7)).season_ == 14
    assert not np.allclose(forecast(season=1)["mean"], forecast(season=7)["mean"])


@effect("PanelForecaster.calendar")
def test_calendar() -> None:
    """The day of the week tells what two days of history do not."""
    days = pd.date_range("2024-01-01", periods=210)
    table = pd.DataFrame(
        {"day": days, "sales": 20 + 10.0 * (days.day_of_week > 4) + np.random.default_rng(0).normal(size=len(days))}
    )
    error = {}
    for calendar in (True, False):
        found = forecast(table, id=None, season=1, lookback=2, calendar=calendar)
        error[calendar] = np.abs(found["mean"] - 20 - 10 * (found["day"].dt.day_of_week > 4)).mean()
    assert error[True] < 0.5 * error[False]


@effect("PanelForecaster.keep_history")
def test_keep_history(tmp_path: Any) -> None:
    model = fitted(keep_history=True)
    with pytest.warns(UserWarning, match="contains rows of the training table"):
        tabdl.save(model, tmp_path / "kept.tabdl")
    np.testing.assert_allclose(numbers(tabdl.load(tmp_path / "kept.tabdl").predict()), numbers(model.predict()))
    tabdl.save(fitted(), tmp_path / "without.tabdl")
    with pytest.raises(SchemaError, match="keeps no rows"):
        tabdl.load(tmp_path / "without.tabdl").predict()


def test_kept_ids_of_any_type_come_back_as_text(tmp_path: Any) -> None:
    shops = {shop: uuid.UUID(int=i) for i, shop in enumerate(SHOPS)}
    model = fitted(TABLE.assign(shop=TABLE["shop"].map(shops)), keep_history=True)
    with pytest.warns(UserWarning, match="contains rows of the training table"):
        loaded = tabdl.load(tabdl.save(model, tmp_path / "shops.tabdl"))
    expected = model.predict()
    pd.testing.assert_frame_equal(loaded.predict(), expected.assign(shop=expected["shop"].map(str)), check_dtype=False)


def test_a_named_season_that_does_not_fit_is_told() -> None:
    with pytest.warns(UserWarning, match="season=365: 365 steps do not fit twice"):
        fitted(season=365)


def test_whole_numbers_of_numpy_are_saved(tmp_path: Any) -> None:
    for season in (np.int64(7), (np.int64(7), np.int32(14))):
        model = fitted(season=season, lookback=np.int64(14), horizon=np.int64(5))
        loaded = tabdl.load(tabdl.save(model, tmp_path / "m.tabdl"))
        assert loaded.get_params()["lookback"] == 14
        np.testing.assert_array_equal(numbers(loaded.predict(TABLE)), numbers(model.predict(TABLE)))
