"""A cell: one model fitted on one table with one seed, alone in a process; and the cache of cells.

fit_seconds: `fit` alone, compilation included; reading the table and imports are not, but for what `fit` itself imports on
first use (tabdl: about .1 s). latency_ms: median of 200 predictions of a one-row DataFrame, after 20; slow models get as many
as fit into 30 s. rows_per_second: the whole table in one call, best of 3, likewise. peak_mb: the most memory the process
held, above what it held after imports; the table is in it. load: processes that wanted a core in the minute before.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from sklearn import metrics

import splits
from peers import Model, cores

PROTOCOL = 1  # raise it when cells measured before are no longer comparable
HERE = Path(__file__).resolve().parent
ROW, WARM, CALLS, BULK, MOST_SECONDS = 7, 20, 200, 3, 30
BESIDE_FIT = 900  # seconds for imports, reading and predictions, before a cell is given up


def machine() -> str:
    """Processor, cores that this process may use, memory, system."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = named[1] if named else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {cores()} cores, {memory:.0f} GB, {platform.system()}"


def source(package: Path) -> str:
    """Digest of the files of a package: a changed library is measured again."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def library() -> Path:
    """The folder of tabdl that is measured."""
    found = util.find_spec("tabdl")
    if found is None or found.origin is None:
        raise SystemExit("expected tabdl in this interpreter, found none; run `make install`")
    return Path(found.origin).parent


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of Python and of those packages that are here."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in sorted(packages):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


@cache
def versions_of(python: Path, script: Path, target: str) -> dict[str, str]:
    """What `script versions` says in another interpreter, which `make target` installs."""
    if not python.exists():
        raise SystemExit(f"expected the peers' interpreter at {python}; run `make {target}`, or name one with --peers")
    said = subprocess.run([python, script, "versions"], check=True, capture_output=True, text=True)
    return json.loads(said.stdout.strip().splitlines()[-1])


def key(what: dict[str, Any]) -> str:
    """Name of a cell: all that decides about its figures, in few letters."""
    return hashlib.sha256(json.dumps({**what, "protocol": PROTOCOL}, sort_keys=True).encode()).hexdigest()[:16]


def file_of(what: dict[str, Any], folder: Path) -> Path:
    name = re.sub(r"\W+", "_", what["model"]).lower()
    return folder / what["table"] / f"{name}-{what['seed']}-{key(what)}.json"


def cached(what: dict[str, Any], folder: Path, limit: float | None = None) -> dict[str, Any] | None:
    """The cell if it was measured; one that ran out of a shorter time than `limit` was not."""
    file = file_of(what, folder)
    if not file.exists():
        return None
    cell = json.loads(file.read_text(encoding="utf-8"))
    return None if limit is not None and cell.get("over", limit) < limit else cell


def keep(what: dict[str, Any], cell: dict[str, Any], folder: Path) -> None:
    file = file_of(what, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({**what, **cell}, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def in_process(python: Path, what: dict[str, Any], tables: Path, limit: float) -> dict[str, Any]:
    """Measure in a fresh interpreter; {"over": limit} when `fit` took longer, {"failure": last words} when it fell over."""
    command = [python.absolute(), HERE / "tables.py", "cell", "--tables", tables.resolve(), "--limit", limit]
    command += ["--only-tables", what["table"], "--only-models", what["model"], "--seeds", what["seed"]]
    return run(command, limit)


def run(command: list[Any], limit: float) -> dict[str, Any]:
    """What a command writes to the file named by its --out, and when it ran; as `in_process` where it does not."""
    start, load = datetime.now(UTC), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:  # some packages write beside the caller
        out, said = Path(folder) / "cell.json", Path(folder) / "said"
        with said.open("wb") as words:
            child = subprocess.Popen(
                [str(part) for part in [*command, "--out", out]],
                cwd=folder,
                env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
            try:
                child.wait(limit + BESIDE_FIT)
            except subprocess.TimeoutExpired:
                return {"failure": f"no answer after {limit + BESIDE_FIT:.0f} s"}
            finally:
                with suppress(ProcessLookupError):  # it, or workers that it left
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        end = datetime.now(UTC)
        around = {"started": start.isoformat(timespec="seconds"), "ended": end.isoformat(timespec="seconds"), "load": load}
        if child.returncode == -signal.SIGALRM:
            return {"over": limit, **around}
        if child.returncode or not out.exists():
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return {"failure": lines[-1] if lines else f"exit status {child.returncode}"}
        return {**json.loads(out.read_text(encoding="utf-8")), **around}


def fill(
    todo: Iterable[dict[str, Any]],
    start: Callable[[dict[str, Any]], dict[str, Any]],
    options: argparse.Namespace,
    say: Callable[[dict[str, Any]], str],
    beside: dict[str, str] | None = None,
) -> int:
    """Measure the cells that are not there yet; how many failed. Another seed is no help to who ran out of time."""
    failures, late, fresh, todo = 0, set(), set(), list(todo)
    for number, what in enumerate(todo, 1):
        table, seed, model = what["table"], what["seed"], what["model"]
        pair = (table, seed, (beside or {}).get(model))  # the two sides of a ratio belong to one hour
        found = None if options.again or pair in fresh else cached(what, options.cache, options.limit)
        if found is None and (table, model) not in late:
            found = start(what)
            if "tabdl" in what["versions"] and source(library()) != what["versions"]["tabdl"]:
                found = {"failure": "tabdl was changed while it was measured"}
            if "failure" in found:
                failures += 1
            else:
                keep(what, found, options.cache)
                fresh.add((table, seed, model))
            said = (
                f"FAILED: {found['failure']}"
                if "failure" in found
                else f"over {found['over']:g} s"
                if "over" in found
                else say(found)
            )
            print(f"{number:4d} of {len(todo)}  {table:16s} seed {seed}  {model:22s} {said}", flush=True)
        if found is not None and "over" in found:
            late.add((table, model))
    return failures


def measure(model: Model, table: str, seed: int, tables: Path, limit: float) -> dict[str, Any]:
    """Fit and measure here; past `limit` seconds of `fit` the system ends this process."""
    classes = splits.has_classes(table)
    estimator, arguments = model.make(classes, seed)
    gc.collect()
    before = forget_peak()
    whole = splits.read(table, tables)
    parts = splits.split(table, whole)
    convert = model.prepare(parts.X)
    parts = parts._replace(X=convert(parts.X), X_val=convert(parts.X_val), X_test=convert(parts.X_test))
    extra = arguments(parts)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    start = time.perf_counter()
    estimator.fit(parts.X, parts.y, **extra)
    cell = {"fit_seconds": time.perf_counter() - start}
    signal.setitimer(signal.ITIMER_REAL, 0)

    def answer(frame: Any) -> Any:
        return estimator.predict_proba(frame)[:, 1] if classes else estimator.predict(frame)

    score = splits.SCORES[splits.METRICS[table]]
    answers = answer(parts.X_test)
    cell |= {"test": score(parts.y_test, answers), "validation": score(parts.y_val, answer(parts.X_val))}
    if classes:
        cell |= {"accuracy": ((answers > 0.5) == parts.y_test).mean(), "log_loss": metrics.log_loss(parts.y_test, answers)}
    row = parts.X_test.iloc[[ROW]]
    _seconds(lambda: answer(row), WARM)
    cell["latency_ms"] = 1e3 * statistics.median(_seconds(lambda: answer(row), CALLS))
    whole = convert(whole.drop(columns="target"))
    cell["rows_per_second"] = len(whole) / min(_seconds(lambda: answer(whole), BULK))
    cell["peak_mb"] = max(peak() - before, 0) / 1e6  # the kernel counts pages a little late
    return {measured: float(value) for measured, value in cell.items()}


def _seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Time of each call."""
    taken: list[float] = []
    while len(taken) < repeats and sum(taken) < MOST_SECONDS:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def forget_peak() -> int:
    """Bytes held now, from where the peak is to be counted anew."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Most bytes held so far. Not `ru_maxrss` on Linux: there a child starts with the peak of its parent."""
    if sys.platform == "linux":
        kilobytes = re.search(r"^VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(kilobytes[1]) * 1024 if kilobytes else 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def add_options(parser: argparse.ArgumentParser, limit: float, peers: Path, measured: Path, results: Path) -> None:
    """The options of a benchmark; peers: where the interpreters of the rivals are. Paths are below the root of the project."""
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("do", nargs="?", default="all", choices=["all", "report", "cell", "versions"], help="default: all")
    parser.add_argument("--only-models", default="*", metavar="PATTERNS", help='such as "tabdl*"')
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=limit, help="most seconds of fits and predictions of a cell")
    parser.add_argument("--again", action="store_true", help="measure cells anew that were measured before")
    parser.add_argument("--peers", type=Path, default=root / peers, help="where the rivals' interpreters are")
    parser.add_argument("--cache", type=Path, default=root / measured, help="folder of measured cells")
    parser.add_argument("--results", type=Path, default=root / results, help="folder of CSV, Markdown and pictures")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)  # of `cell`, which the other commands start


def write(measured: dict[str, Any], out: Path | None) -> None:
    """What a cell measured, to a file or to the screen."""
    text = json.dumps(measured, indent=1)
    print(text) if out is None else out.write_text(text, encoding="utf-8")
