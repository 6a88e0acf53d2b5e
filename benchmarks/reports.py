"""Cells as a frame, ranks of models, and the tables of the README."""

from __future__ import annotations

from typing import Any

import pandas as pd

import splits

COLUMNS = [
    *("table", "metric", "seed", "model", "family", "test", "validation", "accuracy", "log_loss", "fit_seconds", "latency_ms"),
    *("rows_per_second", "peak_mb", "over", "started", "ended", "load", "machine", "versions"),
]
NAMES = {"rmse": "RMSE", "auc": "AUC", "average_precision": "average precision", "mae": "MAE", "r2": "R2"}
MOST_BETWEEN = 60  # seconds between two fits that are back to back


def to_frame(found: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a cell; `over` holds the limit that a fit ran into."""
    plain = [{**cell, "versions": ", ".join(f"{k} {v}" for k, v in cell["versions"].items())} for cell in found]
    return pd.DataFrame(plain).reindex(columns=COLUMNS)


def over_seeds(frame: pd.DataFrame, column: str, how: str = "mean") -> pd.DataFrame:
    """Models x tables, in the order in which they were measured."""
    wide = frame.pivot_table(index="model", columns="table", values=column, aggfunc=how, sort=False, dropna=False)
    return wide.reindex(index=frame["model"].unique(), columns=frame["table"].unique())


def mean_ranks(frame: pd.DataFrame) -> pd.Series:
    """Mean over tables of the rank of the mean test score, best first; of models that have a score on every table."""
    scores = over_seeds(frame, "test").dropna()
    less = [splits.METRICS[table] in splits.LESS_IS_BETTER for table in scores]
    oriented = scores * [1 if is_less else -1 for is_less in less]
    return oriented.rank().mean(axis="columns").sort_values(kind="stable")


def gain(frame: pd.DataFrame) -> pd.DataFrame:
    """Percent of error less than the best booster has, models x tables; the error is RMSE, or what AUC lacks to 1."""
    scores = over_seeds(frame, "test")
    errors = scores.apply(lambda column: column if splits.METRICS[column.name] in splits.LESS_IS_BETTER else 1 - column)
    boosters = frame.loc[frame["family"] == "boosting", "model"].unique()
    return 100 * (1 - errors / errors.loc[boosters].min().fillna(errors.min()))  # without boosters: than the best


def to_markdown(frame: pd.DataFrame, compared: dict[str, str]) -> str:
    """All tables of the report; `compared` says which model's fit seconds stand against which."""
    ranks = mean_ranks(frame)
    order = [*ranks.index, *(model for model in frame["model"].unique() if model not in ranks.index)]
    days = sorted({moment[:10] for moment in frame["ended"]})
    measured = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    seeds = frame.groupby("model", sort=False)["seed"].nunique()
    most = "1 seed" if seeds.max() == 1 else f"{seeds.max()} seeds"
    fewer = ", ".join(seeds.index[seeds < seeds.max()])
    scores = (
        f"Test scores, mean ± standard deviation over {most} of the model{f' (fewer: {fewer})' if fewer else ''}; "
        "mean rank over the tables, of the models that have them all."
    )
    costs = (
        "Seconds of a fit (compilation included), then median over tables: one row, rows a second; peak memory of the process "
        "above imports, the most over tables."
    )
    parts = [
        f"Measured {measured} on {'; '.join(frame['machine'].unique())}, by `benchmarks/tables.py`; {versions(frame)}.",
        scores,
        to_table(["model", "mean rank", *map(_title, frame["table"].unique())], _score_rows(frame, ranks, order)),
        _unranked(frame, order[len(ranks) :]),
        "Classes: accuracy, log-loss.",
        _class_table(frame, order),
        costs,
        _cost_table(frame, order),
        _ratio_table(frame, compared),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(table: str) -> str:
    metric = splits.METRICS[table]
    return f"{table} {NAMES[metric]} {'↓' if metric in splits.LESS_IS_BETTER else '↑'}"


def _score_rows(frame: pd.DataFrame, ranks: pd.Series, order: list[str]) -> list[list[str]]:
    means, deviations, limits = (over_seeds(frame, *of) for of in (("test",), ("test", "std"), ("over", "max")))
    best = {t: (means[t].min() if splits.METRICS[t] in splits.LESS_IS_BETTER else means[t].max()) for t in means}

    def cell(model: str, table: str) -> str:
        mean, deviation, limit = (part.loc[model, table] for part in (means, deviations, limits))
        if pd.isna(mean):
            return "" if pd.isna(limit) else f"over {limit:g} s"
        digits = ".4f" if mean < 100 else ",.0f"
        text = f"{mean:{digits}}" if pd.isna(deviation) else f"{mean:{digits}} ± {deviation:{digits}}"
        return f"**{text}**" if mean == best[table] else text

    return [[m, f"{ranks[m]:.2f}" if m in ranks.index else "", *(cell(m, table) for table in means)] for m in order]


def _unranked(frame: pd.DataFrame, models: list[str]) -> str:
    scores, limits = over_seeds(frame, "test"), over_seeds(frame, "over", "max")
    lacking = []
    for model in models:
        without = scores.columns[scores.loc[model].isna()]
        late = [table for table in without if pd.notna(limits.loc[model, table])]
        why = [f"over the limit on {', '.join(late)}"] if late else []
        absent = [table for table in without if table not in late]
        why += [f"not measured on {', '.join(absent)}"] if absent else []
        lacking.append(f"{model} ({'; '.join(why)})")
    return f"Without a rank: {', '.join(lacking)}." if lacking else ""


def _class_table(frame: pd.DataFrame, order: list[str]) -> str:
    classes = frame[[splits.has_classes(table) for table in frame["table"]]]
    if classes.empty:
        return ""
    accuracy, loss = over_seeds(classes, "accuracy"), over_seeds(classes, "log_loss")

    def cell(model: str, table: str) -> str:
        known = model in accuracy.index and pd.notna(accuracy.loc[model, table])
        return f"{accuracy.loc[model, table]:.4f}, {loss.loc[model, table]:.4f}" if known else ""

    return to_table(["model", *accuracy], [[model, *(cell(model, table) for table in accuracy)] for model in order])


def _cost_table(frame: pd.DataFrame, order: list[str]) -> str:
    seconds = over_seeds(frame, "fit_seconds")
    row, bulk = (over_seeds(frame, column).median(axis="columns") for column in ("latency_ms", "rows_per_second"))
    peak = over_seeds(frame, "peak_mb").max(axis="columns")
    rows = [
        [
            model,
            *(f"{value:.3g}" if pd.notna(value) else "" for value in seconds.loc[model]),
            *(f"{row[model]:.2f} ms", f"{bulk[model]:,.0f}", f"{peak[model]:,.0f} MB"),
        ]
        for model in order
        if pd.notna(row[model])
    ]
    return to_table(["model", *seconds, "one row", "rows/s", "peak memory"], rows)


def _ratio_table(frame: pd.DataFrame, compared: dict[str, str]) -> str:
    """Fit seconds of a model over those of its peer, seed 0."""
    cells = frame[(frame["seed"] == 0) & frame["fit_seconds"].notna()].set_index(["model", "table"])
    rows = []
    for model, peer in compared.items():
        for table in frame["table"].unique():
            if (model, table) in cells.index and (peer, table) in cells.index:
                mine, theirs = cells.loc[(model, table)], cells.loc[(peer, table)]
                between = (pd.Timestamp(theirs["started"]) - pd.Timestamp(mine["ended"])).total_seconds()
                adjacent = "yes" if 0 <= between <= MOST_BETWEEN else "no"
                ratio = mine["fit_seconds"] / theirs["fit_seconds"]
                figures = [f"{mine['fit_seconds']:.1f}", f"{theirs['fit_seconds']:.1f}", f"{ratio:.3f}", adjacent]
                rows.append([f"{model} / {peer}", table, *figures])
    if not rows:
        return ""
    return "Fit seconds side by side, seed 0.\n\n" + to_table(["pair", "table", "seconds", "peer", "ratio", "back to back"], rows)


def versions(frame: pd.DataFrame) -> str:
    return ", ".join(sorted({version for text in frame["versions"] for version in text.split(", ")}))


def to_table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
