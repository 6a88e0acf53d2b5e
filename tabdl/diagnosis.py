"""What `tabdl doctor` looks at: each examination returns one line, or raises."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tabdl.errors import TabdlError

ROWS = 300  # of the tiny fit


def examinations(model: Path | None) -> Iterator[tuple[str, Callable[[], str]]]:
    """Names of the examinations, with the functions that do them."""
    yield "system", _system
    yield "packages", _packages
    yield "optional", _optional
    yield "backend", _backend
    yield "threads", _threads
    yield "fit", _fit
    if model is not None:
        yield "model", lambda: _model(model)


def _system() -> str:
    return f"tabdl {metadata.version('tabdl')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _requirements(extra: bool) -> list[str]:
    """Names of the packages that tabdl requires, or of those that only its extras do."""
    lines = [line.partition(";") for line in metadata.requires("tabdl") or ()]
    names = {re.split(r"[\s<>=!~\[;]", line)[0] for line, _, marker in lines if ("extra" in marker) == extra}
    return sorted(names - {"tabdl"})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> str:
    return ", ".join(f"{name} {_version(name) or 'not installed'}" for name in _requirements(extra=False))


def _optional() -> str:
    required = _requirements(extra=False)
    found = [(name, _version(name)) for name in _requirements(extra=True) if name not in required]
    return ", ".join(f"{name} {version}" for name, version in found if version) or "none installed"


def _backend() -> str:
    import keras

    from tabdl import backends

    devices = keras.distribution.list_devices()
    return f"{backends.name()}, devices {', '.join(devices) or 'cpu'}, float type {keras.config.floatx()}"


def _threads() -> str:
    from threadpoolctl import threadpool_info

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pools = ", ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info())
    return f"{usable} processors usable" + (f"; thread pools: {pools}" if pools else "")


def _fit() -> str:
    from tabdl import artifact, models
    from tabdl.datasets import make_conversion

    X, y = make_conversion(ROWS, random_state=0)
    X = X.drop(columns="customer_id")
    started = time.perf_counter()
    model: Any = models.find("mlp", "classifier")(epochs=2, random_state=0).fit(X, y)
    fitted = time.perf_counter() - started
    expected = model.predict_proba(X)
    if not np.isfinite(expected).all():
        raise TabdlError("the probabilities of a tiny fit are not finite; the installation is damaged, reinstall it")
    with tempfile.TemporaryDirectory() as folder:
        again = artifact.load(artifact.save(model, Path(folder) / "tiny.tabdl")).predict_proba(X)
    if not np.array_equal(expected, again):
        raise TabdlError("a tiny model predicts otherwise after save and load; the installation is damaged, reinstall it")
    return f"{ROWS} rows in {fitted:.1f} s, predicted, saved, loaded: the same to the bit"


def _model(path: Path) -> str:
    from tabdl import artifact
    from tabdl.archive import read_archive

    manifest, _ = read_archive(path)
    started = time.perf_counter()
    model = artifact.load(path)
    seconds = time.perf_counter() - started
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    rows = "contains training rows" if manifest.get("contains_rows") else "no training row inside"
    columns = len(model.schema_.used) if hasattr(model, "schema_") else model.n_features_in_
    return (
        f"{manifest['class']} on {columns} columns, {path.stat().st_size / 1e6:.2f} MB, {rows}; "
        f"loads in {seconds:.1f} s and predicts its probe rows; saved {manifest.get('created')} with {versions}"
    )
