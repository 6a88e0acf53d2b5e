"""The checkpoint file: exact, atomic, bound to one fit."""

from __future__ import annotations

import numpy as np
import pytest

from tabdl.errors import ArtifactError
from tabdl.training.checkpoint import Checkpoint, fingerprint

PLAIN = {"epoch": 3, "best_score": float("inf"), "history": {"loss": [0.1, 1 / 3]}}
GROUPS = {"model": [np.arange(6.0, dtype=np.float32).reshape(2, 3), np.array(7, np.uint32)], "best": []}


def test_what_was_written_is_read_exactly(tmp_path):
    path = tmp_path / "fit.npz"
    Checkpoint(path, "mark").write(PLAIN, GROUPS)
    plain, groups = Checkpoint(path, "mark").read()
    assert {k: plain[k] for k in PLAIN} == PLAIN
    assert list(groups) == ["model", "best"]
    assert groups["best"] == []
    for got, expected in zip(groups["model"], GROUPS["model"], strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


def test_without_a_path_nothing_happens_and_without_a_file_nothing_is_read(tmp_path):
    nowhere = Checkpoint(None, "mark")
    nowhere.write(PLAIN, GROUPS)
    assert nowhere.read() is None
    assert Checkpoint(tmp_path / "none.npz", "mark").read() is None


def test_another_fit_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "fit.npz"
    Checkpoint(path, "mark").write(PLAIN, GROUPS)
    with pytest.raises(ArtifactError, match="belongs to a fit of other data or parameters; delete it or choose another file"):
        Checkpoint(path, "other").read()


@pytest.mark.parametrize("cut", [0, 10, 0.5, -1])
def test_a_damaged_file_is_refused_with_the_remedy(tmp_path, cut):
    path = tmp_path / "fit.npz"
    Checkpoint(path, "mark").write(PLAIN, GROUPS)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut) if isinstance(cut, float) else cut])
    with pytest.raises(ArtifactError, match="received a damaged file .*; delete it to start anew"):
        Checkpoint(path, "mark").read()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    Checkpoint(path, "mark").write(PLAIN, GROUPS)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Checkpoint(path, "mark").write(PLAIN | {"epoch": 4}, GROUPS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_takes_a_small_share_of_the_time(tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit.npz", "mark")
    checkpoint.write(PLAIN, GROUPS)
    checkpoint.write(PLAIN | {"epoch": 4}, GROUPS)
    assert checkpoint.read()[0]["epoch"] == 3, "the second one came too soon"
    checkpoint._due = 0.0
    checkpoint.write(PLAIN | {"epoch": 5}, GROUPS)
    assert checkpoint.read()[0]["epoch"] == 5
    checkpoint.write(PLAIN | {"epoch": 6}, GROUPS, last=True)
    assert checkpoint.read()[0]["epoch"] == 6, "the last one always"


def test_fingerprint_tells_values_shapes_dtypes_names_and_settings():
    base = {"a": np.arange(4, dtype=np.float32), "b": np.zeros((2, 2))}
    mark = fingerprint(base, "s")
    assert fingerprint({"b": base["b"].copy(), "a": base["a"].copy()}, "s") == mark
    for other in (
        base | {"a": np.arange(4, dtype=np.float32)[::-1]},
        base | {"a": np.arange(4, dtype=np.int32)},
        base | {"b": np.zeros(4)},
        {"c": base["a"], "b": base["b"]},
    ):
        assert fingerprint(other, "s") != mark
    assert fingerprint(base, "t") != mark
    assert fingerprint({"a": np.arange(8.0)[::2]}, "s") == fingerprint({"a": np.arange(8.0)[::2].copy()}, "s")
