"""The benchmarks of series, without rivals and real files: readers, resamples, windows, figures, cache, report."""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cells
import rivals
import series
import standings
import suites
from tabdl import accuracy, models

HEAD = "#comment: with a colon\n@problemName Made\n@timeStamps false\n@missing true\n@{} true\n@data\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def options_of(folder: Path, **more) -> argparse.Namespace:
    """What the command line would say."""
    paths = {"cache": folder / "cells", "series": folder, "peers": folder, "results": folder / "results"}
    choice = {"only_sets": ["BasicMotions"], "only_models": "forest*", "seeds": [0, 1]}
    return argparse.Namespace(**{"again": False, "limit": 600.0, **paths, **choice, **more})


class Last:
    """A forecaster that repeats the last value, one unit each side for the intervals; remembers what it was asked."""

    asked: list[pd.DataFrame] = []

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def fit(self, train: pd.DataFrame) -> None:
        self.known = len(train)

    def predict(self, histories: pd.DataFrame) -> dict[str, np.ndarray]:
        self.asked.append(histories)
        last = histories.groupby("id", sort=False)["value"].last().to_numpy()[:, None] + np.zeros(self.steps)
        return {"mean": last, "q0.1": last - 1, "q0.9": last + 1, "q0.025": last - 2, "q0.975": last + 2}


def test_ts_files_of_unequal_lengths_with_gaps(tmp_path):
    text = HEAD.format("classLabel") + "1,2,?:4,5,6:cat\n\n7,NaN:9,10:a dog\n"
    X, y = suites.read_ts(write(tmp_path / "Made_TRAIN.ts.gz", text))
    assert [x.shape for x in X] == [(3, 2), (2, 2)]  # (steps, channels)
    np.testing.assert_array_equal(X[0], [[1, 4], [2, 5], [np.nan, 6]])
    np.testing.assert_array_equal(X[1], [[7, 9], [np.nan, 10]])
    assert y.tolist() == ["cat", "a dog"]


def test_ts_files_of_equal_lengths_with_numbers(tmp_path):
    text = HEAD.format("targetlabel") + "1,2,3:0.5\n4,5,6:-1e-2\n"
    X, y = suites.read_ts(write(tmp_path / "Made_TRAIN.ts.gz", text))
    assert X.shape == (2, 3, 1)
    assert y.dtype == float
    assert y.tolist() == [0.5, -0.01]
    stamped = text.replace("@timeStamps false", "@timeStamps true")
    with pytest.raises(SystemExit, match="without time stamps"):
        suites.read_ts(write(tmp_path / "Made_TRAIN.ts.gz", stamped))


def test_archive_files_have_the_label_first(tmp_path):
    write(tmp_path / "ucr/Wine_TRAIN.tsv.gz", "2\t0.5\t0.25\n1\t1.5\t1.25\n")
    write(tmp_path / "ucr/Wine_TEST.tsv.gz", "1\t2.5\t2.25\n")
    ((X, y, X_test, y_test),) = suites.splits("Wine", tmp_path)
    assert X[..., 0].tolist() == [[0.5, 0.25], [1.5, 1.25]]
    assert (y.tolist(), y_test.tolist(), X_test.shape) == (["2", "1"], ["1"], (1, 2, 1))


def test_resamples_keep_sizes_and_rows_and_begin_with_the_official_split():
    X, y = np.arange(14.0).reshape(7, 2, 1), np.arange(7.0)
    split = suites.Split(X[:4], y[:4], list(X[4:]), y[4:])
    assert suites.resample(split, 0) is split
    for number in (1, 2):
        one = suites.resample(split, number)
        assert (one.X.shape, one.X_test.shape) == ((4, 2, 1), (3, 2, 1))
        both = np.concatenate([one.y, one.y_test])
        assert sorted(both) == y.tolist()
        np.testing.assert_array_equal(np.concatenate([one.X, one.X_test])[:, 0, 0], 2 * both)
        order = np.arange(7)
        np.random.RandomState(number).shuffle(order)  # tsml's way
        np.testing.assert_array_equal(both, order)


@pytest.mark.parametrize("steps", [1, 5, 12])
@pytest.mark.parametrize("most", [1, 3, 1000], ids="{} windows a chunk".format)
def test_no_window_is_dropped_and_none_knows_what_comes(steps, most, monkeypatch):
    rows, start, lookback = 30, 18, 4
    monkeypatch.setattr(suites, "CHUNK", most * 2 * lookback)
    times = pd.date_range("2020-01-01", periods=rows, freq="h").to_numpy()
    values = pd.DataFrame({"a": np.arange(30.0), "b": 100 + np.arange(30.0)})
    chunks = list(suites.windows(times, values, start, steps, lookback))
    actual = np.concatenate([came for _, came in chunks])
    assert actual.shape == (2 * (rows - start - steps + 1), steps)
    assert max(len(came) for _, came in chunks) <= 2 * most
    assert actual[-1, -1] == 129
    table = pd.concat([table for table, _ in chunks])
    histories = list(table.groupby("id", sort=False))
    assert len(histories) == len(actual)
    for (_, history), came in zip(histories, actual, strict=True):
        assert len(history) == lookback
        np.testing.assert_array_equal(history["value"], came[0] - np.arange(lookback, 0, -1))
        assert (history["time"] == times[(history["value"] % 100).astype(int)]).all()


def test_windows_of_a_part_of_2880_rows(tmp_path, monkeypatch):
    rows = 17_420
    monkeypatch.setattr(suites, "LOOKBACK", 2)
    table = pd.DataFrame({"date": pd.date_range("2016-07-01", periods=rows, freq="h"), "OT": np.arange(rows) % 977.0})
    table.to_csv(tmp_path / "ETTh1.csv.gz", index=False)
    for steps in suites.HORIZONS:
        (origin,) = suites.origins(f"ETTh1-{steps}", tmp_path)
        assert len(origin.train) == 8640 + 2880
        assert abs(origin.train["value"][:8640].mean()) < 1e-12
        assert origin.train["value"][:8640].std(ddof=0) == pytest.approx(1)
        chunks = list(origin.chunks)
        assert sum(len(came) for _, came in chunks) == 2880 - steps + 1
        assert chunks[0][0]["time"].iloc[1] == origin.train["time"].iloc[-1]
        mean, std = table["OT"][:8640].mean(), table["OT"][:8640].std(ddof=0)
        np.testing.assert_allclose(chunks[-1][1][-1] * std + mean, table["OT"][14_400 - steps : 14_400])


def test_rolling_origins_end_with_the_last_month():
    times = pd.Series(pd.date_range("1949-01-01", periods=144, freq="MS"))
    origins = list(suites.rolling(times, np.arange(144.0), 12, 4))
    assert [len(origin.train) for origin in origins] == [96, 108, 120, 132]
    for origin in origins:
        ((history, came),) = origin.chunks
        assert came[0].tolist() == [len(history) + step for step in range(12)]
        assert origin.scale.tolist() == [12.0]
    assert came[0, -1] == 143


def test_errors_against_hand_numbers():
    actual = np.array([[1.0, 3.0], [10.0, 20.0]])
    forecast = {"mean": np.array([[1.0, 1.0], [12.0, 16.0]]), "q0.1": actual - 1, "q0.9": actual + [[1, -0.5]]}
    found = suites.errors(actual, forecast, np.array([2.0, 4.0]))
    assert found["mae"].tolist() == [1, 3]
    assert found["mse"].tolist() == [2, 10]
    assert found["mase"].tolist() == [0.5, 0.75]
    assert found["smape"].tolist() == pytest.approx([50, 100 * (2 / 22 + 4 / 36)])
    assert found["coverage_80"].tolist() == [0.5, 0.5]
    assert "coverage_95" not in found


def test_owa_is_one_for_naive2_and_the_mean_of_two_ratios():
    values = 10 * np.tile([0.5, 1.0, 1.5, 1.0], 6)
    frame = suites.long({"b": values, "a": np.arange(1.0, 25.0)})
    actual = np.array([[6.0, 11.0], [25.0, 26.0]])
    origin = suites.Origin(frame, [(frame, actual)], 4, np.array([1.0, 4.0]))
    plain = np.array([[5.0, 10.0], accuracy.naive2(np.arange(1.0, 25.0), 2, 4)])
    assert suites.owa(suites.errors(actual, {"mean": plain}, origin.scale), origin) == pytest.approx(1)
    found, yardstick = (suites.errors(actual, {"mean": mean}, origin.scale).mean() for mean in (actual - 1, plain))
    expected = (found["smape"] / yardstick["smape"] + found["mase"] / yardstick["mase"]) / 2
    assert suites.owa(suites.errors(actual, {"mean": actual - 1}, origin.scale), origin) == pytest.approx(expected)


def test_tidy_forecasts_come_in_the_order_of_the_histories():
    tidy = pd.DataFrame({"id": ["H1", "H10", "H1", "H10"], "time": [2, 2, 1, 1], "mean": [1.0, 2.0, 3.0, 4.0]})
    asked = pd.Series(["H10", "H10", "H1"])
    assert rivals.in_rows(tidy, asked, {"mean": "mean", "q0.1": "q0.1"})["mean"].tolist() == [[4, 2], [3, 1]]
    with pytest.raises(ValueError, match="as many steps for each of 2 series"):
        rivals.in_rows(tidy[1:], asked, {"mean": "mean"})


def test_forecasters_of_tabdl_are_told_columns_and_asked_for_levels(monkeypatch):
    class Made:
        fields = ("horizon", "random_state")

        def __init__(self, **told):
            self.told = told

        def fit(self, table):
            self.table = table

        def predict(self, history, future=None, levels=(0.5,)):
            assert levels == (0.8, 0.95)
            ids, steps = history["id"].unique()[::-1], self.told["horizon"]
            tidy = pd.DataFrame({"id": np.repeat(ids, steps), "time": np.tile(np.arange(steps), len(ids))})
            return tidy.assign(mean=tidy["id"].astype(int) + tidy["time"], **dict.fromkeys(rivals.NAMES[1:], 0.0))

    monkeypatch.setattr(models, "find", lambda name, kind: Made)
    forecaster = rivals.network("mlp").make("forecaster", "AirPassengers", 3)
    assert forecaster.estimator.told == {"horizon": 12, "random_state": 3, "time": "time", "id": "id", "target": "value"}
    monkeypatch.setattr(Made, "fields", ("horizon",))  # a ridge draws nothing
    assert "random_state" not in rivals.network("mlp").make("forecaster", "AirPassengers", 3).estimator.told
    forecaster.fit("table")
    ahead = forecaster.predict(pd.DataFrame({"id": ["200", "100"], "time": [0, 0], "value": [1.0, 2.0]}))
    np.testing.assert_array_equal(ahead["mean"], [200 + np.arange(12), 100 + np.arange(12)])
    assert set(ahead) == {"mean", "q0.025", "q0.1", "q0.9", "q0.975"}


@pytest.mark.filterwarnings("ignore:A future version of pandas")
def test_other_packages_get_their_names_of_columns_and_steps():
    asked = []

    def answer(table, step):
        asked.append((list(table), step))
        ahead = table.groupby("unique_id").tail(1)
        return ahead.assign(**{"ETS": ahead["y"], "ETS-lo-95": 0.0, "ETS-hi-95.0": 1.0}).drop(columns="y")

    months = pd.date_range("2020-01-01", periods=24, freq="MS").to_numpy()
    classical = rivals.Classical("ETS", "", answer)
    for times, step in ((months, "MS"), (None, 1)):
        found = classical.predict(suites.long({"b": np.arange(24.0), "a": np.ones(24)}, times))
        assert {name: values.tolist() for name, values in found.items()} == {
            "mean": [[23], [1]],
            "q0.025": [[0], [0]],
            "q0.975": [[1], [1]],
        }
        assert asked[-1] == (["unique_id", "ds", "y"], step)


def test_shorter_series_end_in_zeros_for_those_who_need_one_length():
    X = rivals.channels_first([np.ones((2, 1)), np.ones((3, 1))], 4)
    assert X.tolist() == [[[1, 1, 0, 0]], [[1, 1, 1, 0]]]


def test_series_of_two_lengths_are_forecast_in_the_order_of_the_file(tmp_path):
    for part, steps, more in (("train", 72, 1), ("test", 48, 0)):
        rows = [["V1", *range(steps + more)], ["H2", *range(1, steps + 1), *[""] * more], ["H1", *np.arange(steps + more) % 7]]
        write(tmp_path / f"m4_hourly_{part}.csv.gz", "\n".join(",".join(map(str, row)) for row in rows))
    last = rivals.Rival("last", "tabdl", ("forecaster",), (), lambda kind, name, seed: Last(48))
    found = series.measure(last, "M4Hourly", 0, tmp_path, 60)
    assert found["windows"] == 2
    wrong = np.abs([72 - np.arange(1, 49), 72 % 7 - np.arange(48) % 7])
    assert found["mae"] == pytest.approx(wrong.mean())
    assert Last.asked[-1].groupby("id", sort=False).size().to_dict() == {"H2": 72, "H1": 73}


def test_forecaster_is_fitted_at_each_origin(tmp_path):
    months = pd.date_range("1949-01-01", periods=144, freq="MS").strftime("%Y-%m")
    pd.DataFrame({"Month": months, "Passengers": np.arange(144.0)}).to_csv(tmp_path / "air_passengers.csv", index=False)
    made = []
    last = rivals.Rival("last", "tabdl", ("forecaster",), (), lambda kind, name, seed: made.append(Last(12)) or made[-1])
    found = series.measure(last, "AirPassengers", 0, tmp_path, 60)
    assert found["windows"] == 4
    assert found["test"] == found["mase"] == pytest.approx(6.5 / 12)
    assert found["coverage_80"] == pytest.approx(1 / 12)
    assert found["coverage_95"] == pytest.approx(2 / 12)
    assert [forecaster.known for forecaster in made[1:]] == [96, 108, 120, 132]
    assert min(found[cost] for cost in standings.COSTS) >= 0


def test_numbers_are_scored_over_ten_resamples(tmp_path):
    rng = np.random.default_rng(0)
    for part, rows in (("TRAIN", 12), ("TEST", 6)):
        lines = [",".join(f"{v:.3f}" for v in rng.normal(size=5)) + f":{rng.normal():.3f}" for _ in range(rows)]
        write(tmp_path / f"Covid3Month_{part}.ts.gz", HEAD.format("targetlabel") + "\n".join(lines))
    forest = rivals.find("random forest")
    small = rivals.Rival("forest", "aeon", forest.kinds, (), lambda *what: _few(forest.make(*what)), forest.convert)
    found = series.measure(small, "Covid3Month", 0, tmp_path, 60)
    assert len(set(found["scores"])) == suites.RESAMPLES
    assert found["test"] == pytest.approx(np.mean(found["scores"]))


def _few(flat: rivals.Flat) -> rivals.Flat:
    flat.forest.set_params(n_estimators=2, n_jobs=1)
    return flat


def test_who_is_measured_where():
    names = {rival.name for rival in rivals.RIVALS}
    assert {"MiniRocket", "MultiRocketHydra", "LITETime", "InceptionTime", "AutoETS", "AutoTheta", "SeasonalNaive"} <= names
    assert {rival.name for rival in series.chosen("*")} & {"LITETime", "InceptionTime"} == set()
    (lite,) = series.chosen("LITETime")
    assert {name for name, *_ in series.plan(series.SETS, [0, 1], [lite])} == set(rivals.SMALL)
    assert len(series.plan(series.SETS, [0, 1], [lite])) == len(rivals.SMALL)
    theta, rocket = rivals.find("AutoTheta"), rivals.find("MiniRocket")
    assert [seed for *_, seed, _ in series.plan(["AirPassengers"], [0, 1], [theta, rocket])] == [0]
    assert [seed for *_, seed, _ in series.plan(["PLAID"], [0, 1], [theta, rocket])] == [0, 1]
    assert [rival.name for rival in series.chosen("tabdl mlp")] == ["tabdl mlp"]
    (several,) = series.chosen("tabdl rnn members=3")
    assert several.make("classifier", "ECG200", 7).get_params()["members"] == 3
    with pytest.raises(SystemExit, match="expected names of models.*received 'prophet'"):
        series.chosen("prophet")
    with pytest.raises(SystemExit, match="received 'nothing'"):
        rivals.find("tabdl nothing")


def test_sets_are_named_one_by_one_or_by_suite():
    assert series._sets("PLAID,ETTh1") == ["PLAID", "ETTh1-96", "ETTh1-192", "ETTh1-336", "ETTh1-720"]
    assert len(series._sets("TSC-24")) == 24
    with pytest.raises(argparse.ArgumentTypeError, match="received Iris"):
        series._sets("PLAID,Iris")


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    forests = [rivals.Rival(f"forest {n}", "tabdl", ("classifier",), ("numpy",), lambda *_: None) for n in range(2)]
    monkeypatch.setattr(rivals, "RIVALS", forests)
    monkeypatch.setattr(rivals, "own", list)
    asked = []

    def answer(command, limit):
        words = [str(word) for word in command]
        asked.append((words[words.index("--only-models") + 1], words[words.index("--seeds") + 1]))
        return {"failure": "out of luck"} if len(asked) == 2 else cell()

    monkeypatch.setattr(cells, "run", answer)
    options = options_of(tmp_path)
    assert series.measure_all(options) == 1
    assert series.measure_all(options) == 0
    assert asked == [("forest 0", "0"), ("forest 1", "0"), ("forest 0", "1"), ("forest 1", "1"), ("forest 1", "0")]
    assert len(series.collect(options)) == 4
    monkeypatch.setattr(cells, "source", lambda package: "changed")
    assert series.measure_all(options) == 0
    assert len(asked) == 9


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are Linux's")
def test_a_cell_is_measured_in_its_own_process(tmp_path):
    assert "BasicMotions_TRAIN" in run(tmp_path, "BasicMotions")["failure"]
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        lines = [",".join(f"{v + row % 2:.3f}" for v in rng.normal(size=9)) + f":{row % 2}" for row in range(20)]
        write(tmp_path / f"Covid3Month_{part}.ts.gz", HEAD.format("targetlabel") + "\n".join(lines))
    found = run(tmp_path, "Covid3Month")
    assert found["test"] < 0.6
    assert min(found[cost] for cost in standings.COSTS) > 0


def run(folder: Path, name: str) -> dict:
    command = [sys.executable, Path(series.__file__), "cell", "--series", folder, "--only-sets", name]
    return cells.run([*command, "--only-models", "random forest", "--seeds", 0], 60)


def cell(**more) -> dict:
    """What a cell's process would say."""
    moments = {"started": "2026-01-02T03:00:00+00:00", "ended": "2026-01-02T03:00:05+00:00", "load": 1.0}
    return {"test": 0.9, "fit_seconds": 2.0, "predict_seconds": 1.0, "peak_mb": 50.0, **moments, **more}


def made(model: str, table: str, seed: int = 0, **more) -> dict:
    what = {"table": table, "seed": seed, "model": model, "family": "aeon", "machine": "abacus", "versions": {"aeon": "1"}}
    return {**what, **cell(**more)}


def test_report_has_published_figures_beside_the_measured():
    found = [made("Slow", name, test=0.8) for name in suites.UCR] + [made("Quick", name) for name in suites.UCR[:3]]
    found += [made("Slow", "PLAID", seed, test=0.5 + seed / 10) for seed in range(2)]
    late = made("Late", "PLAID", over=60.0)
    found += [{key: value for key, value in late.items() if key not in ("test", *standings.COSTS)}]
    figures = {"mse": 0.4, "mae": 0.5, "coverage_80": 0.81, "coverage_95": 0.949}
    found += [made("Hours", "ETTh1-96", test=0.4, **figures)]
    published = standings.read_published()
    text = standings.to_markdown(standings.to_frame(found), published)
    assert "Measured 2026-01-02 on abacus, beside 1.0 to 1.0 other processes" in text
    assert "| Slow | 0.8000 | 1.00 | 48 | 24 | 50 |" in text
    assert "| Quick | 3 of 24 sets |  | 6 | 3 | 50 |" in text
    assert "| *HIVE-COTE 2, published* | 0.8822 |  |  |  |  |" in text
    assert "| Slow | 0.5500 ± 0.0707 | 2 | 1 | 50 |" in text
    assert "| Late | over 60 s |  |  |  |" in text
    assert "| *QUANT, published* | 0.9480 |  |  |  |" in text
    assert "| Hours | 0.4000 | 0.5000 | 2 | 1 | 50 |" in text
    assert "| Hours | 81.0, 94.9 |" in text
    lines = text.splitlines()
    assert lines.index("| *HIVE-COTE 2, published* | 0.8822 |  |  |  |  |") < lines.index(
        "| Slow | 0.8000 | 1.00 | 48 | 24 | 50 |"
    )


def test_published_figures_are_of_known_sets_and_name_nothing_twice():
    published = standings.read_published()
    assert set(published["table"]) <= set(series.SETS)
    assert not published.duplicated(["model", "table", "metric"]).any()
    for name, rows in published.groupby("table"):
        assert suites.METRICS[suites.suite_of(name)] in set(rows["metric"])
    assert published.groupby(["model", "metric"])["value"].mean()["HIVE-COTE 2", "accuracy"] == pytest.approx(0.88, abs=0.02)
