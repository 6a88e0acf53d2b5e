"""Cells of series as a frame, and the tables of the report, with published figures beside what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

import reports
import suites

SHOWN = {  # suite -> the figures of its data sets
    "TSC-24": ("accuracy",),
    "channels and lengths": ("accuracy",),
    "regression": ("rmse",),
    "ETTh1": ("mse", "mae"),
    "M4 Hourly": ("owa", "smape", "mase"),
    "AirPassengers": ("mase", "mae", "smape"),
}
COVERAGE = tuple(f"coverage_{level}" for level in suites.LEVELS)
COSTS = ("fit_seconds", "predict_seconds", "peak_mb")
FIGURES = ("accuracy", "rmse", "mse", "mae", "smape", "mase", "owa", *COVERAGE)
MORE_IS_BETTER = ("accuracy",)
NAMES = {"owa": "OWA", "mase": "MASE", "smape": "sMAPE", "mse": "MSE", "mae": "MAE", "rmse": "RMSE", "accuracy": "accuracy"}
NOTES = {
    "TSC-24": "Accuracy on the official splits; seconds over all sets together. Mean ranks are among measured models. Published: "
    "tsml-eval, resample 0, and the LITE repository (FCN, ResNet, Inception, InceptionTime, LITE, LITETime, MultiRocket).",
    "channels and lengths": "Accuracy on the official splits. aeon's models take series of one length: shorter ones end in zeros "
    "here, published figures of PLAID and JapaneseVowels are of padded sets as well.",
    "regression": "RMSE, mean of ten resamples; seconds over all ten. Published: mean of 30, drawn in the same way: compare "
    "measured with measured.",
    "ETTh1": "Mean over all test windows, channels and steps, of standardised values. Published: with the lookback in brackets.",
    "M4 Hourly": "OWA: sMAPE and MASE over those of Naive2 (18.383 and 2.395, as published). Steps are counted: no times.",
    "AirPassengers": "Mean over four origins, each with a fit on all months before it.",
}
HEAD = """Fit and predict: seconds, imports aside; what numba compiles once after an installation is not in them, what
TensorFlow and XLA compile is. Peak memory: of the process, above imports. *Published* figures are of other machines and, where
noted, of other samples; they have no costs here. Protocols: `benchmarks/suites.py`."""


def to_frame(found: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a cell; `over` holds the limit that a cell ran into."""
    columns = ["suite", "table", "seed", "model", "family", *FIGURES, *COSTS, "over", "started", "ended", "load", "machine"]
    plain = []
    for cell in found:
        suite = suites.suite_of(cell["table"])
        main = {suites.METRICS[suite]: cell["test"]} if "test" in cell else {}
        versions = ", ".join(f"{name} {version}" for name, version in cell["versions"].items())
        plain.append({**cell, **main, "suite": suite, "versions": versions})
    return pd.DataFrame(plain).reindex(columns=[*columns, "versions"])


def read_published() -> pd.DataFrame:
    """Published figures, one a row: model, table, metric, value."""
    return pd.read_csv(Path(__file__).with_name("published_series.csv"))


def to_markdown(frame: pd.DataFrame, published: pd.DataFrame) -> str:
    """All tables of the report."""
    days = sorted({moment[:10] for moment in frame["ended"]})
    when = " to ".join(dict.fromkeys([days[0], days[-1]]))
    loads = f"{frame['load'].min():.1f} to {frame['load'].max():.1f} other processes wanting a core"
    where = f"{'; '.join(frame['machine'].unique())}, beside {loads}"
    parts = ["# Series", f"Measured {when} on {where}, by `benchmarks/series.py`; {_versions(frame)}.", HEAD]
    for suite in frame["suite"].unique():
        part, known = frame[frame["suite"] == suite], published[published["table"].isin(suites.SUITES[suite])]
        parts += [f"## {suite}", NOTES[suite], *(_means(part, known) if suite == "TSC-24" else _figures(part, known, suite))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _versions(frame: pd.DataFrame) -> str:
    """Of each package the versions that were measured."""
    pairs = sorted({tuple(pair.split(" ")) for text in frame["versions"] for pair in text.split(", ")})
    merged: dict[str, list[str]] = {}
    for package, version in pairs:
        merged.setdefault(package, []).append(version)
    return ", ".join(f"{package} {' and '.join(found)}" for package, found in merged.items() if found != ["none"])


def _figures(frame: pd.DataFrame, published: pd.DataFrame, suite: str) -> list[str]:
    """Figures of each data set, costs; then how often intervals held what came."""
    names = [name for name in suites.SUITES[suite] if name in set(frame["table"])]
    columns = [(name, metric) for name in names for metric in SHOWN[suite]]
    wide = pd.concat({column: _values(frame, *column) for column in columns}, axis="columns")
    others = published.pivot_table(index="model", columns=["table", "metric"], values="value", sort=False)
    others = others.reindex(columns=pd.MultiIndex.from_tuples(columns)).dropna(how="all")
    first = wide.columns[0]
    rows = [(_key(row[first], first[1]), _row(model, frame, wide, columns)) for model, row in wide.iterrows()]
    blank = [""] * len(COSTS)
    rows += [
        (_key(row[first], first[1]), [f"*{model}, published*", *(_number(value) for value in row), *blank])
        for model, row in others.iterrows()
    ]
    titles = [metric if len(names) == 1 else f"{name} {metric}" for name, metric in ((n, NAMES[m]) for n, m in columns)]
    head = ["model", *titles, "fit s", "predict s", "peak MB"]
    return [reports.to_table(head, [row for _, row in sorted(rows, key=lambda pair: pair[0])]), _coverage(frame, names)]


def _values(frame: pd.DataFrame, name: str, metric: str) -> pd.Series:
    """Mean over seeds of a figure of a data set, by model."""
    return frame[frame["table"] == name].groupby("model", sort=False)[metric].mean()


def _key(value: float, metric: str) -> tuple[bool, float]:
    """To sort by: best first, those without a figure last."""
    return pd.isna(value), 0.0 if pd.isna(value) else -value if metric in MORE_IS_BETTER else value


def _row(model: str, frame: pd.DataFrame, wide: pd.DataFrame, columns: list[tuple[str, str]]) -> list[str]:
    mine = frame[frame["model"] == model]
    cells = []
    for name, metric in columns:
        values = mine.loc[mine["table"] == name, metric].dropna()
        limits = mine.loc[mine["table"] == name, "over"].dropna()
        spread = f" ± {_number(values.std())}" if len(values) > 1 else ""
        late = f"over {limits.max():g} s" if len(limits) else ""
        cells.append(f"{_number(wide.loc[model, (name, metric)])}{spread}" if len(values) else late)
    return [model, *cells, *_costs(mine)]


def _costs(mine: pd.DataFrame) -> list[str]:
    """Seconds over data sets, each a mean over seeds; the most memory."""
    mine = mine[mine["fit_seconds"].notna()]
    if mine.empty:
        return [""] * len(COSTS)
    seconds = [mine.groupby("table")[step].mean().sum() for step in COSTS[:2]]
    return [*(f"{value:.3g}" if 0.01 <= value < 1000 else f"{value:.0f}" for value in seconds), f"{mine['peak_mb'].max():,.0f}"]


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4f}" if value < 1.5 else f"{value:.3f}"


def _coverage(frame: pd.DataFrame, names: list[str]) -> str:
    held = frame[frame[list(COVERAGE)].notna().any(axis="columns")]
    if held.empty:
        return ""
    means = held.groupby(["model", "table"], sort=False)[list(COVERAGE)].mean()
    rows = []
    for model in held["model"].unique():
        found = [means.loc[(model, name)] if (model, name) in means.index else None for name in names]
        rows.append([model, *("" if one is None else ", ".join(f"{100 * v:.1f}" for v in one) for one in found)])
    levels = " and ".join(f"{level}%" for level in suites.LEVELS)
    return f"Percent of values inside the intervals of {levels}.\n\n{reports.to_table(['model', *names], rows)}"


def _means(frame: pd.DataFrame, published: pd.DataFrame) -> list[str]:
    """Mean accuracy and rank over all sets, costs; then accuracy set by set."""
    scores = reports.over_seeds(frame, "accuracy").reindex(columns=list(suites.SUITES["TSC-24"]))
    others = published.pivot_table(index="model", columns="table", values="value", sort=False).reindex(columns=scores.columns)
    ranks = scores.dropna().rank(ascending=False).mean(axis="columns")
    rows = []
    for model, row in scores.iterrows():
        mean = row.mean() if row.notna().all() else float("nan")
        missing = f"{row.notna().sum()} of {len(row)} sets"
        rank = f"{ranks[model]:.2f}" if model in ranks else ""
        shown = _number(mean) or missing
        rows.append((_key(mean, "accuracy"), [model, shown, rank, *_costs(frame[frame["model"] == model])]))
    for model, mean in others.mean(axis="columns").items():
        rows.append((_key(mean, "accuracy"), [f"*{model}, published*", _number(mean), "", "", "", ""]))
    head = ["model", "mean accuracy", "mean rank", "fit s", "predict s", "peak MB"]
    both = pd.concat([scores, others.rename(index=lambda model: f"*{model}*")])
    sets = [[name, *(_short(value) for value in both[name])] for name in both]
    text = reports.to_table(["set", *both.index], sets)
    return [reports.to_table(head, [row for _, row in sorted(rows, key=lambda pair: pair[0])]), text]


def _short(value: float) -> str:
    return "" if pd.isna(value) else re.sub("^0", "", f"{value:.3f}")
