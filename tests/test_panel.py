"""Panels: rows in any order on regular grids, and one sentence for every table that has none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabdl.errors import SchemaError
from tabdl.panel import Panel, make_panel, name_series
from tabdl.times import Calendar, read_times

HOUR = 3_600_000_000


def panel_of(frame: pd.DataFrame, ids: tuple[str, ...] = ("store",), calendar: Calendar | None = None) -> Panel:
    values, type = read_times(frame, "time", None if calendar is None else calendar.type)
    numbers = frame[["sales"]].to_numpy(float)
    return make_panel(values, type, {name: frame[name].to_numpy() for name in ids}, numbers, ["sales"], calendar)


def stores(rule: str = "D", periods: int = 6) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=periods, freq=rule)
    parts = [
        pd.DataFrame({"store": name, "time": times, "sales": np.arange(periods) + add}) for name, add in (("b", 0.0), ("a", 10.0))
    ]
    return pd.concat(parts, ignore_index=True)


def test_series_in_order_of_appearance_on_their_grids() -> None:
    panel = panel_of(stores())
    assert panel.keys == [("b",), ("a",)]
    assert [part.tolist() for part in panel.column("sales")] == [[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15]]
    assert list(panel.calendar.write(panel.axis_after(1, 2))) == [pd.Timestamp("2024-01-07"), pd.Timestamp("2024-01-08")]
    assert list(pd.DatetimeIndex(panel.places(0))) == list(pd.date_range("2024-01-01", periods=6))
    assert panel.steps.tolist() == [6, 6]


def test_unsorted_rows_are_sorted_and_the_table_stays() -> None:
    frame = stores().sample(frac=1, random_state=0)
    before = frame.copy()
    panel = panel_of(frame)
    expected = {
        key: part.tolist() for (key,), part in zip(*(lambda p: (p.keys, p.column("sales")))(panel_of(stores())), strict=True)
    }
    assert {key: part.tolist() for (key,), part in zip(panel.keys, panel.column("sales"), strict=True)} == expected
    pd.testing.assert_frame_equal(frame, before)


def test_missing_steps_are_gaps() -> None:
    panel = panel_of(stores(periods=8).drop(index=[2, 3, 9]))
    np.testing.assert_array_equal(panel.column("sales")[0], [0, 1, np.nan, np.nan, 4, 5, 6, 7])
    np.testing.assert_array_equal(panel.column("sales")[1], [10, np.nan, 12, 13, 14, 15, 16, 17])


def test_series_may_begin_and_end_when_they_like() -> None:
    panel = panel_of(stores(periods=9).drop(index=[0, 1, 16, 17]))
    assert panel.steps.tolist() == [7, 7]
    assert panel.starts[0] > panel.starts[1]


def test_no_id_and_several_ids() -> None:
    assert panel_of(stores().iloc[:6], ()).keys == [()]
    frame = stores().assign(item=lambda f: np.arange(len(f)) % 2)
    frame["time"] = frame.groupby(["store", "item"]).cumcount()
    assert panel_of(frame, ("store", "item")).keys == [("b", "0"), ("b", "1"), ("a", "0"), ("a", "1")]


def test_an_earlier_calendar_is_kept() -> None:
    calendar = panel_of(stores("MS")).calendar
    one = panel_of(stores("MS").iloc[:1], calendar=calendar)
    assert list(calendar.write(one.axis_after(0, 1))) == [pd.Timestamp("2024-02-01")]
    with pytest.raises(
        SchemaError, match=r"steps of 1 month, received 2024-01-02 00:00:00 between two of them in series store='b'"
    ):
        panel_of(stores("D"), calendar=calendar)


def test_many_rows_are_fast() -> None:
    import time

    frame = pd.DataFrame({"store": np.repeat(np.arange(300), 1000), "time": np.tile(np.arange(1000), 300), "sales": 1.0})
    start = time.perf_counter()
    assert len(panel_of(frame)) == 300
    assert time.perf_counter() - start < 5


def test_texts_of_a_zone_that_are_uneven_are_told_of_it() -> None:
    frame = stores("D", 60).iloc[:60].assign(time=lambda f: f["time"].dt.tz_localize("Europe/Berlin"))
    late = frame["time"].where(frame.index != 50, frame["time"] + pd.Timedelta("1min"))
    says = r"received 2024-02-19 23:01:00.* in UTC .* store='b'; .* their time zone .*dt\.tz_convert\(\.\.\.\), or aggregate"
    with pytest.raises(SchemaError, match=says):
        panel_of(frame.assign(time=late.astype(str)))
    winter = panel_of(frame.assign(time=frame["time"].astype(str))).calendar
    summer = frame.assign(time=(frame["time"] + pd.DateOffset(days=60)).astype(str))
    with pytest.raises(SchemaError, match="received 2024-03-31 22:00:00.* in UTC in series store='b'; convert such texts"):
        panel_of(summer, calendar=winter)


ZONED = stores().assign(time=lambda f: f["time"].dt.tz_localize("UTC"))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.concat([stores(), stores().iloc[[7]]]), "received 2024-01-02 00:00:00 twice in series store='a'; aggregate"),
        (stores().assign(store=None), "column 'store': expected an id in every row, received none in row 0"),
        (stores().iloc[[0, 6]], "expected at least one series with two rows that differ in time, received 2 rows in 2 series"),
        (
            pd.concat([stores("D", 30).iloc[:30], stores("W", 8).iloc[8:]]),
            "expected steps of 1 day throughout, received others in series store='a'",
        ),
        (
            stores().assign(time=lambda f: f["time"].where(f.index != 3, pd.Timestamp("2024-01-04 05:00"))),
            "in steps of 1 day, received",
        ),
        (stores().assign(time=lambda f: [0, 1, 2, 3, 4, 10**9] * 2), "received 12 rows for 2000000002 steps"),
    ],
)
def test_tables_without_a_regular_grid(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        panel_of(frame)


@pytest.mark.parametrize("rule", ["MS", "ME", "W", "2D", "QS"])
def test_series_of_another_frequency_are_refused_and_sparse_ones_are_not(rule: str) -> None:
    days, other = stores("D", 500).iloc[:500], stores(rule, 7).iloc[7:]
    for table in (pd.concat([days, other]), pd.concat([days, other.drop(index=other.index[3])])):
        with pytest.raises(SchemaError, match="steps of 1 day throughout, received others in series store='a'; resample"):
            panel_of(table)
    kept = np.sort(np.random.default_rng(0).permutation(500)[:60])
    assert panel_of(pd.concat([days, days.iloc[kept].assign(store="a")])).steps.tolist() == [500, kept[-1] - kept[0] + 1]


def one(*times: pd.DatetimeIndex) -> pd.DataFrame:
    joined = times[0].append(list(times[1:]))
    return pd.DataFrame({"store": "a", "time": joined, "sales": np.arange(len(joined))})


def dates(rule: str, periods: int, start: str = "2024-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=periods, freq=rule)


@pytest.mark.parametrize(
    "frame",
    [
        one(dates("D", 80), dates("7D", 30, "2024-03-27")),
        one(dates("7D", 30), dates("D", 60, "2024-07-29")),
        one(dates("D", 2000), dates("7D", 14, "2029-06-30")),
        one(dates("D", 80), dates("7D", 30, "2024-03-27"), dates("D", 80, "2024-11-01")),
        one(dates("B", 80), dates("W-FRI", 30, "2024-05-01")),
        one(dates("D", 40), dates("MS", 20, "2024-03-01")),
        pd.concat([one(dates("D", 80), dates("7D", 30, "2024-03-27")), one(dates("D", 300)).assign(store="b")]),
    ],
)
def test_a_series_that_changes_its_frequency_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="steps of (1 day|working days) throughout, received others in series store='a'; resam"):
        panel_of(frame)


@pytest.mark.parametrize("rule", ["7D", "MS"])
def test_a_history_of_another_frequency_is_refused(rule: str) -> None:
    with pytest.raises(SchemaError, match="steps of 1 day throughout, received others in series store='a'"):
        panel_of(one(dates(rule, 20)), calendar=panel_of(stores()).calendar)


def test_gaps_of_any_other_kind_are_allowed() -> None:
    times = dates("D", 700)
    open_hours = dates("h", 24 * 100)
    kept = [
        times[times.day_of_week < 5],
        times.delete(slice(200, 500)),
        times[np.r_[0:300, 300:370:7, 370:700]],  # Mondays only, for ten weeks
        times[np.arange(700) % 10 != 3],
        open_hours[(open_hours.hour >= 9) & (open_hours.hour < 17) & (open_hours.day_of_week < 5)],
    ]
    for seed in range(40):
        for share in (0.9, 0.6, 0.4):
            kept.append(times[np.r_[True, True, np.random.default_rng(seed).random(698) < share]])
    for own in kept:
        assert panel_of(one(own)).calendar.frequency.step in (1, HOUR, 24 * HOUR)
    calendar = panel_of(stores()).calendar
    for own in kept[:4]:
        assert panel_of(one(own), calendar=calendar).steps.tolist() == [(own[-1] - own[0]).days + 1]


def test_months_that_begin_and_end_differently_are_told_what_to_do() -> None:
    with pytest.raises(SchemaError, match="received days 1 to 31; make months of them"):
        panel_of(pd.concat([stores("MS", 20).iloc[:20], stores("ME", 20).iloc[20:]]))


def test_ids_in_messages_are_plain() -> None:
    for cell, says in ((np.int64(2), "store=2"), (np.str_("b"), "store='b'"), (np.bool_(True), "store=True")):
        assert name_series({"store": cell}) == f"series {says}"
    assert name_series({}) == "the series"


@pytest.mark.parametrize("frame", [ZONED, stores().assign(time=lambda f: f.groupby("store").cumcount())])
def test_times_of_another_kind_than_in_fit(frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="expected times without a time zone as in fit, received times"):
        panel_of(frame, calendar=panel_of(stores()).calendar)
