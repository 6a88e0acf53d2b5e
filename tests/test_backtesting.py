"""Backtests: nothing of the future gets in, all methods meet the same steps, and the scores are those of the formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest
from forecasters import LastWeek

from tabdl import RidgeForecaster, accuracy, backtesting, models
from tabdl.backtesting import backtest, naive_forecast, quantile_names
from tabdl.datasets import make_sales
from tabdl.errors import ParameterError, SchemaError

TABLE = make_sales(stores=3, days=60, random_state=0)
START = pd.Timestamp("2024-02-16")  # day 46 of 60: the first of two origins a week apart


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Without the ridge baseline, which would be fitted beside each stand-in."""
    monkeypatch.setattr(backtesting, "BASELINE", "none")
    LastWeek.seen.clear()


@pytest.fixture(scope="module")
def result():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backtesting, "BASELINE", "none")
        return backtest(LastWeek(7, factor=0.9), TABLE, origins=2)


def test_methods_and_columns(result):
    assert result.scores.index.tolist() == ["LastWeek", "naive", "seasonal naive"]
    assert result.scores.columns.tolist() == ["mase", "smape", "owa", "crps", "coverage_0.8", "coverage_0.95", "seconds"]
    assert result.by_origin.index.names == ["method", "origin"]
    assert result.by_origin.index.get_level_values("origin").unique().tolist() == [START, START + pd.Timedelta(days=7)]
    quantiles = ["q0.025", "q0.1", "q0.9", "q0.975"]
    assert result.forecasts.columns.tolist() == ["method", "origin", "store", "date", "truth", "mean", *quantiles]
    assert np.isfinite(result.scores.to_numpy()).all()


def test_forecasts_stand_beside_the_truth(result):
    own = result.forecasts[result.forecasts["method"] == "LastWeek"]
    assert len(own) == 2 * 7 * 2 + 2 * 7 - 7  # the third store opens on day 49, after the first origin
    merged = own.merge(TABLE, on=["store", "date"])
    assert np.array_equal(merged["truth"], merged["sales"], equal_nan=True)
    assert ((own["date"] - own["origin"]).dt.days.between(0, 6)).all()


def test_scores_are_those_of_the_formulas(result):
    scores = []
    for store in ("store-1", "store-2"):
        series = TABLE[TABLE["store"] == store]
        past = series.loc[series["date"] < START, "sales"].to_numpy()
        truth = series.loc[series["date"] >= START, "sales"].to_numpy()[:7]
        mean = 0.9 * pd.Series(past).ffill().to_numpy()[-7:]
        fan = mean[:, None] * np.array([0.525, 0.6, 1.0, 1.4, 1.475])
        scale = accuracy.seasonal_scale(past, 7)
        yardstick = accuracy.naive2(past, 7, 7)
        scores.append(
            [
                accuracy.mase(truth, mean, past, 7),
                accuracy.smape(truth, mean),
                accuracy.crps(truth, [0.025, 0.1, 0.5, 0.9, 0.975], fan) / scale,
                accuracy.coverage(truth, fan[:, 1], fan[:, 3]),
                accuracy.mase(truth, yardstick, past, 7),
                accuracy.smape(truth, yardstick),
            ]
        )
    mase, smape, crps, inside, mase2, smape2 = np.mean(scores, axis=0)
    found = result.by_origin.loc[("LastWeek", START)]
    assert found[["mase", "smape", "crps", "coverage_0.8"]].tolist() == pytest.approx([mase, smape, crps, inside])
    assert found["owa"] == pytest.approx(accuracy.owa(smape, mase, smape2, mase2))


def test_scores_are_means_over_origins_and_seconds_are_added(result):
    own = result.by_origin.loc["LastWeek"]
    names = ["mase", "smape", "crps", "coverage_0.8", "coverage_0.95"]
    assert result.scores.loc["LastWeek", names].tolist() == pytest.approx(own[names].mean().tolist())
    assert result.scores.loc["LastWeek", "seconds"] == pytest.approx(own["seconds"].sum())


def test_the_model_never_sees_what_it_has_to_forecast():
    model = LastWeek(7, known=("promo",))
    before = backtest(model, TABLE, origins=1)
    (fitted, history, future), *_ = LastWeek.seen
    start = fitted["date"].max() + pd.Timedelta(days=1)
    assert history is None
    assert future.columns.tolist() == ["store", "date", "promo"]
    assert (future["date"] >= start).all()
    spiked = TABLE.assign(sales=TABLE["sales"].mask(TABLE["date"] >= start, 1e9))
    after = backtest(model, spiked, origins=1)
    columns = ["mean", *quantile_names([0.8, 0.95])]
    pd.testing.assert_frame_equal(before.forecasts[columns], after.forecasts[columns])
    assert (after.forecasts["truth"] == 1e9).all()
    assert not hasattr(model, "table_")


def scores_of(result: backtesting.Backtest) -> pd.DataFrame:
    return result.by_origin.drop(columns="seconds")


def weekly(days: int = 60, start: str = "2024-01-01", rule: str = "D", store: str = "a") -> pd.DataFrame:
    noise = np.random.default_rng(len(store) + days).normal(0, 2, days)
    times = pd.date_range(start, periods=days, freq=rule)
    return pd.DataFrame({"store": store, "date": times, "sales": 100 + np.resize([0, 10, 20, 30, -10, -40, -50], days) + noise})


@pytest.mark.parametrize("form", [None, "%d/%m/%Y"])
@pytest.mark.parametrize("refit", [True, False])
def test_an_absent_row_is_a_gap(form: str | None, refit: bool):
    table = pd.concat([weekly(), weekly(store="bb")], ignore_index=True)
    gone = (np.random.default_rng(0).random(120) < 0.15) & (table.index % 60 != 59) & (table.index % 60 != 0)
    gone |= table["date"].between("2024-02-10", "2024-02-12")  # an origin among them
    if form:
        table["date"] = table["date"].dt.strftime(form)
    model = RidgeForecaster(horizon=7, time="date", id="store", target="sales", lookback=14)
    cells = backtest(model, table.assign(sales=table["sales"].mask(gone)), origins=3, refit=refit)
    rows = backtest(model, table[~gone], origins=3, refit=refit)
    pd.testing.assert_frame_equal(scores_of(rows), scores_of(cells))
    kept = cells.forecasts[cells.forecasts["truth"].notna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.forecasts, kept)


@pytest.mark.parametrize(("rule", "other"), [("D", "2024-01-01 06:00"), ("7D", "2024-01-03")])
def test_series_at_other_times_of_a_step_stay_apart(rule: str, other: str, monkeypatch):
    monkeypatch.setattr(LastWeek, "predict", lambda self, history=None, future=None, *, levels=(): ahead(self, rule, levels))
    parts = weekly(rule=rule), weekly(start=other, rule=rule, store="bb")
    alone = [scores_of(backtest(LastWeek(7), part, origins=2)).to_numpy() for part in parts]
    together = scores_of(backtest(LastWeek(7), pd.concat(parts), origins=2))
    assert np.isfinite(together["mase"]).all()
    names = ["mase", "smape", "crps", "coverage_0.8"]
    expected = pd.DataFrame((alone[0] + alone[1]) / 2, together.index, together.columns)
    pd.testing.assert_frame_equal(together[names], expected[names])


def ahead(model: LastWeek, rule: str, levels: tuple[float, ...]) -> pd.DataFrame:
    """The last week of each series in steps of `rule`."""
    parts = []
    for store, rows in model.table_.groupby("store", sort=False):
        times = pd.date_range(rows["date"].iloc[-1], periods=8, freq=rule)[1:]
        parts.append(pd.DataFrame({"store": store, "date": times, "mean": rows["sales"].to_numpy()[-7:]}))
    frame = pd.concat(parts)
    return frame.assign(**{name: frame["mean"] + i for i, name in enumerate(quantile_names(list(levels)))})


def test_a_hole_over_a_whole_horizon_is_no_fault_of_the_model():
    table = weekly()
    result = backtest(LastWeek(7), table[(table["date"] < "2024-02-16") | (table["date"] >= "2024-02-23")], origins=2)
    assert result.by_origin.loc[("LastWeek", pd.Timestamp("2024-02-16")), "mase":"owa"].isna().all()


def test_forecasts_that_are_nowhere_in_the_table_are_refused(monkeypatch):
    monkeypatch.setattr(LastWeek, "predict", lambda self, **options: weekly().assign(store="other", mean=1.0))
    with pytest.raises(SchemaError, match="expected forecasts of LastWeek from 2024-02-16 00:00:00 on, received none"):
        backtest(LastWeek(7), weekly(), origins=2)


def without(table: pd.DataFrame, store: str, first: str, last: str = "2025") -> pd.DataFrame:
    return table[~((table["store"] == store) & table["date"].between(first, last))]


def without_sales(table: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    gone = (table["store"] == "store-2") & table["date"].between(first, last)
    return table.assign(sales=table["sales"].mask(gone))


MESSY = {
    "a series that ended": without(TABLE, "store-2", "2024-02-01"),
    "a row missing ahead": without(TABLE, "store-2", "2024-02-19", "2024-02-19"),
    "a row missing in all series": TABLE[TABLE["date"] != "2024-02-19"],
    "a late target": without_sales(TABLE, "2024-02-14", "2024-02-15"),
    "no target before the origin": without_sales(TABLE, "2024-01-01", "2024-02-17"),
    "a known value missing ahead": TABLE.assign(promo=TABLE["promo"].mask(TABLE["date"] == "2024-02-19")),
}


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("name", MESSY)
def test_messy_panels_with_known_columns(name: str, refit: bool):
    model = RidgeForecaster(horizon=7, time="date", id="store", target="sales", known="promo", lookback=14)
    result = backtest(model, MESSY[name], origins=2, refit=refit)
    own = result.forecasts.query("method == 'RidgeForecaster' and origin == origin.min()")
    assert own.loc[own["store"] == "store-1", "mean"].notna().sum() >= 6
    gone = name in ("a series that ended", "no target before the origin")
    assert ("store-2" in own["store"].tolist()) is not gone
    assert np.isfinite(result.scores["mase"]).all()


def test_what_is_not_known_ahead_is_filled_from_before():
    table = TABLE.assign(promo=np.arange(len(TABLE)))[TABLE["store"] == "store-1"].sample(frac=1, random_state=0)
    table.loc[table["date"] == "2024-02-18", "promo"] = np.nan
    backtest(LastWeek(7, known=("promo",)), table[table["date"] != "2024-02-20"], origins=1)
    future = LastWeek.seen[0][2].set_index("date")["promo"]
    expected = table.set_index("date")["promo"].sort_index().drop(pd.Timestamp("2024-02-20")).asfreq("D").ffill()
    pd.testing.assert_series_equal(future, expected[future.index], check_freq=False)
    assert len(future) == 7


def test_days_without_an_event_stay_so():
    """The last event before an origin does not go on for ever."""
    table = TABLE[TABLE["store"] == "store-1"].assign(holiday=None, promo="no")
    table.loc[table["date"].isin(pd.to_datetime(["2024-01-06", "2024-02-10"])), "holiday"] = ["Epiphany", "Carnival"]
    table.loc[table["date"] == "2024-02-21", "promo"] = None
    backtest(LastWeek(7, known=("holiday", "promo")), table, origins=1)
    future = LastWeek.seen[0][2]
    assert future["holiday"].isna().all()
    assert set(future["promo"]) == {"no"}


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%Y%m%d"])
def test_texts_of_dates_are_read_alike_in_all_parts(form: str):
    """The rows before the first origin alone would be read month first."""
    one = TABLE[(TABLE["store"] == "store-1") & TABLE["date"].between("2024-02-01", "2024-02-14")].assign(promo=0)
    texts = one.assign(date=one["date"].dt.strftime(form))
    options = dict(origins=1, levels=[0.8])
    found, expected = (backtest(LastWeek(3, known=("promo",)), table, **options) for table in (texts, one))
    pd.testing.assert_frame_equal(found.scores.drop(columns="seconds"), expected.scores.drop(columns="seconds"))
    assert found.forecasts["date"].tolist() == expected.forecasts["date"].dt.strftime(form).tolist()


def test_times_in_the_index_and_in_a_zone(result):
    zoned = TABLE.assign(date=TABLE["date"].dt.tz_localize("Europe/Berlin"))
    for table in (
        TABLE.set_index("date"),
        polars.from_pandas(zoned),
    ):
        other = backtest(LastWeek(7, factor=0.9), table, origins=2)
        pd.testing.assert_frame_equal(other.scores.drop(columns="seconds"), result.scores.drop(columns="seconds"))


def test_without_refit_the_model_is_fitted_once_and_gets_the_history():
    backtest(LastWeek(7), TABLE, origins=3, refit=False)
    fits = [fitted["date"].max() for fitted, _, _ in LastWeek.seen]
    histories = [history["date"].max() for _, history, _ in LastWeek.seen]
    assert len(set(fits)) == 1
    assert [(day - fits[0]).days for day in histories] == [0, 7, 14]


def test_a_forecaster_like_the_seasonal_naive_one_scores_the_same():
    old = TABLE[TABLE["store"] != "store-3"].ffill()  # the third store is younger than a week
    scores = backtest(LastWeek(7), old, origins=2, levels=[0.5]).scores
    same = ["mase", "smape", "owa"]
    assert scores.loc["LastWeek", same].tolist() == pytest.approx(scores.loc["seasonal naive", same].tolist())
    assert scores.columns.tolist()[-2:] == ["coverage_0.5", "seconds"]


def test_all_methods_meet_the_same_steps():
    gone = TABLE[~((TABLE["store"] == "store-2") & TABLE["date"].between("2024-02-20", "2024-02-22"))]
    result = backtest(LastWeek(7), gone, origins=1)  # store-2 forecasts from its own last row on, three days early
    own = result.forecasts[(result.forecasts["method"] == "LastWeek") & (result.forecasts["store"] == "store-2")]
    assert own["mean"].isna().sum() == 3
    kept = own.dropna()["date"]
    naive = result.forecasts[(result.forecasts["method"] == "naive")]
    naive = naive[(naive["store"] != "store-2") | naive["date"].isin(kept)]
    mean = naive.groupby("store")[["truth", "mean"]].apply(lambda part: accuracy.smape(part["truth"], part["mean"])).mean()
    assert result.scores.loc["naive", "smape"] == pytest.approx(float(mean))


def test_several_targets_are_series_of_their_own():
    result = backtest(LastWeek(7, target=("sales", "visitors")), TABLE, origins=1)
    assert result.forecasts["target"].unique().tolist() == ["sales", "visitors"]
    own = result.forecasts[(result.forecasts["target"] == "visitors")].merge(TABLE, on=["store", "date"])
    assert np.array_equal(own["truth"], own["visitors"], equal_nan=True)


def test_one_series_needs_no_id():
    one = TABLE[TABLE["store"] == "store-1"]
    result = backtest(LastWeek(7, id=None), one.drop(columns="store"), origins=2)
    expected = backtest(LastWeek(7), one, origins=2)
    columns = ["mase", "smape", "owa", "crps"]
    pd.testing.assert_frame_equal(result.scores[columns], expected.scores[columns])
    assert result.plot().axes[0].get_title(loc="left") == ""


def test_the_ridge_baseline_is_fitted_for_the_same_task(monkeypatch):
    class Ridge(LastWeek):
        pass

    monkeypatch.setattr(backtesting, "BASELINE", "Ridge")
    monkeypatch.setattr(models, "catalogue", lambda: {"Ridge": "somewhere"})
    monkeypatch.setattr(models, "load_class", lambda name: Ridge)
    result = backtest(LastWeek(7, known=("promo",), factor=2.0), TABLE, origins=1)
    assert result.scores.index.tolist() == ["LastWeek", "Ridge", "naive", "seasonal naive"]
    assert result.scores.loc["Ridge", "mase"] < result.scores.loc["LastWeek", "mase"]  # its own factor, 1
    assert [future.columns.tolist() for _, _, future in LastWeek.seen] == [["store", "date", "promo"]] * 2
    assert backtest(Ridge(7), TABLE, origins=1).scores.index.tolist() == ["Ridge", "naive", "seasonal naive"]


def test_one_shuffled_series_and_a_polars_table(result):
    one = TABLE[TABLE["store"] == "store-1"]
    scores = backtest(LastWeek(7), one, origins=2).scores.drop(columns="seconds")
    mixed = backtest(LastWeek(7), one.sample(frac=1, random_state=0), origins=2).scores.drop(columns="seconds")
    pd.testing.assert_frame_equal(scores, mixed)
    other = backtest(LastWeek(7, factor=0.9), polars.from_dict(TABLE.to_dict("list")), origins=2)
    pd.testing.assert_frame_equal(other.scores.drop(columns="seconds"), result.scores.drop(columns="seconds"))


def test_the_table_stays_as_it_was():
    before = TABLE.copy()
    backtest(LastWeek(7), TABLE, origins=1)
    pd.testing.assert_frame_equal(TABLE, before)


def test_naive_intervals_widen_with_the_seasons_ahead():
    past = np.array([[0.0, 1, 0, 1, 0]])  # errors of one step: 1, -1, 1, -1
    low, high = naive_forecast(past, 4, 1, [0.8])[0, :, 1:].T
    assert (high - low).tolist() == pytest.approx((2 * 1.2815515655 * np.sqrt([1, 2, 3, 4])).tolist())
    assert naive_forecast(past, 3, 2, [0.8])[0].tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]


def test_naive_intervals_cover_a_random_walk():
    walk = np.cumsum(np.random.default_rng(0).standard_normal((2_000, 120)), axis=1)
    fan = naive_forecast(walk[:, :100], 20, 1, [0.8])
    assert accuracy.coverage(walk[:, 100:], fan[..., 1], fan[..., 2]).mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("levels", [(), (0,), (0.8, 1), (95,)])
def test_levels_out_of_range_are_refused(levels):
    with pytest.raises(ParameterError, match=r"backtest\(levels="):
        backtest(LastWeek(7), TABLE, levels=levels)


@pytest.mark.parametrize(
    "model, options, error, text",
    [
        (LastWeek(7, target="profit"), {}, SchemaError, "expected a column 'profit'"),
        (LastWeek(7, known=("price",)), {}, SchemaError, "expected a column 'price'"),
        (LastWeek(7, target="city"), {}, SchemaError, "expected numbers in column 'city'"),
        (
            LastWeek(7, id=None),
            {},
            SchemaError,
            "expected each time once in a series, received 2024-01-01 00:00:00 twice in the series",
        ),
        (LastWeek(7), dict(origins=9), ParameterError, "received 60; ask for fewer origins"),
        (object(), {}, TypeError, "expected a forecaster, received object"),
    ],
)
def test_bad_input_is_refused(model, options, error, text):
    with pytest.raises(error, match=text):
        backtest(model, TABLE, **options)


@pytest.mark.parametrize("name", ["method", "origin", "target", "truth"])
@pytest.mark.parametrize("role", ["id", "time"])
def test_names_of_its_own_columns_are_refused(name, role):
    column = {"id": "store", "time": "date"}[role]
    with pytest.raises(SchemaError, match=f"column '{name}': expected another name .*; rename it"):
        backtest(LastWeek(7, **{role: name}), TABLE.rename(columns={column: name}))


def test_it_shows_itself_and_draws(result, tmp_path):
    assert "<table" in result._repr_html_()
    assert "seasonal naive" in result._repr_html_()
    figure = result.plot(tmp_path / "backtest.png")
    assert (tmp_path / "backtest.png").read_bytes().startswith(b"\x89PNG")
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["store-1", "store-2", "store-3", ""]
