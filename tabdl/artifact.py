"""Save a fitted estimator as one zip file and load it again, without running anything that the file holds.

The file has the estimator's parameters, schema and target as JSON, its weights as .npy arrays, and 8 synthetic probe rows
with their predictions: a model that does not reproduce them is not given to anyone. The class is looked up by name among
tabdl's own, those given as `classes`, and the entry points `tabdl.models` of installed packages; its `forward` rebuilds the
network. No training row is inside, unless the estimator says so (`contains_rows`).
"""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tabdl import backends
from tabdl.archive import read_archive, write_archive
from tabdl.errors import ArtifactError, MissingDependency, ParameterError
from tabdl.estimators.forecasting import PanelForecaster
from tabdl.estimators.prediction import Predictor
from tabdl.estimators.state import pack, unpack

PROBE_ROWS = 8
PROBE_TOLERANCE = 1e-4  # of the standard deviation of an output over the probe rows
ROUNDING = 1e-5  # of the largest output, for outputs that hardly vary: float32 sums differ in order between backends
PROBE = "probe/codes", "probe/predictions"


def save(estimator: Any, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write a fitted estimator to one file, without pickle; an older file there is replaced in one step, or stays.

    Parameters
    ----------
    estimator : fitted estimator of tabdl, or of your own class
    path : where the file goes, usually "name.tabdl"
    overwrite : whether a file that is there may be replaced

    Returns
    -------
    The path.

    Raises
    ------
    ParameterError
        When `estimator` is none of tabdl: a pipeline or a search around one, a class.
    ArtifactError
        When `path` is a folder or a device.
    FileExistsError
        When `overwrite` is False and the file exists.
    NotFittedError
        When the estimator is not fitted.

    Examples
    --------
    >>> import tabdl, tempfile, os
    >>> X, y = tabdl.datasets.make_conversion(300, random_state=0)
    >>> model = tabdl.MLPClassifier(units=(8,), epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = tabdl.save(model, os.path.join(folder, "conversion.tabdl"))
    ...     bool((tabdl.load(path).predict(X) == model.predict(X)).all())
    True
    """
    from sklearn.utils.validation import check_is_fitted

    if not isinstance(estimator, (Predictor, PanelForecaster)):
        kind = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise ParameterError(
            f"expected a fitted tabdl estimator, received {kind}; save the tabdl step alone, or use joblib for the whole"
        )
    if Path(path).exists() and not Path(path).is_file():
        raise ArtifactError(f"expected the name of a file, received '{path}', which is a folder or a device; choose another name")
    if not overwrite and Path(path).exists():
        raise FileExistsError(f"expected no file at '{path}', found one; choose another name, or overwrite=True")
    check_is_fitted(estimator)
    state, arrays = pack(estimator)
    codes = estimator._sample_codes(PROBE_ROWS, np.random.default_rng(0))
    probe = dict(zip(PROBE, (codes, _predictions(estimator, codes)), strict=True))
    contains_rows = bool(state.get("contains_rows", False))
    manifest = {
        "class": type(estimator).__name__,
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "contains_rows": contains_rows,
        "state": state,
    }
    write_archive(path, manifest, arrays | probe)
    if contains_rows:
        warnings.warn(f"'{path}' contains rows of the training table; share it only with people who may see them", stacklevel=2)
    return Path(path)


def load(path: str | os.PathLike[str], classes: Iterable[Callable] = ()) -> Any:
    """The estimator that was saved at `path`. Nothing in the file is run, and every byte of it is checked first.

    Parameters
    ----------
    path : file written by `save`
    classes : your own estimator classes and `forward` functions, found by their names

    Returns
    -------
    The fitted estimator; see `save` for an example.

    Raises
    ------
    ArtifactError
        When the file is damaged, unsafe, of a newer format, or does not reproduce its probe rows.
    FileNotFoundError
        When there is no file.
    """
    manifest, arrays = read_archive(path)
    wanted, state = manifest.get("class"), manifest.get("state")
    if not isinstance(wanted, str) or not isinstance(state, dict) or not set(PROBE) <= set(arrays):
        raise ArtifactError(f"'{path}': expected a model saved by tabdl.save, found an archive of something else; check the path")
    named = {item.__name__: item for item in classes}
    cls = _find_class(path, wanted, named)
    codes, expected = (arrays.pop(name) for name in PROBE)
    try:
        estimator = unpack(cls, state, arrays, named)
        received = _predictions(estimator, codes)
    except (MissingDependency, MemoryError):
        raise
    except Exception as error:
        raise ArtifactError(
            f"'{path}': expected the state of a {cls.__name__}, could not rebuild one ({type(error).__name__}: "
            f"{str(error)[:300]}); {_saved_with(manifest)}"
        ) from error
    if (gap := _gap(expected, received)) > 1:
        raise ArtifactError(
            f"'{path}': expected the {PROBE_ROWS} probe rows to be predicted as when the model was saved, received predictions "
            f"{gap:.3g} times the tolerance away; {_saved_with(manifest)}"
        )
    return estimator


def _find_class(path: str | os.PathLike[str], wanted: str, own: Mapping[str, Any]) -> type:
    from tabdl import models

    if wanted in own:
        return own[wanted]
    if wanted in models.catalogue():
        return models.load_class(wanted)
    for entry in metadata.entry_points(group="tabdl.models", name=wanted):
        return entry.load()
    raise ArtifactError(
        f"'{path}': expected a class among {', '.join(sorted({*models.catalogue(), *own}))} or the entry points 'tabdl.models', "
        f"received {wanted[:80]!r}; give it as tabdl.load(path, classes=[...]), or install the package that has it"
    )


def _predictions(estimator: Any, codes: np.ndarray) -> np.ndarray:
    return np.asarray(estimator._predict_codes(codes), dtype=np.float64)


def _gap(expected: np.ndarray, received: np.ndarray) -> float:
    """Largest distance of two predictions of the probe rows, in tolerances."""
    if expected.shape != received.shape or not (np.isfinite(expected).all() and np.isfinite(received).all()):
        return 0.0 if np.array_equal(expected, received, equal_nan=True) else np.inf
    tolerance = PROBE_TOLERANCE * expected.std(axis=0) + ROUNDING * np.abs(expected).max(axis=0, initial=0)
    return float((np.abs(expected - received) / np.maximum(tolerance, np.finfo(np.float32).tiny)).max(initial=0))


def _versions() -> dict[str, str]:
    from tabdl import __version__

    packages = {name: metadata.version(name) for name in ("keras", "numpy", "scikit-learn")}
    return {
        "tabdl": __version__,
        **packages,
        "python": platform.python_version(),
        "backend": backends.name() if "keras" in sys.modules else "none",
    }


def _saved_with(manifest: dict[str, Any]) -> str:
    versions = manifest.get("versions")
    listed = ", ".join(f"{name} {version}" for name, version in versions.items()) if isinstance(versions, dict) else "unknown"
    return f"install the versions it was saved with ({listed[:300]}), or save the model again"
