"""What the figures show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabdl.pictures import plot_backtest

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


@pytest.mark.parametrize("most", [1, 2])
def test_only_the_first_series_are_drawn(most):
    assert len(plot_backtest(FORECASTS, BY_ORIGIN, ["shop"], "day", most=most).axes) == most + 1


def test_one_series_needs_no_name():
    one = FORECASTS[FORECASTS["shop"] == "a"].drop(columns="shop")
    assert len(plot_backtest(one, BY_ORIGIN, [], "day").axes) == 2
