"""A simulated table whose truth is known: every row comes with its conversion probability on request."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from tabdl.datasets.seeds import generator
from tabdl.errors import ParameterError, SchemaError

if TYPE_CHECKING:
    import pandas as pd

MOMENT = np.datetime64("2025-06-30T00:00:00", "us")  # the moment of prediction, a Monday; every column is known then
DAY = np.timedelta64(86_400_000_000, "us")
PLANS = ("free", "starter", "team", "enterprise")
SEATS = (1.0, 4.0, 15.0, 60.0)  # people that a plan is made for
DEVICES = ("desktop", "mobile", "tablet")
FIELD_WORK = ("agriculture", "construction", "hospitality", "logistics", "retail")
DESK_WORK = ("consulting", "education", "finance", "insurance", "law", "media", "public")
CAMPAIGNS = {"search": 0.7, "partner": 0.5, "newsletter": 0.2, "video": -0.2, "social": -0.5, "display": -0.7}  # kind: effect
DEAL_SITES = ("bargain", "coupon", "deal", "thrifty")
RATE = (0.04, 0.06)  # share of positives from 5,000 rows on
INTERCEPT = -7.77
CAUSES = (  # the columns that the probability depends on
    *("age", "income", "business", "industry", "team_size", "plan", "device", "app_installed", "newsletter", "city", "campaign"),
    *("referrer", "discount", "visits", "minutes_per_visit", "support_tickets", "signup_date", "last_visit"),
)


def make_conversion(n: int = 10_000, random_state: Any = 0, *, return_probability: bool = False) -> tuple[Any, ...]:
    """Customers on trial of an online service: who buys within 30 days of the moment of prediction, 2025-06-30?

    About 5% do (4 to 6% from 5,000 rows on). Column (dtype, unit): true effect on the logit, see `conversion_logit`.

    customer_id (str): none; an identifier in random order.
    age (Int64, years, 8% random gaps): only together with device: the older convert on a desktop, the younger on a mobile.
    income (float, 1000 EUR a year, about 25% gaps): rises and saturates; a gap INFORMS: it costs 1.2 and is commoner
        among the poorest and the richest.
    business (bool): only together with last_visit: business customers convert when last seen in office hours, private
        ones outside them.
    industry (str, 12 values): decides whether the app helps (field work) or not (desk work).
    team_size (int, people, heavy tail) and plan (ordered: free < starter < team < enterprise): only their fit counts, a
        plan is made for about 1, 4, 15, 60 people.
    device (category, 3 values): see age.
    app_installed (bool): see industry.
    newsletter (boolean, 3% random gaps): +0.4 for readers.
    city (str, 1200 values, long tail): a fixed effect of each city, uniform in +-0.5.
    campaign (str, 480 values such as "search-spring-03", long tail): effect of the kind (first word, -0.7 to 0.7) and of
        the campaign itself (+-0.3); both fade with the time since sign-up.
    referrer (str, 1600 domains, long tail): deal sites (bargain.., coupon.., deal.., thrifty..) bring people who wait for
        a high discount.
    discount (float, percent, 0 to 40): helps deal hunters above 20%; everyone else likes 10% and distrusts more.
    visits (int, since sign-up, heavy tail) and last_visit (datetime): many visits help while they are recent; worth
        nothing after two months. Hour and weekday of last_visit: see business.
    signup_date (datetime, whole days): yearly cycle, best in November (+0.4), worst in May (-0.4).
    minutes_per_visit (float, minutes, 5% random gaps): best near 8, worse on both sides.
    support_tickets (int, heavy tail): one or two help, from four on they hurt.
    pages (int, since sign-up, heavy tail): none of its own, but correlated with visits.
    noise (float): none; independent of everything.

    `random_state` as in scikit-learn (int, None, numpy Generator or RandomState), except that None draws fresh entropy: the
    global state is neither read nor changed. Labels are independent draws of the row's probability; from 5,000 rows on they
    are redrawn as a whole in the one case of some 1,000 where their share leaves 4 to 6%.

    Returns (X, converted), with `return_probability` (X, converted, probability). The probability follows from the complete
    row: it also knows the value behind a random gap.

    >>> from tabdl.datasets import make_conversion
    >>> X, converted, probability = make_conversion(5_000, random_state=0, return_probability=True)
    >>> X.shape, converted.name, bool(0.04 < converted.mean() < 0.06)
    ((5000, 21), 'converted', True)
    >>> X["plan"].cat.categories.tolist()
    ['free', 'starter', 'team', 'enterprise']
    """
    import pandas as pd

    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ParameterError(f"n should be a whole number of rows, 1 or more, received {n!r}; pass for example n=10_000")
    n, rng = int(n), generator(random_state)
    table = pd.DataFrame(_people(rng, n) | _origins(rng, n) | _habits(rng, n))
    table["noise"] = rng.standard_normal(n).round(3)
    table["income"] = table["income"].mask(_withheld(table["income"].to_numpy(), rng))
    probability = 1 / (1 + np.exp(-conversion_logit(table).to_numpy()))
    converted = _labels(probability, rng)
    for name, share in (("age", 0.08), ("minutes_per_visit", 0.05), ("newsletter", 0.03)):
        table[name] = table[name].mask(rng.random(n) < share)
    target = pd.Series(converted, name="converted")
    return (table, target, pd.Series(probability, name="probability")) if return_probability else (table, target)


def conversion_logit(X: pd.DataFrame) -> pd.Series:
    """The true logit of each row of a table with the columns of `make_conversion`; NaN where a random gap hides a value.

    With r = days since last_visit, t = days since signup_date, H(x) = 1 / (1 + exp(-x)), N(x) = exp(-x^2 / 2) and
    u(text) = crc32(text) / 2^31 - 1, a fixed number in [-1, 1), the logit is INTERCEPT plus

        1.6 log(1 + visits) exp(-r / 14)                                        visits x recency
        2.4 N(log(team_size / seats[plan]) / 0.8)                               team size x plan
        +-0.9: + when business == (last_visit on Monday to Friday, 8:00-17:59)  business x weekday x hour
        1.1 tanh((age - 40) / 8) (desktop 1, mobile -1, tablet 0)               age x device
        deal site: 3.0 H((discount - 20) / 2) - 1.5                             referrer x discount
        else:      0.8 N((discount - 10) / 6) - 0.8 H((discount - 25) / 3)
        app installed: 0.7 for field work, -0.7 for desk work                   app x industry
        (effect[kind of campaign] + 0.3 u(campaign)) exp(-t / 300)              campaign x tenure
        income: 0.6 tanh(log(income / 45)), -1.2 where withheld
        1.2 N(log(minutes_per_visit / 8) / 0.7)
        support tickets: 0: 0, 1 or 2: 0.5, 3: 0, then -0.5 each, at least -2
        0.4 cos(2 pi (day of year of signup_date - 319) / 365.25) + 0.4 newsletter + 0.5 u(city)
    """
    import pandas as pd

    missing = [name for name in CAUSES if name not in X.columns]
    if missing:
        raise SchemaError(f"expected the columns of make_conversion, received none named {missing}; add them")
    return pd.Series(INTERCEPT + _person_logit(X) + _origin_logit(X) + _habit_logit(X), index=X.index, name="logit")


def _person_logit(X: pd.DataFrame) -> np.ndarray:
    age, income = _numbers(X, "age"), _numbers(X, "income")
    device = _lookup(X["device"], {"desktop": 1.0, "mobile": -1.0, "tablet": 0.0})
    field, desk = X["industry"].isin(FIELD_WORK).to_numpy(), X["industry"].isin(DESK_WORK).to_numpy()
    seats = _lookup(X["plan"], dict(zip(PLANS, SEATS, strict=True)))
    with np.errstate(invalid="ignore"):
        wealth = np.where(np.isnan(income), -1.2, 0.6 * np.tanh(np.log(income / 45)))
    fit = 2.4 * _bell(np.log(_numbers(X, "team_size") / seats) / 0.8)
    app = 0.7 * _numbers(X, "app_installed") * (field.astype(float) - desk)
    return fit + 1.1 * np.tanh((age - 40) / 8) * device + app + wealth + 0.4 * _numbers(X, "newsletter")


def _origin_logit(X: pd.DataFrame) -> np.ndarray:
    discount = _numbers(X, "discount")
    hunters = 3.0 * _step((discount - 20) / 2) - 1.5
    others = 0.8 * _bell((discount - 10) / 6) - 0.8 * _step((discount - 25) / 3)
    offer = np.where(X["referrer"].str.startswith(DEAL_SITES).to_numpy(dtype=bool), hunters, others)
    kind = _lookup(X["campaign"].str.split("-").str[0], CAMPAIGNS)
    campaign = (kind + 0.3 * _fixed(X["campaign"])) * np.exp(-_days_ago(X["signup_date"]) / 300)
    return offer + campaign + 0.5 * _fixed(X["city"])


def _habit_logit(X: pd.DataFrame) -> np.ndarray:
    import pandas as pd

    seen, signup = pd.to_datetime(X["last_visit"]).dt, pd.to_datetime(X["signup_date"]).dt
    office = ((seen.day_of_week < 5) & seen.hour.between(8, 17)).to_numpy()
    match = np.where(_numbers(X, "business").astype(bool) == office, 0.9, -0.9)
    interest = 1.6 * np.log1p(_numbers(X, "visits")) * np.exp(-_days_ago(X["last_visit"]) / 14)
    tickets = _numbers(X, "support_tickets")
    help_desk = np.where(tickets == 0, 0.0, np.where(tickets < 3, 0.5, np.maximum(0.5 * (3 - tickets), -2.0)))
    season = 0.4 * np.cos(2 * np.pi * (signup.day_of_year.to_numpy() - 319) / 365.25)
    return interest + match + help_desk + season + 1.2 * _bell(np.log(_numbers(X, "minutes_per_visit") / 8) / 0.7)


def _people(rng: np.random.Generator, n: int) -> dict[str, Any]:
    import pandas as pd

    business = rng.random(n) < 0.48
    age = np.clip(np.where(business, rng.normal(43, 10, n), rng.normal(38, 14, n)), 18, 85).round().astype(np.int64)
    mobile = _step((38 - age) / 20)  # the young prefer the mobile
    device = np.where(rng.random(n) < 0.1, 2, (rng.random(n) < mobile).astype(int))
    size = np.exp(np.where(business, rng.normal(2.0, 1.3, n), rng.normal(0.4, 0.8, n)))
    income = np.exp(3.75 + 0.25 * business + 0.3 * _bell((age - 50) / 15) + rng.normal(0, 0.55, n)).round(1)
    work = np.array(sorted(FIELD_WORK + DESK_WORK))
    return {
        "customer_id": [f"C-{number}" for number in (rng.permutation(n) + 10_000_000).tolist()],
        "age": pd.array(age, dtype="Int64"),
        "income": np.maximum(income, 5.0),
        "business": business,
        "industry": _texts(work, _draw(rng, np.linspace(1.5, 0.7, len(work)), n)),
        "team_size": np.minimum(1 + size.astype(np.int64), 5_000),
        "plan": pd.Categorical.from_codes(_draw(rng, np.array([0.4, 0.28, 0.2, 0.12]), n), list(PLANS), ordered=True),
        "device": pd.Categorical.from_codes(device, list(DEVICES)),
        "app_installed": rng.random(n) < 0.5,
        "newsletter": pd.array(rng.random(n) < 0.35, dtype="boolean"),
    }


def _origins(rng: np.random.Generator, n: int) -> dict[str, Any]:
    discount = np.where(rng.random(n) < 0.25, 0.0, (rng.uniform(1, 40, n) * 2).round() / 2)
    return {
        name: _texts(np.array(values), _draw(rng, (np.arange(len(values)) + 8.0) ** -power, n))
        for name, values, power in (("city", _cities(), 1.1), ("campaign", _campaigns(), 0.9), ("referrer", _referrers(), 1.0))
    } | {"discount": discount}


def _habits(rng: np.random.Generator, n: int) -> dict[str, Any]:
    interest = rng.standard_normal(n)  # never shown: it ties visits, recency, minutes and tickets together
    tenure = (900 * rng.random(n) ** 1.5).astype(np.int64)  # days
    recency = np.minimum(np.exp(2.4 - 0.2 * interest + rng.normal(0, 1.2, n)).astype(np.int64), tenure)  # days
    visits = 1 + rng.poisson(np.exp(0.9 + 0.8 * interest + 0.15 * np.log1p(tenure / 30)))
    clock = np.clip(rng.normal(14.0, 4.5, n) * 60, 0, 1439).astype(np.int64)  # minute of the day
    return {
        "visits": visits,
        "pages": visits + rng.poisson(visits * np.exp(rng.normal(0.8, 0.5, n))),
        "minutes_per_visit": np.exp(1.7 + 0.2 * interest + rng.normal(0, 0.8, n)).round(1).clip(0.1, 240),
        "support_tickets": rng.poisson(rng.gamma(0.6, 1.6, n) * np.exp(0.2 * interest)),
        "signup_date": MOMENT - (tenure + 1) * DAY,
        "last_visit": MOMENT - (recency + 1) * DAY + clock.astype("timedelta64[m]"),
    }


def _withheld(income: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.random(len(income)) < np.minimum(0.1 + 0.35 * np.abs(np.log(income / 50)), 0.7)


def _labels(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    while True:
        converted = (rng.random(len(probability)) < probability).astype(np.int64)
        if len(converted) < 5_000 or RATE[0] <= converted.mean() <= RATE[1]:
            return converted


def _cities() -> list[str]:
    """1,200 invented names; neighbours in rank differ in both syllables."""
    first = "Al Ash Bel Bram Brook Cal Car Clay Dal Den Dun East Elm Fair Fen Glen Gran Hal Har Hazel Iron Kel King Lin Long "
    first += "Mar Mill Nor Oak Pen Ras Red Ros Sal Stan Thorn Ul Wal West Win"
    last = "borough bridge burn bury by cester combe dale den field ford gate ham haven hurst land ley mere minster mont more "
    last += "port shaw stead stow ton vale ville wick worth"
    return _pairs(first.split(), last.split(), "")


def _referrers() -> list[str]:
    first = "alpha bargain best blue bright city clever coupon daily deal digital easy expert fast first fresh global good "
    first += "green happy home inside local modern my new north open plain prime pure quick silver smart social sunny thrifty "
    first += "top urban web"
    last = "advice archive blog board box brief central club corner desk digest directory feed finder forum gazette guide hub "
    last += "index journal letter list magazine market mind network news notes page planet portal post press review search "
    last += "spot tools tribune weekly world"
    return [name + ".example" for name in _pairs(first.split(), last.split(), "")]


def _campaigns() -> list[str]:
    themes = ["spring", "summer", "autumn", "winter", "brand", "trial", "webinar", "security", "savings", "growth"]
    starts = _pairs(list(CAMPAIGNS), themes, "-")
    return [f"{start}-{number:02d}" for number in range(1, 9) for start in starts]


def _pairs(first: Sequence[str], last: Sequence[str], joint: str) -> list[str]:
    """Every first with every last, in an order that mixes both, so that popular names share no part for long."""
    mixed = ((f, (7 * f + turn) % len(last)) for turn in range(len(last)) for f in range(len(first)))
    return [first[f] + joint + last[w] for f, w in mixed]


def _draw(rng: np.random.Generator, weights: np.ndarray, n: int) -> np.ndarray:
    edges = np.cumsum(weights)
    return np.minimum(np.searchsorted(edges, rng.random(n) * edges[-1], side="right"), len(edges) - 1)


def _texts(values: np.ndarray, codes: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values.tolist()).take(codes).reset_index(drop=True)


def _fixed(texts: Any) -> np.ndarray:
    """u(text): a number in [-1, 1) that belongs to the text, the same in every table, process and release."""
    return _lookup(texts, {text: zlib.crc32(str(text).encode()) / 2**31 - 1 for text in texts.unique()})


def _lookup(texts: Any, values: dict[str, float]) -> np.ndarray:
    return texts.astype(str).map(values).to_numpy(dtype=float)


def _numbers(X: pd.DataFrame, name: str) -> np.ndarray:
    return X[name].to_numpy(dtype=float, na_value=np.nan)


def _days_ago(moments: Any) -> np.ndarray:
    import pandas as pd

    return (MOMENT - pd.to_datetime(moments).to_numpy().astype("datetime64[us]")).astype(float) / 86_400e6


def _bell(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2)


def _step(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
