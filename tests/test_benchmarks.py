"""The parts of the benchmarks that need neither peers nor tables: plan, cache, ranks, report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cells
import peers
import pictures
import reports
import splits
import streaming
import tables

PEERS = [
    peers.Model("Forest", "boosting", ("numpy",), lambda classes, seed: (None, lambda parts: {})),
    peers.Model("Heavy", "other", ("numpy",), lambda classes, seed: (None, lambda parts: {}), slow=True, beside="tabdl Light"),
]
OWN = [peers.Model(f"tabdl {name}", "tabdl", ("numpy",), PEERS[0].make) for name in ("Light", "Zebra")]
WHAT = {"table": "churn", "seed": 0, "model": "tabdl Light", "versions": {"numpy": "2"}, "machine": "abacus, 2 cores"}


def cell(model: str, table: str, seed: int = 0, test: float | None = 0.8, **more) -> dict:
    """What the cache would hold."""
    family = "tabdl" if model.startswith("tabdl") else "boosting" if model == "Forest" else "other"
    scores = {} if test is None else {"test": test, "validation": test, "fit_seconds": 2.0, "latency_ms": 1.5}
    if test is not None:
        scores |= {"rows_per_second": 1e5, "peak_mb": 100.0}
        scores |= {"accuracy": 0.75, "log_loss": 0.5} if splits.has_classes(table) else {}
    moments = {"started": "2026-01-02T03:00:00+00:00", "ended": "2026-01-02T03:00:05+00:00"}
    metric = splits.METRICS[table]
    return {**WHAT, "model": model, "table": table, "seed": seed, "family": family, "metric": metric, **scores, **moments, **more}


def options_of(folder: Path, **more) -> argparse.Namespace:
    """What the command line would say."""
    return argparse.Namespace(again=False, limit=600.0, cache=folder, tables=folder, peers=Path(sys.executable), **more)


def frame_of_three() -> pd.DataFrame:
    return reports.to_frame(
        [
            *(cell("tabdl Light", "california", seed, test) for seed, test in enumerate([0.40, 0.42])),
            cell("Heavy", "california", test=None, over=600.0),
            *(cell("Forest", "california", seed, 0.50) for seed in range(2)),
            *(cell("tabdl Light", "churn", seed, 0.86) for seed in range(2)),
            cell("Heavy", "churn", test=0.90, fit_seconds=8.0, started="2026-01-02T03:00:07+00:00"),
            *(cell("Forest", "churn", seed, 0.88) for seed in range(2)),
        ]
    )


def test_order_of_cells():
    models = peers.in_order(OWN, PEERS)
    assert [model.name for model in models] == ["tabdl Zebra", "Forest", "tabdl Light", "Heavy"]
    assert [model.name for model in peers.in_order([], PEERS)] == ["Forest", "Heavy"]
    order = [(table, seed, model.name) for table, seed, model in tables.plan(["churn", "adult"], [0, 1], models)]
    assert order[:4] == [("churn", 0, model.name) for model in models]
    assert [name for table, seed, name in order if seed == 1] == 2 * ["tabdl Zebra", "Forest", "tabdl Light"]


def test_models_are_found_and_chosen_by_patterns():
    own = peers.networks()
    assert {"tabdl MLP", "tabdl TabM"} <= {model.name for model in own}
    assert not {"tabdl Keras", "tabdl Custom"} & {model.name for model in own}
    assert {model.family for model in own} == {"tabdl"}
    assert [model.name for model in tables.chosen(PEERS + OWN, "tabdl*, heavy")] == ["Heavy", "tabdl Light", "tabdl Zebra"]
    with pytest.raises(SystemExit, match=r"expected names of models.*received 'tabnet'"):
        tables.chosen(PEERS, "tabnet")


@pytest.mark.parametrize(
    "change",
    [{"table": "adult"}, {"seed": 1}, {"model": "tabdl Zebra"}, {"versions": {"numpy": "3"}}, {"machine": "abacus, 4 cores"}],
    ids=str,
)
def test_a_cell_is_another_when_anything_changed(change, monkeypatch):
    assert cells.key(WHAT) == cells.key(dict(reversed(WHAT.items())))
    assert cells.key(WHAT) != cells.key({**WHAT, **change})
    before = cells.key(WHAT)
    monkeypatch.setattr(cells, "PROTOCOL", cells.PROTOCOL + 1)
    assert cells.key(WHAT) != before


def test_source_of_a_package_decides(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlp.py").write_text("units = 128")
    before = cells.source(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert cells.source(tmp_path) == before
    (tmp_path / "models" / "mlp.py").write_text("units = 256")
    changed = cells.source(tmp_path)
    (tmp_path / "models" / "mlp.py").rename(tmp_path / "mlp.py")
    assert len({before, changed, cells.source(tmp_path)}) == 3


def test_cache_keeps_cells_and_tries_longer_limits(tmp_path):
    assert cells.cached(WHAT, tmp_path) is None
    cells.keep(WHAT, {"test": 0.5}, tmp_path)
    assert cells.cached(WHAT, tmp_path, limit=1e9) == {**WHAT, "test": 0.5}
    late = {**WHAT, "seed": 1}
    cells.keep(late, {"over": 600.0}, tmp_path)
    assert cells.cached(late, tmp_path) == cells.cached(late, tmp_path, limit=600) == {**late, "over": 600.0}
    assert cells.cached(late, tmp_path, limit=601) is None


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    asked = []

    def answer(python, what, folder, limit):
        asked.append((what["table"], what["seed"], what["model"]))
        failed = what["table"] == "adult" and len(asked) < 6
        return {"failure": "out of luck"} if failed else cell(what["model"], what["table"], what["seed"])

    monkeypatch.setattr(cells, "in_process", answer)
    options = options_of(tmp_path, only_tables=["churn", "adult"], seeds=[0, 1], only_models="heavy,tabdl zebra")
    assert tables.measure_all(options, OWN + PEERS) == 2
    assert len(asked) == 6
    assert "FAILED: out of luck" in capsys.readouterr().out
    assert tables.measure_all(options, OWN + PEERS) == 0
    assert asked[6:] == asked[3:5]
    assert len(tables.collect(options, OWN + PEERS)) == 6
    monkeypatch.setattr(cells, "source", lambda package: "changed")
    assert tables.measure_all(options, OWN + PEERS) == 0
    assert {name for _, _, name in asked[8:]} == {"tabdl Zebra"}
    options.again = True
    tables.measure_all(options, OWN + PEERS)
    assert len(asked) == 8 + 4 + 6


def test_both_sides_of_a_ratio_are_measured_in_one_run(tmp_path, monkeypatch):
    asked = []

    def answer(python, what, folder, limit):
        asked.append(what["model"])
        return cell(what["model"], what["table"], what["seed"])

    monkeypatch.setattr(cells, "in_process", answer)
    models = peers.in_order(OWN, PEERS)
    options = options_of(tmp_path, only_tables=["churn"], seeds=[0], only_models="*")
    tables.measure_all(options, models)
    first = asked.copy()
    monkeypatch.setattr(cells, "source", lambda package: "changed")  # ours are to be measured again, and so the other side is
    tables.measure_all(options, models)
    beside = [(model.beside, model.name) for model in models if model.beside]
    assert beside
    changed = asked[len(first) :]
    for ours, theirs in beside:
        assert changed.index(theirs) == changed.index(ours) + 1
    assert set(first) - set(changed) == {model.name for model in PEERS if not model.beside}


def test_who_ran_out_of_time_is_not_asked_again_with_another_seed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(cells, "in_process", lambda python, what, *rest: asked.append(what["seed"]) or {"over": rest[-1]})
    options = options_of(tmp_path, only_tables=["churn"], seeds=[0, 1, 2], only_models="forest")
    for limit, expected in ((600.0, [0]), (600.0, [0]), (900.0, [0, 0])):
        options.limit = limit
        assert tables.measure_all(options, PEERS) == 0
        assert asked == expected


@pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks are Linux's")
def test_a_cell_is_measured_in_its_own_process(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kind": rng.choice(["a", "b"], 300), "number": rng.normal(size=300)})
    table["target"] = (table["number"] + (table["kind"] == "a") > 0.5).astype(int)
    table.to_csv(tmp_path / "churn.csv.gz", index=False)
    what = {**WHAT, "model": "HistGradientBoosting"}
    found = cells.in_process(Path(sys.executable), what, tmp_path, 60)
    assert found["test"] > 0.9
    assert found["accuracy"] > 0.8
    assert min(found[f] for f in ("fit_seconds", "latency_ms", "rows_per_second", "peak_mb", "log_loss")) > 0
    late = cells.in_process(Path(sys.executable), what, tmp_path, 1e-5)
    assert late["over"] == 1e-5
    assert late["started"] <= late["ended"]
    assert "adult.csv.gz" in cells.in_process(Path(sys.executable), {**what, "table": "adult"}, tmp_path, 60)["failure"]


def test_ranks_are_of_means_among_models_with_all_tables():
    ranks = reports.mean_ranks(frame_of_three())
    assert ranks.to_dict() == {"tabdl Light": 1.5, "Forest": 1.5}
    gains = reports.gain(frame_of_three())
    assert gains.loc["tabdl Light", "california"] == pytest.approx(100 * (1 - 0.41 / 0.50))
    assert gains.loc["Heavy", "churn"] == pytest.approx(100 * (1 - 0.10 / 0.12))
    assert (gains.loc["Forest"] == 0).all()


def test_report_says_what_was_measured():
    text = reports.to_markdown(frame_of_three(), {"tabdl Light": "Heavy"})
    assert "| model | mean rank | california RMSE ↓ | churn AUC ↑ |" in text
    assert "| tabdl Light | 1.50 | **0.4100 ± 0.0141** | 0.8600 ± 0.0000 |" in text
    assert "| Heavy |  | over 600 s | **0.9000** |" in text
    assert "Without a rank: Heavy (over the limit on california)." in text
    assert "over 2 seeds of the model (fewer: Heavy)" in text
    assert "| tabdl Light / Heavy | churn | 2.0 | 8.0 | 0.250 | yes |" in text
    assert "| tabdl Light |  | 0.7500, 0.5000 |" not in text
    assert "| tabdl Light | 0.7500, 0.5000 |" in text
    assert "Measured 2026-01-02 on abacus, 2 cores" in text
    apart = frame_of_three().assign(started="2026-01-05T00:00:00+00:00")
    assert "0.250 | no |" in reports.to_markdown(apart, {"tabdl Light": "Heavy"})


def test_picture_of_one_table_and_of_two(tmp_path):
    for tables_shown in (["churn"], ["california", "churn"]):
        frame = frame_of_three()
        pictures.draw(frame[frame["table"].isin(tables_shown)], tmp_path / "picture.png")
        without_boosters = frame[frame["model"] == "Heavy"]
        pictures.draw(without_boosters, tmp_path / "few.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("heights", [[0.5] * 20, [0.9, 0.5, 0.49, 0.1], [1.0, 0.0], [0.02, 0.01, 0.0]], ids=len)
def test_labels_keep_their_distance(heights):
    moved = pictures.spread(np.array(heights), 0.05)
    assert (-np.diff(moved) >= 0.05 - 1e-9).all()
    assert 0 <= moved.min() <= moved.max() <= 1
    np.testing.assert_allclose(pictures.spread(np.array([0.9, 0.5, 0.1]), 0.05), [0.9, 0.5, 0.1])


def test_columns_for_peers():
    train = pd.DataFrame({"text": ["b", "a", None], "flag": [True, False, True], "number": [1.0, 3.0, np.nan]})
    new = pd.DataFrame({"text": ["a", "unseen"], "flag": [False, True], "number": [np.nan, 7.0]})
    kept, filled = peers.typed(train)(new), peers.typed(train, gaps=True, numbers=True)(new)
    assert list(kept["text"].cat.categories) == ["a", "b"]
    assert kept["text"].isna().tolist() == kept["number"].isna().tolist()[::-1] == [False, True]
    assert filled["text"].tolist() == ["a", "missing"]
    assert filled["number"].tolist() == [2.0, 7.0]
    assert filled["flag"].tolist() == [0, 1]


def test_equal_rows_of_electronics_stay_together():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.integers(0, 4, (400, len(splits.HONEST))), columns=splits.HONEST)
    table = pd.concat([table, table], ignore_index=True).assign(target=rng.integers(0, 2, 800))
    X, _, X_val, _, X_test, _ = splits.split("electronics", table)
    rows = [set(map(tuple, part.to_numpy())) for part in (X, X_val, X_test)]
    assert sum(map(len, rows)) == len(set.union(*rows))
    assert len(X) + len(X_val) + len(X_test) == 800


def test_streaming_files_are_written_in_pieces_and_repeatable(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "GROUP", 300)
    streaming.write(tmp_path / "t.parquet", 700)
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table.shape == (700, 51)
    assert table["date"].is_monotonic_increasing
    assert table.isna().any().sum() > 10
    whole, truth = streaming.make(300, 700, 300, 0)
    pd.testing.assert_frame_equal(table[300:600].reset_index(drop=True), whole, check_dtype=False)
    assert abs(whole["target"].mean() - truth.mean()) < 0.1
    assert 0.1 < truth.mean() < 0.9
