"""Daily sales of a chain of shops: a panel with every kind of column that a forecaster may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.datasets.seeds import check_count, generator

if TYPE_CHECKING:
    import pandas as pd

START = np.datetime64("2024-01-01", "us")  # a Monday
DAY = np.timedelta64(86_400_000_000, "us")
CITIES = {"Ashford": 0.3, "Bexley": 0.0, "Corby": -0.3}  # effect on log sales
WEEK = np.array([-0.25, -0.2, -0.1, 0.0, 0.2, 0.45, -0.1])  # Monday to Sunday, effect on log visitors
PROMO = 0.35  # effect on log sales
GAPS = 0.01  # share of days without a record


def make_sales(stores: int = 8, days: int = 365, *, random_state: Any = 0) -> pd.DataFrame:
    """Daily sales of a chain of shops as a long table, one row a store and day, sorted by store and date.

    date (datetime, whole days from 2024-01-01), store (str): together they name a row.
    sales (float, EUR): the target; a few gaps where a day was not recorded.
    promo (int, 0 or 1): whole weeks of promotion, planned, so known ahead; adds 0.35 to log sales.
    visitors (float, people): known only once a day is over; gaps where sales has them. Visitors follow the week, the year
        (peak in mid-December) and a demand that changes slowly from day to day, so those of today tell of tomorrow.
    city (str, 3 values) and size (float, m2): fixed for a store.

    With the demand d of the store (first-order autoregressive: 0.9 d + noise of deviation 0.06), the level a of the store
    (log size + effect of the city), a trend between -10 and +30 percent a year and t = days since the first,

        log visitors = a + trend + week[t] + 0.2 cos(2 pi (t - 348) / 365.25) + d
        log sales    = log visitors + 1.5 + 0.35 promo + noise of deviation 0.08

    From two stores on the last one opens late: it has rows for the last fifth of the days only.

    `random_state` is read as in `make_conversion`. Raises `ParameterError` unless `stores` and `days` are 1 or more.

    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=100, random_state=0)
    >>> table.shape, table.columns.tolist()
    ((220, 7), ['date', 'store', 'sales', 'promo', 'visitors', 'city', 'size'])
    >>> table.groupby("store")["date"].min().dt.day_of_year.tolist()
    [1, 1, 81]
    """
    import pandas as pd

    stores, days = check_count("stores", stores, "stores"), check_count("days", days, "days")
    rng, cities = generator(random_state), list(CITIES)
    tables = []
    for number in range(stores):
        city, size = cities[number % len(cities)], float(rng.integers(80, 400))
        level = np.log(size) + CITIES[city]
        series = pd.DataFrame(_days(rng, days, level))
        series.insert(1, "store", f"store-{number + 1:0{len(str(stores))}d}")
        late = stores > 1 and number == stores - 1
        tables.append(series.assign(city=city, size=size).iloc[days - max(days // 5, 1) if late else 0 :])
    return pd.concat(tables, ignore_index=True)


def _days(rng: np.random.Generator, days: int, level: float) -> dict[str, Any]:
    day = np.arange(days)
    demand = np.zeros(days)
    for t, shock in enumerate(rng.normal(0, 0.06, days)):
        demand[t] = 0.9 * demand[t - 1] + shock if t else shock
    trend = np.log1p(rng.uniform(-0.1, 0.3)) * day / 365.25
    year = 0.2 * np.cos(2 * np.pi * (day - 348) / 365.25)
    visitors = np.exp(level + trend + WEEK[day % 7] + year + demand)
    promo = (rng.random(days // 7 + 1) < 0.2).astype(np.int64)[day // 7]
    sales = visitors * np.exp(1.5 + PROMO * promo + rng.normal(0, 0.08, days))
    recorded = np.where(rng.random(days) < GAPS, np.nan, 1.0)
    return {
        "date": START + day * DAY,
        "sales": (sales * recorded).round(2),
        "promo": promo,
        "visitors": (visitors * recorded).round(),
    }
