"""tabdl's estimators beside their peers on eight tables: scores, seconds, memory, ranks. Run it by `make benchmark`.

    python benchmarks/tables.py [--tables FOLDER] [--only-tables california,churn] [--only-models "tabdl*,CatBoost*"]
    python benchmarks/tables.py report          # from what was measured before

A cell is one model on one table with one seed, measured in a process of its own: tabdl in this interpreter, peers in the one
of --peers. Measured cells are kept in build/benchmarks and found again while table, seed, model, package versions, machine
and, for tabdl, its source are the same, so an interrupted run goes on where it stopped; --again measures them anew. Cells run
one after the other: by table, seed, model; of the two sides of a ratio of times the second is measured anew after the first.
Choices are for validation rows to make; scores are of test rows. See splits.py for the tables, peers.py for the models, cells.py
for what is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cells
import peers
import splits

TABLES = ("california", "house", "diamond", "adult", "churn", "coupon", "online_shoppers", "electronics")


def versions() -> dict[str, str]:
    """Of Python and of all packages that some model names, here."""
    return cells.versions({package for model in peers.PEERS for package in model.packages} | {"keras", peers.backend()})


def versions_of(python: Path) -> dict[str, str]:
    if python.absolute() == Path(sys.executable).absolute():
        return versions()
    return cells.versions_of(python, Path(__file__), "build/peers/.installed")


def what(table: str, seed: int, model: peers.Model, python: Path) -> dict[str, Any]:
    """All that decides about the figures of a cell."""
    installed = versions_of(python)
    found = {package: installed.get(package, "none") for package in ("python", *model.packages)}
    if model.family == "tabdl":
        found["tabdl"] = cells.source(cells.library())
    return {"table": table, "seed": seed, "model": model.name, "versions": found, "machine": cells.machine()}


def plan(tables: list[str], seeds: list[int], models: list[peers.Model]) -> Iterator[tuple[str, int, peers.Model]]:
    """Cells in the order in which they are measured; slow models have seed 0 only."""
    for table in tables:
        for seed in seeds:
            yield from ((table, seed, model) for model in models if seed == 0 or not model.slow)


def chosen(models: list[peers.Model], patterns: str) -> list[peers.Model]:
    """Those whose name is one of, or like one of, the comma-separated patterns."""
    wanted = [pattern.strip().lower() for pattern in patterns.split(",")]
    for pattern in wanted:
        if not any(fnmatch(model.name.lower(), pattern) for model in models):
            names = ", ".join(model.name for model in models)
            raise SystemExit(f"expected names of models, or patterns of them, among {names}; received {pattern!r}")
    return [model for model in models if any(fnmatch(model.name.lower(), pattern) for pattern in wanted)]


def measure_all(options: argparse.Namespace, models: list[peers.Model]) -> int:
    """Measure the cells that are not there yet; how many failed."""
    models = chosen(models, options.only_models)
    pythons = {model.name: _python(model, options) for model in models}
    return cells.fill(
        [
            what(table, seed, model, pythons[model.name])
            for table, seed, model in plan(options.only_tables, options.seeds, models)
        ],
        lambda cell: cells.in_process(pythons[cell["model"]], cell, options.tables, options.limit),
        options,
        _said,
        {model.name: model.beside for model in models if model.beside},
    )


def _said(found: dict[str, Any]) -> str:
    return f"test {found['test']:.6g}  fit {found['fit_seconds']:.1f} s  row {found['latency_ms']:.2f} ms"


def collect(options: argparse.Namespace, models: list[peers.Model]) -> list[dict[str, Any]]:
    """All measured cells of today's versions, on this machine."""
    found = []
    for table, seed, model in plan(options.only_tables, options.seeds, models):
        cell = cells.cached(what(table, seed, model, _python(model, options)), options.cache)
        if cell is not None:
            found.append({**cell, "family": model.family, "metric": splits.METRICS[table]})
    return found


def report(options: argparse.Namespace, models: list[peers.Model]) -> None:
    """Write CSV, Markdown and picture of what was measured; print the Markdown."""
    import pictures
    import reports

    found = collect(options, models)
    if not found:
        raise SystemExit("expected measured cells, found none of these versions on this machine; run `make benchmark`")
    options.results.mkdir(parents=True, exist_ok=True)
    frame = reports.to_frame(found)
    frame.to_csv(options.results / "tables.csv", index=False, float_format="%.6g")
    text = reports.to_markdown(frame, {model.beside: model.name for model in models if model.beside})
    (options.results / "tables.md").write_text(text, encoding="utf-8")
    pictures.draw(frame, options.results / "tables.png")
    print(text)


def _python(model: peers.Model, options: argparse.Namespace) -> Path:
    return Path(sys.executable) if model.family == "tabdl" else options.peers


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    splits.add_folder(parser)
    parser.add_argument("--only-tables", type=lambda text: text.split(","), default=list(TABLES), metavar="NAMES")
    cells.add_options(parser, 600, Path("build/peers/bin/python"), Path("build/benchmarks"), Path("benchmarks/results"))
    options = parser.parse_args()
    unknown = set(options.only_tables) - set(TABLES)
    if unknown:
        parser.error(f"expected tables among {', '.join(TABLES)}, received {', '.join(sorted(unknown))}")
    return options


def main() -> None:
    options = _options()
    if options.do == "versions":
        print(json.dumps(versions()))
        return
    if options.do == "cell":
        model, (table,), (seed,) = peers.find(options.only_models), options.only_tables, options.seeds
        cells.write(cells.measure(model, table, seed, options.tables, options.limit), options.out)
        return
    models = peers.in_order(peers.networks(), peers.PEERS)
    failures = 0
    if options.do == "all":
        splits.check_folder(options.tables)
        failures = measure_all(options, models)
        options.only_tables = list(TABLES)  # the report of a part has what was measured before, too
    report(options, models)
    if failures:
        raise SystemExit(f"{failures} cells failed and will be tried again by the next run")


if __name__ == "__main__":
    main()
