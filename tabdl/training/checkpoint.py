"""A training that was killed goes on where it stood: state in one .npz file, replaced atomically."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tabdl.errors import ArtifactError

BUDGET = 0.05  # largest share of the training time spent on writing


def fingerprint(arrays: dict[str, np.ndarray], settings: str) -> str:
    """Hash of the data and the settings: only the same fit may go on."""
    digest = hashlib.sha256(settings.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.view(np.uint8).reshape(-1).data)
    return digest.hexdigest()


class Checkpoint:
    """One file for one fit; `path=None` keeps nothing."""

    def __init__(self, path: str | os.PathLike[str] | None, mark: str):
        self.path = None if path is None else Path(path)
        self.mark, self._due, self._cost = mark, 0.0, 0.0

    def read(self) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]] | None:
        """(plain state, lists of arrays) of the interrupted fit, None without one."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                plain = json.loads(str(file["plain"]))
                groups = {g: [file[f"{g}/{i}"] for i in range(n)] for g, n in plain["groups"].items()}
        except Exception as cause:
            raise ArtifactError(
                f"expected a checkpoint in {self.path}, received a damaged file ({cause}); delete it to start anew"
            ) from cause
        if plain["mark"] != self.mark:
            raise ArtifactError(
                f"the checkpoint {self.path} belongs to a fit of other data or parameters; delete it or choose another file"
            )
        return plain, groups

    def write(self, plain: dict[str, Any], groups: dict[str, list[np.ndarray]], last: bool = False) -> None:
        """Replace the file, unless writing would cost more than its share of the time and more will come."""
        if self.path is None or (time.monotonic() < self._due and not last):
            return
        start = time.monotonic()
        plain = plain | {"mark": self.mark, "groups": {g: len(arrays) for g, arrays in groups.items()}}
        named = {f"{g}/{i}": a for g, arrays in groups.items() for i, a in enumerate(arrays)}
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, plain=np.array(json.dumps(plain)), **named)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        spent = time.monotonic() - start
        self._due = time.monotonic() + spent / BUDGET
