"""Times: read from any library, put on a regular axis, written again as they came."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from tabdl.errors import SchemaError
from tabdl.times import Calendar, Frequency, find_calendar, read_times

HOUR, DAY = 3_600_000_000, 86_400_000_000


def calendar_of(table: object, name: str = "time") -> tuple[Calendar, np.ndarray]:
    values, type = read_times(table, name)
    calendar = find_calendar(values, np.zeros(len(values), int), type)
    return calendar, calendar.frequency.to_axis(calendar.type.to_clock(values))


def frequency(times: object) -> str:
    return str(calendar_of(pd.DataFrame({"time": times}))[0].frequency)


@pytest.mark.parametrize(
    ("rule", "start", "says"),
    [
        ("h", "2024-03-01", "1 hour"),
        ("15min", "2024-03-01", "15 minutes"),
        ("D", "2024-01-30", "1 day"),
        ("W", "2024-01-01", "1 week"),
        ("B", "2024-01-01", "working days"),
        ("MS", "2023-01-01", "1 month"),
        ("ME", "2023-01-31", "1 month"),
        ("QS", "2023-01-01", "3 months"),
        ("QE", "2023-01-01", "3 months"),
        ("YS", "2000-01-01", "1 year"),
        ("YE", "2000-01-01", "1 year"),
    ],
)
def test_frequencies_and_what_follows(rule: str, start: str, says: str) -> None:
    times = pd.date_range(start, periods=30, freq=rule)
    calendar, axis = calendar_of(pd.DataFrame({"time": times[:24]}))
    assert str(calendar.frequency) == says
    assert set(np.diff(axis)) == {calendar.frequency.step}
    following = calendar.write(axis[-1] + calendar.frequency.step * np.arange(1, 7))
    assert list(following) == list(times[24:])
    assert Calendar.from_json(calendar.to_json()) == calendar


def test_gaps_do_not_change_the_frequency() -> None:
    times = pd.date_range("2024-01-01", periods=40, freq="h")
    assert frequency(times.delete([3, 4, 20])) == "1 hour"
    months = pd.date_range("2020-01-01", periods=40, freq="MS")
    assert frequency(months.delete([1, 2, 9])) == "1 month"
    assert frequency(pd.bdate_range("2024-01-01", periods=60).delete([0, 30])) == "working days"


def test_a_day_of_the_month_that_some_months_lack() -> None:
    times = pd.to_datetime(["2023-12-30", "2024-01-30", "2024-02-29", "2024-03-30"])
    calendar, axis = calendar_of(pd.DataFrame({"time": times}))
    assert str(calendar.frequency) == "1 month"
    assert calendar.show(int(axis[-1]) + 11).startswith("2025-02-28")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_pandas_times_keep_their_dtype(unit: str) -> None:
    frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=5, freq="D").as_unit(unit)})
    calendar, axis = calendar_of(frame)
    assert calendar.write(axis).dtype == frame["time"].dtype


def test_hours_in_a_zone_are_even_over_a_change_of_the_clock() -> None:
    times = pd.date_range("2024-03-30 12:00", periods=48, freq="h", tz="Europe/Paris")
    calendar, axis = calendar_of(pd.DataFrame({"time": times}))
    assert str(calendar.frequency) == "1 hour"
    assert pd.Series(calendar.write(axis)).equals(pd.Series(times))


@pytest.mark.parametrize("rule", ["D", "MS"])
def test_days_and_months_in_a_zone_follow_the_wall_clock(rule: str) -> None:
    times = pd.date_range("2024-03-01", periods=60, freq=rule, tz="Europe/Paris")
    calendar, axis = calendar_of(pd.DataFrame({"time": times[:40]}))
    assert set(np.diff(axis)) == {calendar.frequency.step}
    assert list(calendar.write(axis[-1] + calendar.frequency.step * np.arange(1, 21))) == list(times[40:])


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-01", "2024-01-02", "2024-01-03"],
        ["2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00"],
        ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00"],
        ["2023-11", "2023-12", "2024-01"],
        ["01/31/2024", "02/01/2024", "02/02/2024"],
        ["31.01.2024", "01.02.2024", "02.02.2024"],
    ],
)
def test_texts_come_back_as_texts(texts: list[str]) -> None:
    calendar, axis = calendar_of({"time": texts})
    assert list(calendar.write(axis)) == texts
    assert pd.Series(calendar.write(axis)).dtype == pd.Series(texts).dtype


def test_texts_with_an_offset_come_back_as_times_in_utc() -> None:
    calendar, axis = calendar_of(
        {"time": ["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"]}
    )
    assert str(calendar.frequency) == "1 hour"
    assert str(calendar.write(axis)[0]) == "2024-03-31 00:00:00+00:00"


@pytest.mark.parametrize(
    ("rule", "says"),
    [("D", "1 day"), ("W", "1 week"), ("MS", "1 month"), ("12h", "12 hours"), ("h", "1 hour"), ("15min", "15 minutes")],
)
@pytest.mark.parametrize("start", ["2024-03-20", "2024-10-20"])
def test_texts_of_a_zone_follow_the_wall_clock_where_it_is_even(rule: str, says: str, start: str) -> None:
    wall = pd.date_range(start, periods=30, freq=rule)
    zoned = pd.date_range(start, periods=30 if says == "1 day" else 900, freq=rule, tz="Europe/Berlin")
    if says.endswith(("hour", "minutes")):
        calendar, axis = calendar_of({"time": zoned.astype(str)})
        assert list(calendar.write(axis)) == list(zoned.tz_convert("UTC"))
    else:
        calendar, axis = calendar_of({"time": wall.tz_localize("Europe/Berlin").astype(str)})
        assert list(calendar.write(axis)) == list(wall)
        assert list(calendar.write(axis[-1:] + calendar.frequency.step)) == [wall[-1] + wall.freq]
    assert str(calendar.frequency) == says
    assert Calendar.from_json(calendar.to_json()) == calendar


def test_a_later_table_is_read_on_the_wall_clock_too() -> None:
    days = pd.date_range("2024-03-25", periods=20, tz="Europe/Berlin").astype(str)
    values, type = read_times({"time": days}, "time")
    for later in (days[10:], days[10:].str[:10], pd.DatetimeIndex(days[10:].str[:10]).tz_localize("Europe/Berlin")):
        again, other = read_times({"time": later}, "time", type)
        assert again.tolist() == values[10:].tolist()
        assert other.zone == type.zone
    in_utc = read_times({"time": pd.date_range("2024-01-01", periods=9, tz="UTC").astype(str)}, "time")[1]
    assert read_times({"time": days}, "time", in_utc)[1].zone == "UTC"


def test_series_of_several_zones_follow_their_own_wall_clocks() -> None:
    days = pd.date_range("2024-03-01", periods=40)
    parts = [days.tz_localize(zone).astype(str) for zone in ("Europe/Berlin", "America/New_York")]
    values, _ = read_times({"time": parts[0].append(parts[1])}, "time")
    assert values.tolist() == 2 * days.as_unit("us").asi8.tolist()


def test_numbers_texts_of_numbers_and_periods() -> None:
    for cells in ([1990, 1991, 1992], [1990.0, 1991.0, 1992.0], ["1990", "1991", "1992"]):
        calendar, axis = calendar_of({"time": cells})
        assert (calendar.frequency.kind, list(calendar.write(axis + 3))) == ("number", [1993, 1994, 1995])
    calendar, axis = calendar_of(pd.DataFrame({"time": pd.period_range("2024-01", periods=4, freq="M")}))
    assert list(calendar.write(axis + 1)) == list(pd.period_range("2024-02", periods=4, freq="M"))


def test_other_libraries() -> None:
    import polars
    import pyarrow

    zone = "America/New_York"
    times = [datetime(2024, 1, 1, hour, tzinfo=ZoneInfo(zone)) for hour in range(4)]
    polar = polars.DataFrame({"time": polars.Series(times).cast(polars.Datetime("us", zone))})
    arrow = pyarrow.table({"time": pyarrow.array(times, type=pyarrow.timestamp("us", zone))})
    for table in (polar, arrow, {"time": times}, [{"time": t} for t in times], pd.DataFrame({"time": times})):
        calendar, axis = calendar_of(table)
        assert calendar.type.zone == zone
        assert list(calendar.write(axis)) == [pd.Timestamp(t) for t in times]
    days = {"time": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 4)]}
    assert str(calendar_of(days)[0].frequency) == "1 day"


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m"])
@pytest.mark.parametrize("kind", [int, float, str])
def test_whole_numbers_that_are_dates(form: str, kind: type) -> None:
    """20240131 is followed by 20240201."""
    times = pd.date_range("2023-11-01", periods=60, freq="D" if form == "%Y%m%d" else "MS").strftime(form)
    calendar, axis = calendar_of({"time": [kind(cell) for cell in times[:40]]})
    assert str(calendar.frequency) == ("1 day" if form == "%Y%m%d" else "1 month")
    following = calendar.write(axis[-1] + calendar.frequency.step * np.arange(1, 21))
    assert list(following) == [str(cell) if kind is str else int(cell) for cell in times[40:]]
    assert pd.Series(following).dtype == (pd.Series(["20240131"]).dtype if kind is str else "int64")
    assert Calendar.from_json(calendar.to_json()) == calendar


@pytest.mark.parametrize("cells", [range(20231225, 20240105), range(202301, 202314), range(17_000_101, 17_000_111), [1990, 1991]])
def test_whole_numbers_that_are_none(cells: object) -> None:
    calendar, axis = calendar_of({"time": list(cells)})
    assert (calendar.frequency.kind, list(axis)) == ("number", list(cells))


def test_whole_numbers_mean_what_they_meant_before() -> None:
    plain, dates = (read_times({"time": cells}, "time")[1] for cells in ([1, 2, 3], [202301, 202302]))
    assert read_times({"time": [202301, 202302]}, "time", plain)[0].tolist() == [202301, 202302]
    assert read_times({"time": [202301, 202302]}, "time", dates)[0].tolist() != [202301, 202302]


def test_texts_are_read_as_they_were_before() -> None:
    type = read_times({"time": ["13/02/2024", "14/02/2024"]}, "time")[1]
    march = np.array(["2024-03-02"], "datetime64[us]").astype(np.int64)
    assert read_times({"time": ["02/03/2024"]}, "time", type)[0] == march
    assert read_times({"time": ["2024-03-02"]}, "time", type)[0] == march
    unpadded = read_times({"time": ["13/2/2024", "1/3/2024"]}, "time")[1]
    assert read_times({"time": ["2/3/2024"]}, "time", unpadded)[0] == march
    with pytest.raises(SchemaError, match="expected times such as 31/05/2024, received '03/14/2024' in row 0"):
        read_times({"time": ["03/14/2024", "03/02/2024"]}, "time", type)


@pytest.mark.parametrize("hours", [(0, 12), (0, 6, 12, 18)])
def test_parts_of_days_in_a_zone_may_follow_the_wall_clock(hours: tuple[int, ...]) -> None:
    days = pd.date_range("2024-03-20", periods=230)
    times = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in hours]).tz_localize("Europe/Berlin")
    calendar, axis = calendar_of(pd.DataFrame({"time": times[:100]}))
    assert str(calendar.frequency) == f"{24 // len(hours)} hours"
    assert list(calendar.write(axis[-1] + calendar.frequency.step * np.arange(1, len(times) - 99))) == list(times[100:])


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (pd.date_range("2020-01-01", periods=30, freq="BME"), "times 1 month apart on one day of the month, or on its last"),
        (pd.date_range("2020-01-01", periods=30, freq="BQE"), "times 3 months apart .* received days 28 to 31; .*to_period"),
        (pd.date_range("2020-01-01", periods=30, freq="WOM-3FRI"), "times 1 month apart .* received days 15 to 21"),
    ],
)
def test_months_on_different_days(times: pd.DatetimeIndex, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        calendar_of({"time": times})
    assert frequency(times.to_period("M")) == ("3 months" if "3 months" in says else "1 month")
    assert frequency(pd.date_range("2020-01-01", periods=6, freq="28D")) == "4 weeks"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["monday", "tuesday"], "received 'monday' in row 0"),
        (["2024-01-01", None], "received none in row 1"),
        ([0.5, 1.0], "received 0.5 in row 0"),
        (pd.to_datetime(["2024-01-01", None]), "received none in row 1"),
        ([1.0, np.nan], "received none in row 1"),
    ],
)
def test_what_is_no_time(cells: object, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        read_times({"time": np.array(cells, dtype=object)}, "time")


def test_a_frequency_off_its_axis() -> None:
    month = Frequency("month", 1)
    with pytest.raises(ValueError, match="1"):
        month.to_axis(np.array(["2024-01-01", "2024-01-02"], "datetime64[us]").astype(np.int64))
    assert str(Frequency("fixed", 1500)) == "1500 microseconds"


def test_months_that_begin_days_tell_the_order_of_day_and_month() -> None:
    months = pd.date_range("2021-01-01", periods=24, freq="MS")
    values, type = read_times(pd.DataFrame({"t": months.strftime("%d/%m/%Y")}), "t")
    assert (values == months.as_unit("us").asi8).all()
    assert list(type.write(values)) == list(months.strftime("%d/%m/%Y"))


def test_an_order_of_day_and_month_that_nothing_tells_is_said() -> None:
    with pytest.warns(UserWarning, match="month first, although day first fits .* convert it with pandas.to_datetime"):
        values, _ = read_times({"t": np.array(["01/02/2021", "02/03/2021"], dtype=object)}, "t")
    assert str(values[:1].astype("datetime64[us]")[0]).startswith("2021-01-02")
