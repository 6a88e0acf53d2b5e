"""What every forecaster promises."""

from __future__ import annotations

import pickle
import random
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabdl.errors import ParameterError, SchemaError, TargetError
from tabdl.testing.promises import near, refuses, require, same, saved_and_loaded

HORIZON, STEPS = 7, 84
SHOPS = ("Oslo", "Bergen", "Bodø")


def mixed_panel(seed: int = 0) -> Any:
    """Daily sales of three shops: promotions and a text known ahead, visitors, gaps, a shop that opened late."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, shop in enumerate(SHOPS):
        days = pd.date_range("2024-01-01", periods=STEPS + HORIZON, freq="D")[(0 if i < 2 else STEPS - 20) :]
        place, promo = np.arange(len(days)), rng.uniform(size=len(days)) < 0.3
        sales = (i + 1) * (20 + 6 * np.sin(2 * np.pi * days.day_of_week / 7) + 8 * promo) + rng.normal(size=len(days))
        own = {"shop": shop, "day": days, "sales": sales, "visitors": 3 * sales + place, "promo": promo, "size": float(i)}
        parts.append(pd.DataFrame(own).assign(mood=rng.choice(["sun", "rain"], len(days))))
    table = pd.concat(parts, ignore_index=True)
    table.loc[[5, 30], "sales"] = np.nan
    return table.drop(index=[40, 41]).reset_index(drop=True)


class ForecastCase:
    """One forecaster class, the table, and the fitted model that its checks share."""

    def __init__(self, forecaster_class: type, params: dict[str, Any]):
        roles = {"horizon": HORIZON, "time": "day", "id": "shop", "target": "sales"}
        small = {"epochs": 2, "random_state": 0} if "epochs" in getattr(forecaster_class, "fields", {}) else {}
        self.cls: Any = forecaster_class
        self.params = roles | small | params
        whole: Any = mixed_panel()
        end = whole["day"].max() - pd.Timedelta(days=HORIZON)
        self.table, self.future = whole[whole["day"] <= end].reset_index(drop=True), whole[whole["day"] > end]

    def new(self, **params: Any) -> Any:
        return self.cls(**self.params | params)

    @cached_property
    def model(self) -> Any:
        """Fitted once, with everything a table may tell; no check may change it."""
        return self.new(known=("promo", "mood"), past="visitors", static="size").fit(self.table)

    @cached_property
    def plain(self) -> Any:
        return self.new().fit(self.table)

    @cached_property
    def predicted(self) -> Any:
        return self.model.predict(future=self.future)


def numbers(forecast: Any) -> np.ndarray:
    return forecast.filter(regex="^(mean|q0)").to_numpy()


def check_parameters(case: ForecastCase) -> None:
    """`__init__` stores what it is given, `clone` makes an equal, unfitted forecaster."""
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    params = case.model.get_params()
    require(set(params) == set(case.cls.fields), "get_params should return every declared parameter")
    copied: Any = clone(case.model)
    require(type(copied) is case.cls and copied.get_params() == params, "a clone should have the same parameters")
    refuses(TypeError, "no_such_parameter", lambda: case.cls(no_such_parameter=1))
    refuses(NotFittedError, case.cls.__name__, lambda: copied.predict())
    refuses(ParameterError, "horizon", lambda: case.new(horizon=0).fit(case.table))


def check_tidy(case: ForecastCase) -> None:
    """One row a series and step, times that follow, quantiles that never cross."""
    found = case.predicted
    require(list(found.columns) == ["shop", "day", "mean", "q0.025", "q0.1", "q0.9", "q0.975"], f"columns: {list(found.columns)}")
    require(len(found) == 3 * HORIZON and np.isfinite(numbers(found)).all(), "expected a finite forecast of each step")
    require(found["day"].dtype == case.table["day"].dtype, "times should come back in their type")
    merged = found.merge(case.future, on=["shop", "day"])
    require(len(merged) == len(found), "forecasts should be of the steps that follow")
    bounds = found[["q0.025", "q0.1", "mean", "q0.9", "q0.975"]].to_numpy()
    require((np.diff(bounds, axis=1) >= 0).all(), "quantiles should not cross")
    wide = float((found["q0.9"] - found["q0.1"]).mean() / merged["sales"].std())
    require(wide < 3, f"intervals should tell something, received a width of {wide:.1f} standard deviations")
    error = np.abs(merged["mean"] - merged["sales"]).mean() / merged["sales"].std()
    require(error < 1, f"forecasts should be nearer than any number, received an error of {error:.2f} standard deviations")


def check_kept(case: ForecastCase) -> None:
    """A pickled copy forecasts the same to the bit; a saved one too, once it is told the past, and no row is in the file."""
    copied = pickle.loads(pickle.dumps(case.model))
    same(numbers(copied.predict(future=case.future)), numbers(case.predicted), "a pickled copy should forecast the same")
    loaded = saved_and_loaded(case.model)
    refuses(SchemaError, "history", lambda: loaded.predict(future=case.future))
    told = loaded.predict(case.table, case.future)
    near(numbers(told), numbers(case.predicted), "a loaded model should forecast the same from the same past")


def check_repeatable(case: ForecastCase) -> None:
    """The same random_state, and rows in any order, give the same forecasts."""
    again = case.new(known=("promo", "mood"), past="visitors", static="size").fit(case.table.sample(frac=1, random_state=0))
    found = again.predict(future=case.future.sample(frac=1, random_state=1))
    ordered = found.sort_values(["shop", "day"]), case.predicted.sort_values(["shop", "day"])
    near(numbers(ordered[0]), numbers(ordered[1]), "the order of rows should not matter")


def check_new_series(case: ForecastCase) -> None:
    """Unknown ids, series shorter than what a forecast sees, one series alone: all are forecast."""
    new = case.table[case.table["shop"] == "Bergen"].assign(shop="Molde")
    usual = case.plain.predict()
    for steps in (1, 3, 30):
        found = case.plain.predict(new.tail(steps))
        require(set(found["shop"]) == {"Molde"} and np.isfinite(numbers(found)).all(), f"{steps} steps of a new series")
        wide = float((found["q0.9"] - found["q0.1"]).mean() / (usual["q0.9"] - usual["q0.1"]).mean())
        require(0.1 < wide < 10, f"{steps} steps of a new series: intervals {wide:.2g} times as wide as those of the others")
    alone = case.new(id=None).fit(new.drop(columns="shop"))
    require(len(alone.predict()) == HORIZON, "one series should need no id")


def check_no_look_ahead(case: ForecastCase) -> None:
    """Rows after the end of the past change nothing, and what comes later teaches nothing about what came before."""
    spiked = pd.concat([case.table, case.future.assign(sales=np.nan, visitors=1e9)], ignore_index=True)
    model = case.new(known=("promo", "mood"), past="visitors", static="size").fit(spiked)
    near(numbers(model.predict(future=case.future)), numbers(case.predicted), "rows without a target should change nothing")
    early = case.table[case.table["day"] < "2024-03-01"]
    first = case.plain.predict(early)
    later = case.table[case.table["day"] >= "2024-03-01"].assign(sales=np.nan, visitors=1e9)
    later = later[later["shop"].isin(early["shop"])]
    near(numbers(case.plain.predict(pd.concat([early, later]))), numbers(first), "a forecast should see the past only")


def check_times(case: ForecastCase) -> None:
    """Texts, zones, months, working days and whole numbers are times, and come back as they were."""
    values = case.table[case.table["shop"] == "Oslo"]["sales"].to_numpy()
    kinds = {
        "texts": pd.date_range("2024-01-01", periods=len(values), freq="D").strftime("%Y-%m-%d"),
        "hours in a zone": pd.date_range("2024-03-29", periods=len(values), freq="h", tz="Europe/Oslo"),
        "days in a zone": pd.date_range("2024-03-01", periods=len(values), freq="D", tz="Europe/Oslo"),
        "months": pd.date_range("2010-01-31", periods=len(values), freq="ME"),
        "working days": pd.bdate_range("2024-01-01", periods=len(values)),
        "numbers": np.arange(len(values)) * 5,
    }
    for name, times in kinds.items():
        table = pd.DataFrame({"at": times, "y": values})
        model = case.cls(**case.params | {"time": "at", "target": "y", "id": None, "horizon": 3}).fit(table)
        found = model.predict()["at"]
        ahead = {"texts": "2024-03-25", "numbers": 5 * len(values)}.get(name)
        require(found.dtype == table["at"].dtype, f"{name} should come back in their type, received {found.dtype}")
        require(ahead is None or len(values) != 84 or found[0] == ahead, f"{name}: received {found[0]}")


def check_several_targets(case: ForecastCase) -> None:
    """Several targets are forecast at once, each in its own units."""
    found = case.new(target=("sales", "visitors")).fit(case.table).predict()
    means = found.groupby("target")["mean"].mean()
    require(len(found) == 2 * 3 * HORIZON and means["visitors"] > 2 * means["sales"], f"received means {means.to_dict()}")


def check_refusals(case: ForecastCase) -> None:
    """What does not fit is refused by name."""
    table, new = case.table, case.new
    refuses(SchemaError, "twice", lambda: new().fit(pd.concat([table, table.iloc[[3]]])))
    refuses(SchemaError, "sails", lambda: new(target="sails").fit(table))
    refuses(ParameterError, "two roles", lambda: new(known="sales").fit(table))
    refuses(TargetError, "gaps", lambda: new().fit(table.assign(sales=np.nan)))
    refuses(SchemaError, "at least", lambda: new(horizon=90).fit(table))
    refuses(SchemaError, "future", lambda: case.model.predict())
    refuses(SchemaError, "Bergen", lambda: case.model.predict(future=case.future[case.future["shop"] != "Bergen"]))
    refuses(SchemaError, "time zone", lambda: case.plain.predict(table.assign(day=table["day"].dt.tz_localize("UTC"))))
    shifted = table.assign(day=table["day"] + pd.to_timedelta(np.where(table.index == 9, 5, 0), unit="h"))
    refuses(SchemaError, "steps of", lambda: new().fit(shifted))
    refuses(ParameterError, "levels", lambda: case.plain.predict(levels=(80,)))
    for what, call in (
        ("fit", lambda: new().fit(table[:0])),
        ("history", lambda: case.plain.predict(table[:0])),
        ("future", lambda: case.model.predict(future=case.future[:0])),
    ):
        refuses(SchemaError, f"{what}: expected one row a step", call)


def check_no_worse_than_ridge(case: ForecastCase) -> None:
    """On held-out steps a forecaster is at least as good as the linear forecast; it is that one where nothing more helps."""
    from tabdl import RidgeForecaster

    same_params = {name: value for name, value in case.plain.get_params().items() if name in RidgeForecaster.fields}
    ridge: Any = RidgeForecaster(**same_params).fit(case.table)
    share = getattr(case.plain, "share_", 0.0)
    if share:
        require(case.plain.score_ < ridge.score_, f"a network of share {share:g} should help on held-out steps")
    else:
        near(numbers(case.plain.predict()), numbers(ridge.predict()), "without a network the forecast should be the linear one")


def check_innocent(case: ForecastCase) -> None:
    """`fit` and `predict` leave the table, parameters and random state as they are, and `predict` the model."""
    table = case.table.copy()
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the global state is what the check is about
    before = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    model = case.new()
    params = model.get_params()
    model.fit(table)
    fitted = {name: id(value) for name, value in vars(model).items()}
    model.predict()
    require((random.getstate(), str(np.random.get_state())) == before, "the global random state should stay")  # noqa: NPY002
    pd.testing.assert_frame_equal(table, case.table)
    require(model.get_params() == params, "fit should not change parameters")
    require({name: id(value) for name, value in vars(model).items()} == fitted, "predict should not change the model")


def check_picture(case: ForecastCase) -> None:
    """`plot_forecast` writes a picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fan.png"
        case.plain.plot_forecast(path=path)
        require(path.stat().st_size > 1000, "plot_forecast should write a picture")


FORECAST_PROMISES = (
    check_parameters,
    check_tidy,
    check_kept,
    check_no_worse_than_ridge,
    check_repeatable,
    check_new_series,
    check_no_look_ahead,
    check_times,
    check_several_targets,
    check_refusals,
    check_innocent,
    check_picture,
)
