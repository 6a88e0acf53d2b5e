"""Learning curves and forecasts as figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.pictures import plot_backtest, plot_confusion, plot_forecast, plot_history
from tabdl.times import read_times

DAYS = pd.date_range("2024-01-01", periods=4)
FORECASTS = pd.DataFrame(
    {
        "method": np.repeat(["Model", "seasonal naive"], 8),
        "origin": np.tile(np.repeat(DAYS[[0, 2]], 2), 4),
        "shop": np.tile(np.repeat(["a", "b"], 4), 2),
        "day": np.tile(DAYS, 4),
        "truth": np.tile(np.arange(8.0), 2),
        "mean": np.arange(16.0),
        "q0.1": np.arange(16.0) - 1,
        "q0.9": np.arange(16.0) + 1,
    }
)
BY_ORIGIN = pd.DataFrame(
    {"mase": [1.0, 2.0, 3.0, 4.0]},
    index=pd.MultiIndex.from_product([["Model", "seasonal naive"], DAYS[[0, 2]]], names=["method", "origin"]),
)
HISTORY = {"epoch": [1, 2, 3], "loss": [0.9, 0.5, 0.4], "seconds": [0.1, 0.1, 0.1], "val_auc": [0.6, 0.8, 0.7]}


def test_figure_shows_loss_score_and_best_epoch(tmp_path):
    figure = plot_history(HISTORY, 2, "MLPClassifier", tmp_path / "curve.png")
    loss, score = figure.axes
    assert loss.get_title(loc="left") == "MLPClassifier"
    assert loss.lines[0].get_ydata().tolist() == HISTORY["loss"]
    assert score.lines[0].get_ydata().tolist() == HISTORY["val_auc"]
    assert score.lines[1].get_xdata() == [2, 2]
    assert score.get_ylabel() == "validation auc"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_figure_without_validation_has_one_panel():
    assert len(plot_history({k: v for k, v in HISTORY.items() if k != "val_auc"}, 3, "x").axes) == 1


def test_confusion_counts_rows_and_colours_shares(tmp_path):
    counts = np.array([[3, 1], [0, 1_000]])
    figure = plot_confusion(counts, ["no", "yes"], "half", tmp_path / "confusion.png")
    panel = figure.axes[0]
    assert [text.get_text() for text in panel.texts] == ["3", "1", "0", "1,000"]
    np.testing.assert_array_equal(panel.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["no", "yes"]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert not plot_confusion(np.eye(30, dtype=int), range(30), "many").axes[0].texts


def test_a_fan_has_history_forecast_and_a_band_for_each_level(tmp_path):
    times, after = pd.date_range("2024-01-01", periods=10), pd.date_range("2024-01-11", periods=3)
    forecast = pd.DataFrame(
        {"mean": [1.0, 2, 3], "q0.025": [-1.0, 0, 1], "q0.1": [0.0, 1, 2], "q0.9": [2.0, 3, 4], "q0.975": [3.0, 4, 5]}
    )
    figure = plot_forecast(
        [(f"series {i}", times, np.arange(10.0)) for i in range(8)], [(after, forecast)] * 8, "day", tmp_path / "fan.png"
    )
    assert len(figure.axes) == 6
    first = figure.axes[0]
    assert first.get_title(loc="left") == "series 0"
    assert first.lines[0].get_ydata().tolist() == list(range(10))
    assert first.lines[1].get_ydata().tolist() == [1, 2, 3]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["history", "95% interval", "80% interval", "forecast"]
    wide, narrow = first.collections
    assert wide.get_alpha() < narrow.get_alpha()
    assert figure.axes[-1].get_xlabel() == "day"
    assert (tmp_path / "fan.png").read_bytes().startswith(b"\x89PNG")


def test_a_backtest_has_a_panel_a_series_and_one_of_scores(tmp_path):
    figure = plot_backtest(FORECASTS, BY_ORIGIN, ["shop"], "day", path=tmp_path / "backtest.png")
    first, second, scores = figure.axes
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["a", "b", ""]
    truth = next(line for line in second.lines if line.get_label() == "truth")
    assert truth.get_ydata().tolist() == [4, 5, 6, 7]
    assert len(first.collections) == 2  # one interval at each of two origins
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["80% interval", "Model", "seasonal naive", "truth"]
    assert [bar.get_height() for bar in scores.patches] == [1, 2, 3, 4]
    assert [tick.get_text() for tick in scores.get_xticklabels()] == ["2024-01-01", "2024-01-03"]
    assert (tmp_path / "backtest.png").read_bytes().startswith(b"\x89PNG")


def test_dates_that_are_texts_are_places_in_time():
    written = {column: FORECASTS[column].dt.strftime("%d.%m.%Y") for column in ("day", "origin")}
    plain, texts = (plot_backtest(f, BY_ORIGIN, ["shop"], "day").axes[0] for f in (FORECASTS, FORECASTS.assign(**written)))
    for line, same in zip(texts.lines, plain.lines, strict=True):
        np.testing.assert_array_equal(
            np.asarray(line.get_xdata(), "datetime64[us]"), np.asarray(same.get_xdata(), "datetime64[us]")
        )


def test_dates_of_a_backtest_are_read_as_they_were_in_the_fit():
    days = pd.date_range("2024-01-03", periods=4)
    table, scores = FORECASTS.copy(), BY_ORIGIN.copy()
    table["day"], table["origin"] = np.tile(days, 4), np.tile(np.repeat(days[[0, 2]], 2), 4)
    for column in ("day", "origin"):
        table[column] = table[column].dt.strftime("%d.%m.%Y")  # no day is over 12: nothing tells them from months
    _, like = read_times(pd.DataFrame({"day": ["20.02.2024", "21.02.2024"]}), "day")
    panel = plot_backtest(table, scores, ["shop"], "day", like=like).axes[0]
    truth = next(line for line in panel.lines if line.get_label() == "truth")
    assert np.asarray(truth.get_xdata(), "datetime64[D]").tolist() == days.date.tolist()


def test_origins_keep_their_order():
    written = ["30.11.2023", "02.12.2023"]  # the other way round as texts
    scores = BY_ORIGIN.set_axis(pd.MultiIndex.from_product([["Model", "seasonal naive"], written], names=["method", "origin"]))
    panel = plot_backtest(FORECASTS, scores, ["shop"], "day").axes[-1]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == written
    assert [bar.get_height() for bar in panel.patches] == [1, 2, 3, 4]


def test_a_fan_places_dates_that_are_texts():
    days = pd.date_range("2024-01-01", periods=60)
    table = pd.DataFrame({"day": days.strftime("%d.%m.%Y"), "y": np.arange(60.0)})
    figure = tabdl.RidgeForecaster(horizon=3, time="day", target="y").fit(table).plot_forecast()
    history, forecast = (np.asarray(line.get_xdata(), "datetime64[us]") for line in figure.axes[0].lines)
    assert history[-1] == days[-1]
    assert forecast.tolist() == pd.date_range("2024-03-01", periods=3).to_pydatetime().tolist()


@pytest.mark.parametrize("most", [1, 2])
def test_only_the_first_series_are_drawn(most):
    assert len(plot_backtest(FORECASTS, BY_ORIGIN, ["shop"], "day", most=most).axes) == most + 1


def test_one_series_needs_no_name():
    one = FORECASTS[FORECASTS["shop"] == "a"].drop(columns="shop")
    assert len(plot_backtest(one, BY_ORIGIN, [], "day").axes) == 2
