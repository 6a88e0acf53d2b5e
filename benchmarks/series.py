"""tabdl's networks for series beside their rivals: scores, seconds, memory. Run it by `make benchmark-series`.

    python benchmarks/series.py [--series FOLDER] [--only-sets TSC-24,PLAID,ETTh1-96] [--only-models "tabdl*,MiniRocket"]
    python benchmarks/series.py report          # from what was measured before

A cell is one model on one data set with one seed, measured in a process of its own: tabdl in this interpreter, rivals in those
of --peers. Measured cells are kept in --cache and found again while data set, seed, model, package versions, machine and, for
tabdl, its source are the same, so an interrupted run goes on where it stopped; --again measures them anew. A model that is
named in full is measured although it is slow, or not among those that are measured by default: "tabdl mine" is the architecture
tabdl/models/mine.py, "tabdl mine members=5" the same with a parameter. See suites.py for the data, rivals.py for the models,
cells.py for what is measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

import cells
import peers
import rivals
import suites
from rivals import Rival

SETS = [name for names in suites.SUITES.values() for name in names]


def versions() -> dict[str, str]:
    """Of Python and of all packages that some model names, here."""
    return cells.versions({p for rival in rivals.RIVALS for p in rival.packages} | {*peers.COMMON, "keras", peers.backend()})


def interpreter(rival: Rival, options: argparse.Namespace) -> Path:
    return Path(sys.executable) if rival.family == "tabdl" else options.peers / rival.family / "bin/python"


def what(name: str, seed: int, rival: Rival, options: argparse.Namespace) -> dict[str, Any]:
    """All that decides about the figures of a cell."""
    python = interpreter(rival, options)
    target = f"build/series/{rival.family}/.installed"
    installed = versions() if rival.family == "tabdl" else cells.versions_of(python, Path(__file__), target)
    found = {package: installed.get(package, "none") for package in ("python", *rival.packages)}
    if rival.family == "tabdl":
        found["tabdl"] = cells.source(cells.library())
    protocol = {"suites": suites.PROTOCOL, "machine": cells.machine()}
    return {"table": name, "seed": seed, "model": rival.name, "versions": found, **protocol}


def chosen(patterns: str) -> list[Rival]:
    """Models whose name is like one of the comma-separated patterns; slow ones, and others of tabdl, by their full names."""
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    known = [*rivals.own(), *rivals.RIVALS]
    names = [rival.name.lower() for rival in known]
    known += [rivals.find(name) for name in wanted if name.startswith("tabdl ") and "*" not in name and name not in names]
    for pattern in wanted:
        if not any(fnmatch(rival.name.lower(), pattern.lower()) for rival in known):
            raise SystemExit(f"expected names of models, or patterns of them, among {', '.join(names)}; received {pattern!r}")
    like = [r for r in known if any(fnmatch(r.name.lower(), pattern.lower()) for pattern in wanted)]
    return [rival for rival in like if not rival.slow or rival.name in wanted]


def plan(names: list[str], seeds: list[int], models: list[Rival]) -> list[tuple[str, int, Rival]]:
    """Cells in the order in which they are measured."""
    return [
        (name, seed, rival)
        for name in names
        for seed in seeds
        for rival in models
        if rival.takes(name) and (seed == 0 or (rival.seeded and not rival.slow))
    ]


def measure_all(options: argparse.Namespace) -> int:
    """Measure the cells that are not there yet; how many failed."""
    models = {rival.name: rival for rival in chosen(options.only_models)}

    def start(cell: dict[str, Any]) -> dict[str, Any]:
        command = [interpreter(models[cell["model"]], options).absolute(), Path(__file__), "cell", "--limit", options.limit]
        command += ["--series", options.series.resolve(), "--only-sets", cell["table"], "--only-models", cell["model"]]
        return cells.run([*command, "--seeds", cell["seed"]], options.limit)

    def say(found: dict[str, Any]) -> str:
        return f"test {found['test']:.6g}  fit {found['fit_seconds']:.1f} s  predict {found['predict_seconds']:.1f} s"

    todo = plan(options.only_sets, options.seeds, list(models.values()))
    return cells.fill([what(*one, options) for one in todo], start, options, say)


def measure(rival: Rival, name: str, seed: int, folder: Path, limit: float) -> dict[str, Any]:
    """Fit and measure here; past `limit` seconds of fits and predictions the system ends this process."""
    kind = suites.kind(name)
    rival.make(kind, name, seed)  # imports
    gc.collect()
    before = cells.forget_peak()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    seconds = {"fit_seconds": 0.0, "predict_seconds": 0.0}

    def timed(step: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        answer = call()
        seconds[f"{step}_seconds"] += time.perf_counter() - start
        return answer

    ask = _forecasts if kind == "forecaster" else _labels
    found = ask(rival, name, seed, folder, timed)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {**found, **seconds, "peak_mb": max(cells.peak() - before, 0) / 1e6}


def _labels(rival: Rival, name: str, seed: int, folder: Path, timed: Callable[..., Any]) -> dict[str, Any]:
    """Accuracy, or the RMSE of each resample and their mean."""
    scores, regresses = [], suites.kind(name) == "regressor"
    score = metrics.root_mean_squared_error if regresses else metrics.accuracy_score
    for number, (X, y, X_test, y_test) in enumerate(suites.splits(name, folder)):
        estimator = rival.make(suites.kind(name), name, seed + number)
        length = max(len(series) for part in (X, X_test) for series in part)
        X, X_test = rival.convert(X, length), rival.convert(X_test, length)
        if rival.compiled and number == 0:
            _compile(rival.make(suites.kind(name), name, seed), np.shape(X), y)
        timed("fit", lambda estimator=estimator, X=X, y=y: estimator.fit(X, y))
        answers = timed("predict", lambda estimator=estimator, X_test=X_test: estimator.predict(X_test))
        scores.append(float(score(y_test, answers)))
    return {"test": float(np.mean(scores)), "scores": scores}


def _compile(estimator: Any, shape: tuple[int, ...], y: np.ndarray) -> None:
    """Let numba translate what it has not yet: once after an installation, a minute that is no part of a fit."""
    noise = np.random.default_rng(0).normal(size=shape)
    estimator.fit(noise, y).predict(noise)


def _forecasts(rival: Rival, name: str, seed: int, folder: Path, timed: Callable[..., Any]) -> dict[str, Any]:
    """Errors and coverage, a mean over all series, windows and origins."""
    found, origin = [], None
    for origin in suites.origins(name, folder):
        estimator = rival.make("forecaster", name, seed)
        timed("fit", lambda estimator=estimator, train=origin.train: estimator.fit(train))
        for histories, actual in origin.chunks:
            ahead = timed("predict", lambda estimator=estimator, histories=histories: estimator.predict(histories))
            found.append(suites.errors(actual, ahead, origin.scale))
    frame = pd.concat(found)
    means = {column: float(value) for column, value in frame.mean().dropna().items()}
    if suites.METRICS[suites.suite_of(name)] == "owa":
        means["owa"] = suites.owa(frame, origin)
    return {"test": means[suites.METRICS[suites.suite_of(name)]], "windows": len(frame), **means}


def collect(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All measured cells of today's versions, on this machine."""
    models = [*rivals.own(), *rivals.RIVALS]
    models += [rival for rival in chosen(options.only_models) if rival.name not in {known.name for known in models}]
    here = [rival for rival in models if interpreter(rival, options).exists()]
    todo = ((what(name, seed, rival, options), rival) for name, seed, rival in plan(SETS, options.seeds, here))
    return [{**cell, "family": rival.family} for key, rival in todo if (cell := cells.cached(key, options.cache)) is not None]


def report(options: argparse.Namespace) -> None:
    """Write CSV and Markdown of what was measured; print the Markdown."""
    import standings

    found = collect(options)
    if not found:
        raise SystemExit("expected measured cells, found none of these versions on this machine; run `make benchmark-series`")
    frame = standings.to_frame(found)
    options.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(options.results / "series.csv", index=False, float_format="%.6g")
    text = standings.to_markdown(frame, standings.read_published())
    (options.results / "README.md").write_text(text, encoding="utf-8")
    print(text)


def _sets(text: str) -> list[str]:
    """Data sets by their names, or by those of suites."""
    names = [name for one in text.split(",") for name in suites.SUITES.get(one, (one,))]
    unknown = sorted(set(names) - set(SETS))
    if unknown:
        known = ", ".join([*suites.SUITES, *SETS])
        raise argparse.ArgumentTypeError(f"expected data sets or suites among {known}; received {', '.join(unknown)}")
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    suites.add_folder(parser)
    parser.add_argument("--only-sets", type=_sets, default=SETS, metavar="NAMES", help="data sets or suites")
    cells.add_options(parser, 3600, Path("build/series"), Path("build/benchmarks/series"), Path("benchmarks/results/series"))
    return parser.parse_args()


def main() -> None:
    options = _options()
    if options.do == "versions":
        print(json.dumps(versions()))
        return
    if options.do == "cell":
        rival, (name,), (seed,) = rivals.find(options.only_models), options.only_sets, options.seeds
        cells.write(measure(rival, name, seed, options.series, options.limit), options.out)
        return
    failures = 0
    if options.do == "all":
        suites.check_folder(options.series)
        failures = measure_all(options)
    report(options)
    if failures:
        raise SystemExit(f"{failures} cells failed and will be tried again by the next run")


if __name__ == "__main__":
    main()
