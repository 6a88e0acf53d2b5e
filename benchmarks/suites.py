"""The real series of the benchmarks: what is read, what is trained on, what is tested.

Classes: official splits. Numbers: ten resamples, since the sets are tiny. Resample 0 is the official split; resample i
shuffles all rows, training rows first, by `RandomState(i)` and cuts them into parts of the official sizes, as tsml does.
ETTh1: rows 0..8640 are for training, the 2880 after them for validation, the next 2880 for testing. Values are standardised by
the first 8640 rows. A model is fitted on the first 11,520 rows and decides by itself which of them validate; it gets each
channel as a series. Every window of the test part is scored: 2880 - horizon + 1 of them, stride 1, and each knows the steps
before it, at most `LOOKBACK`. M4 Hourly: the training series are the history of the test series; times are numbers, as the
files have none. AirPassengers: four forecasts of 12 months, from models fitted on all months before them.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the rivals' interpreters have no tabdl, but need its measures
from tabdl import accuracy

UCR = (
    *("SonyAIBORobotSurface1", "SonyAIBORobotSurface2", "ItalyPowerDemand", "MoteStrain", "DiatomSizeReduction", "FaceFour"),
    *("ArrowHead", "ECG200", "ShapeletSim", "ToeSegmentation1", "ToeSegmentation2", "Wine", "Beef", "OliveOil", "Lightning7"),
    *("PowerCons", "DistalPhalanxTW", "MiddlePhalanxTW", "ProximalPhalanxTW", "MedicalImages", "Ham", "Lightning2"),
    *("SwedishLeaf", "OSULeaf"),
)
HORIZONS = (96, 192, 336, 720)  # hours, of ETTh1
SUITES = {
    "TSC-24": UCR,
    "channels and lengths": ("PLAID", "JapaneseVowels", "BasicMotions"),
    "regression": ("CardanoSentiment", "Covid3Month"),
    "ETTh1": tuple(f"ETTh1-{horizon}" for horizon in HORIZONS),
    "M4 Hourly": ("M4Hourly",),
    "AirPassengers": ("AirPassengers",),
}
METRICS = {"TSC-24": "accuracy", "channels and lengths": "accuracy", "regression": "rmse"}
METRICS |= {"ETTh1": "mse", "M4 Hourly": "owa", "AirPassengers": "mase"}
RESAMPLES = 10
PROTOCOL = 1  # raise it when cells of series measured before are no longer comparable
TRAINING, VALIDATION, TEST = 8640, 2880, 2880  # rows of ETTh1
LOOKBACK = 1008  # steps, six weeks: the most that a window of ETTh1 hands to a model
CHUNK = 1_500_000  # rows of a table of windows
LEVELS = {80: ("q0.1", "q0.9"), 95: ("q0.025", "q0.975")}  # percent -> columns


class Split(NamedTuple):
    """Series to learn from and to test: X is (rows, steps, channels), or a list of (steps, channels) for unequal lengths."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray


@dataclass(frozen=True)
class Origin:
    """Where forecasts start: a table (id, time, value) to fit on; chunks of (histories, what came: (ids, horizon))."""

    train: pd.DataFrame
    chunks: Any  # iterable
    season: int  # steps
    scale: np.ndarray = field(default_factory=lambda: np.array(np.nan))  # (ids,), what MASE divides by


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The option that names the folder of the series."""
    default = os.environ.get("TABDL_SERIES", "../shared/data/series")
    parser.add_argument("--series", type=Path, default=Path(default), help="folder of the series; else TABDL_SERIES")


def check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise SystemExit(f"expected a folder of series at {folder}, found none; name one with --series or TABDL_SERIES")


def suite_of(name: str) -> str:
    return next(suite for suite, names in SUITES.items() if name in names)


def kind(name: str) -> str:
    """The kind of estimator a data set asks for."""
    return {"accuracy": "classifier", "rmse": "regressor"}.get(METRICS[suite_of(name)], "forecaster")


def horizon(name: str) -> int:
    """Steps ahead."""
    return {"M4Hourly": 48, "AirPassengers": 12}.get(name) or int(name.rpartition("-")[2])


def season(name: str) -> int:
    """Steps of the season that classical models are told."""
    return 12 if name == "AirPassengers" else 24


def read_ts(path: Path) -> tuple[Any, np.ndarray]:
    """Series and targets of a .ts file; "?" is missing."""
    head, _, body = gzip.decompress(path.read_bytes()).decode().replace("@DATA", "@data").partition("@data\n")
    said = dict(line[1:].lower().split(" ", 1) for line in head.splitlines() if line.startswith("@") and " " in line)
    if said.get("timestamps") == "true":
        raise SystemExit(f"expected values without time stamps in {path}; convert the file")
    X, y = [], []
    for line in filter(None, map(str.strip, body.splitlines())):
        *channels, target = line.split(":")
        X.append(np.array([[_number(v) for v in channel.split(",")] for channel in channels]).T)
        y.append(target)
    return _stacked(X), np.array(y, float if "targetlabel" in said else str)


def read_tsv(path: Path) -> tuple[Any, np.ndarray]:
    """Series and labels of a file of the UCR archive, the label first."""
    table = pd.read_csv(path, sep="\t", header=None)
    return table.iloc[:, 1:].to_numpy(float)[..., None], table[0].to_numpy().astype(str)


def _number(text: str) -> float:
    return np.nan if text == "?" else float(text)


def _stacked(X: list[np.ndarray]) -> Any:
    return np.stack(X) if len({len(x) for x in X}) == 1 else X


def splits(name: str, folder: Path) -> list[Split]:
    """The official split; for numbers ten resamples of it."""
    read, place, end = (read_tsv, folder / "ucr", "tsv") if name in UCR else (read_ts, folder, "ts")
    split = Split(*(part for which in ("TRAIN", "TEST") for part in read(place / f"{name}_{which}.{end}.gz")))
    return [resample(split, number) for number in range(RESAMPLES)] if kind(name) == "regressor" else [split]


def resample(split: Split, number: int) -> Split:
    """The same rows, shuffled over parts of the same sizes; 0 is the split itself."""
    if number == 0:
        return split
    X, y = [*split.X, *split.X_test], np.concatenate([split.y, split.y_test])
    order = np.arange(len(y))
    check_random_state(number).shuffle(order)
    train, test = np.split(order, [len(split.y)])
    return Split(_stacked([X[i] for i in train]), y[train], _stacked([X[i] for i in test]), y[test])


def origins(name: str, folder: Path) -> Iterator[Origin]:
    """All fits and forecasts of a data set."""
    if name == "M4Hourly":
        train, test = (_m4(folder / f"m4_hourly_{part}.csv.gz") for part in ("train", "test"))
        frame = long(train)
        yield Origin(frame, [(frame, np.stack(list(test.values())))], season(name), scales(train.values(), season(name)))
    elif name == "AirPassengers":
        table = pd.read_csv(folder / "air_passengers.csv")
        yield from rolling(pd.to_datetime(table.iloc[:, 0]), table.iloc[:, 1].to_numpy(float), 12, 4)
    else:
        table = pd.read_csv(folder / "ETTh1.csv.gz", parse_dates=["date"])
        values = table.drop(columns="date")
        values = (values - values[:TRAINING].mean()) / values[:TRAINING].std(ddof=0)
        before = TRAINING + VALIDATION
        train = long({c: values[c].to_numpy()[:before] for c in values}, table["date"].to_numpy()[:before])
        end = before + TEST
        ahead = windows(table["date"].to_numpy()[:end], values[:end], before, horizon(name), LOOKBACK)
        yield Origin(train, ahead, season(name))


def _m4(path: Path) -> dict[str, np.ndarray]:
    """id -> values, the gaps after the last step left out."""
    table = pd.read_csv(path, index_col=0)
    return {str(name): values[np.isfinite(values)] for name, values in zip(table.index, table.to_numpy(float), strict=True)}


def long(series: dict[str, np.ndarray], times: np.ndarray | None = None) -> pd.DataFrame:
    """A table (id, time, value) of some series; without times, steps are counted."""
    ids = np.repeat(list(series), [len(values) for values in series.values()])
    time = np.concatenate([np.arange(len(v)) if times is None else times for v in series.values()])
    return pd.DataFrame({"id": ids, "time": time, "value": np.concatenate(list(series.values()))})


def rolling(times: pd.Series, values: np.ndarray, steps: int, count: int) -> Iterator[Origin]:
    """The last `count` forecasts of `steps` that do not overlap, oldest first; a step is a month."""
    for start in range(len(values) - count * steps, len(values), steps):
        frame = long({"series": values[:start]}, times.to_numpy()[:start])
        yield Origin(frame, [(frame, values[None, start : start + steps])], 12, scales([values[:start]], 12))


def windows(
    times: np.ndarray, values: pd.DataFrame, start: int, steps: int, lookback: int
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Histories and what came, for each window of `steps` from row `start` on, a chunk at a time; each channel is a series."""
    array = values.to_numpy().T  # (channels, rows)
    most = max(1, CHUNK // (len(array) * lookback))
    firsts = np.arange(start, array.shape[1] - steps + 1)
    for chunk in np.split(firsts, range(most, len(firsts), most)):
        lengths = np.minimum(chunk, lookback).repeat(len(array))  # in the order: window, channel
        rows = np.concatenate([np.arange(max(0, first - lookback), first) for first in chunk for _ in array])
        names = [f"{first:06d} {number:03d}" for first in chunk for number in range(len(array))]
        channel = np.tile(np.arange(len(array)), len(chunk)).repeat(lengths)
        table = pd.DataFrame({"id": np.repeat(names, lengths), "time": times[rows], "value": array[channel, rows]})
        yield table, np.concatenate([array[:, first : first + steps] for first in chunk])


def scales(series: Any, season: int) -> np.ndarray:
    """What MASE divides by, one a series."""
    return np.array([accuracy.seasonal_scale(values, season) for values in series])


def errors(actual: np.ndarray, forecast: dict[str, np.ndarray], scale: np.ndarray) -> pd.DataFrame:
    """A row a series, of (ids, horizon): errors of the mean, and how often the intervals held what came."""
    mean = forecast["mean"]
    wrong = np.abs(actual - mean)
    found = {"mse": (wrong**2).mean(axis=1), "mae": wrong.mean(axis=1), "smape": accuracy.smape(actual, mean)}
    found["mase"] = found["mae"] / scale
    for level, (low, high) in LEVELS.items():
        if low in forecast:
            found[f"coverage_{level}"] = accuracy.coverage(actual, forecast[low], forecast[high])
    return pd.DataFrame(found)


def owa(found: pd.DataFrame, origin: Origin) -> float:
    """Overall weighted average of M4: sMAPE and MASE, each over that of Naive2."""
    (frame, actual), *_ = origin.chunks
    pasts = [past["value"].to_numpy() for _, past in frame.groupby("id", sort=False)]
    plain = np.stack([accuracy.naive2(past, actual.shape[1], origin.season) for past in pasts])
    yardstick = errors(actual, {"mean": plain}, origin.scale)
    return float(accuracy.owa(*(of[measure].mean() for of in (found, yardstick) for measure in ("smape", "mase"))))
