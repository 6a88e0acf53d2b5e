"""Series that a forecaster knows by their ids, and those that it does not know."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from waves import HORIZON, STEPS, fit, table

import tabdl
from tabdl.errors import ParameterError


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
@pytest.mark.parametrize("shift", [-8.0, 0.0, 100.0], ids=["values", "counts", "logarithms"])
def test_intervals_of_an_unknown_series_are_of_a_sensible_size(size: float, shift: float) -> None:
    rows = table(size).assign(y=lambda t: t["y"] + size * shift)
    rows["y"] = rows["y"].where((rows.index % 20 > 0) | (shift != 0), 0.0)
    model = fit(rows)
    assert model.forecasts_.log == (shift > 0)
    usual = model.predict()
    width = (usual["q0.9"] - usual["q0.1"]).mean()
    level = rows["y"].median()
    for steps in (1, 3, 40):
        new = pd.DataFrame({"id": 9, "t": pd.date_range("2024-01-01", periods=steps), "y": level})
        found = model.predict(new)
        assert 0.1 * width < (found["q0.9"] - found["q0.1"]).mean() < 4 * width


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    "names",
    [(1, 2), ("1", "2"), (1.0, 2.5), (True, False), (datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)), (1, "x")],
    ids=lambda names: type(names[1]).__name__,
)
@pytest.mark.filterwarnings("ignore:.*contains rows")
def test_ids_of_every_type_are_known_again_from_a_file(names: tuple, keep: bool, tmp_path: Any) -> None:
    rows = table(names=names)
    model = fit(rows, keep_history=keep)
    expected = model.predict()
    loaded = tabdl.load(tabdl.save(model, tmp_path / "model.tabdl"))
    found = loaded.predict(None if keep else rows)
    pd.testing.assert_frame_equal(found, expected)
    assert loaded.ids_ == model.ids_


def test_ids_are_compared_as_texts_and_come_back_as_given() -> None:
    model = fit(table(names=("1", "2"))).fit(table(names=("1", "2")))
    expected = model.predict()
    found = model.predict(table(names=(1, 2)))
    assert found["id"].dtype.kind == "i"
    np.testing.assert_array_equal(found["q0.9"], expected["q0.9"])
    mixed = table(names=("1", "2")).astype({"id": object})
    mixed.loc[::2, "id"] = mixed["id"][::2].astype(int)
    np.testing.assert_array_equal(fit(mixed).predict()["mean"], expected["mean"])
    rows = table(names=(1, 2)).assign(promo=np.arange(2 * STEPS) % 2)
    future = pd.DataFrame(
        {"id": np.repeat(["1", "2"], HORIZON), "t": [*pd.date_range("2024-04-10", periods=HORIZON)] * 2, "promo": 1}
    )
    assert len(fit(rows, known="promo").predict(future=future)) == 2 * HORIZON


@pytest.mark.parametrize("column, roles", [("mean", {"id": "mean"}), ("q0.1", {"time": "q0.1"}), ("target", {"id": "target"})])
def test_names_of_forecasts_are_no_names_of_columns(column: str, roles: dict[str, str]) -> None:
    rows = table().assign(other=1.0).rename(columns={next(iter(roles)).replace("time", "t"): column})
    targets = ("y", "other") if column == "target" else "y"
    with pytest.raises(ParameterError, match=f"column {re.escape(repr(column))}: expected another name"):
        fit(rows, target=targets, **roles)
    assert len(fit(table().rename(columns={"y": "mean"}), target="mean").predict()) == 2 * HORIZON


def test_one_level_is_refused_by_name() -> None:
    for levels in (0.8, (80,), (0.0,)):
        with pytest.raises(
            ParameterError, match=r"levels=.* expected shares between 0 and 1 such as \(0.8, 0.95\); give a tuple"
        ):
            fit(table()).predict(levels=levels)


def test_static_columns_tell_of_new_series(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    rows = pd.concat([table(names=names).assign(y=rng.normal(size=2 * STEPS)) for names in ((1, 2), (3, 4))])
    rows["city"] = np.where(rows["id"] % 2, "Oslo", "Rome")
    roles = {"horizon": HORIZON, "time": "t", "id": "id", "target": "y", "static": "city", "lookback": 7}
    found = tabdl.SegRNNForecaster(width=4, epochs=1, random_state=0, **roles).fit(rows)
    found.share_, old = 1.0, rows[rows["id"] == 1]
    for model in (found, tabdl.load(tabdl.save(found, tmp_path / "model.tabdl"))):
        told = {city: model.predict(old.assign(id=9, city=city))["mean"] for city in ("Oslo", "Rome", "Bern")}
        unknown = model.predict(old.assign(id=9).drop(columns="city"))["mean"]
        np.testing.assert_array_equal(unknown, told["Bern"])
        assert np.abs(told["Oslo"] - told["Rome"]).max() > 1e-4
        assert np.abs(told["Oslo"] - unknown).max() > 1e-4
        np.testing.assert_array_equal(model.predict(old)["mean"], model.predict(old.assign(city="Rome"))["mean"])


@pytest.mark.parametrize("steps", [24, 40])
def test_intervals_of_one_short_series(steps: int) -> None:
    rng, held = np.random.default_rng(1), []
    for _ in range(12):
        sales = 100 + 20 * np.sin(np.arange(steps + 12) * np.pi / 6) + 5 * rng.normal(size=steps + 12)
        table = pd.DataFrame({"t": pd.date_range("2018", periods=steps + 12, freq="MS"), "sales": sales})
        found = tabdl.RidgeForecaster(horizon=12, time="t", target="sales").fit(table[:steps]).predict()
        held.append(
            [
                ((found[low] <= sales[steps:]) & (sales[steps:] <= found[high])).mean()
                for low, high in (("q0.025", "q0.975"), ("q0.1", "q0.9"))
            ]
        )
        assert (found["q0.975"] - found["q0.025"] > 1.3 * (found["q0.9"] - found["q0.1"])).all()
    assert (np.mean(held, axis=0) > [0.87, 0.7]).all()


def week(steps: int = 90, names: str = "abc") -> pd.DataFrame:
    rng, parts = np.random.default_rng(0), []
    for i, name in enumerate(names):
        y = 20 + 5 * np.sin(2 * np.pi * np.arange(steps) / 7 + i) + rng.normal(size=steps)
        parts.append(pd.DataFrame({"id": name, "t": pd.date_range("2024-01-01", periods=steps), "y": y, "x": y > 22}))
    return pd.concat(parts, ignore_index=True)


DAYS = {"horizon": 5, "time": "t", "id": "id", "target": "y"}


def test_rows_before_a_series_begins_tell_nothing() -> None:
    full = week()
    before = (full["id"] == "c") & (full["t"] < "2024-02-20")
    gappy = full.assign(y=full["y"].mask(before))
    expected, found = (tabdl.RidgeForecaster(**DAYS, past="x").fit(rows) for rows in (full[~before], gappy))
    pd.testing.assert_frame_equal(found.predict(), expected.predict())
    for begin in ("2024-03-15", "2024-03-30"):
        early = gappy["t"] < begin
        history = full.assign(y=full["y"].mask(early))[full["t"] >= "2024-02-01"]
        pd.testing.assert_frame_equal(found.predict(history), found.predict(full[~early]))


def test_each_target_begins_at_its_first_known_value() -> None:
    full = week()
    wide = full.pivot(index="t", columns="id", values="y").reset_index().assign(a=lambda f: f["a"].where(f["t"] >= "2024-02-10"))
    wide.loc[60:62, "b"] = np.nan
    roles = DAYS | {"id": None, "target": ("a", "b", "c"), "calendar": False}
    found = tabdl.RidgeForecaster(**roles).fit(wide)
    long = wide.melt(id_vars="t", var_name="id", value_name="y")
    expected = tabdl.RidgeForecaster(**DAYS, calendar=False).fit(long[~((long["id"] == "a") & long["y"].isna())])
    columns = ["mean", "q0.1", "q0.9"]
    pd.testing.assert_frame_equal(found.predict()[columns], expected.predict()[columns])


def test_the_last_steps_begin_where_targets_are_known() -> None:
    """35 of them are asked for, and a gap of three is before the last 33."""
    gappy = week()
    last = gappy["t"].max()
    gappy["y"] = gappy["y"].mask(gappy["t"].between(last - pd.Timedelta(days=35), last - pd.Timedelta(days=33)))
    model = tabdl.RidgeForecaster(**DAYS | {"lookback": 7, "season": 7}).fit(gappy)
    assert model.recent_.steps.tolist() == [37] * 3
    pd.testing.assert_frame_equal(model.predict(), model.predict(gappy))
