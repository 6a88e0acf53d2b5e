"""What is written is read, whole; damage and interrupted writing are noticed."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from forging import ARRAYS, MANIFEST, boundaries, forge, members, pack, refused, same

from tabdl.archive import MAX_MANIFEST, npy_header, read_archive, write_archive
from tabdl.errors import ArtifactError


@pytest.fixture
def path(tmp_path):
    write_archive(tmp_path / "model.tabdl", MANIFEST, ARRAYS)
    return tmp_path / "model.tabdl"


# ---- the good file


def test_round_trip(path):
    assert same(read_archive(path))
    assert all(array.flags.c_contiguous and array.flags.writeable for array in read_archive(path)[1].values())


def test_forge_without_change_is_accepted(path):
    forge(path, lambda manifest, contents: None)
    assert same(read_archive(path))


def test_zip_tools_and_numpy_read_it(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    contents = members(path)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(np.load(io.BytesIO(contents[f"{name}.npy"]), allow_pickle=False), array)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4), (10**6, 0)])
@pytest.mark.parametrize("dtype", ["|b1", "<i8", "<f4"])
def test_npy_header_is_numpy_s(dtype, shape):
    expected = io.BytesIO()
    np.lib.format.write_array_header_1_0(expected, {"descr": dtype, "fortran_order": False, "shape": shape})
    read = np.lib.format.read_array_header_1_0
    assert len(npy_header(dtype, shape)) % 64 == 0
    with io.BytesIO(npy_header(dtype, shape)) as ours:
        assert np.lib.format.read_magic(ours) == (1, 0)
        assert read(ours) == (shape, False, np.dtype(dtype))


def test_equal_content_gives_equal_bytes(path, tmp_path):
    write_archive(tmp_path / "again", MANIFEST, ARRAYS)
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_other_layouts_of_an_array_are_stored_alike(tmp_path):
    rows = np.arange(6.0).reshape(2, 3)
    write_archive(tmp_path / "a", {}, {"x": np.asfortranarray(rows), "y": rows.astype(">f8"), "z": rows[:, ::2]})
    arrays = read_archive(tmp_path / "a")[1]
    np.testing.assert_array_equal(arrays["x"], rows)
    np.testing.assert_array_equal(arrays["y"], rows)
    np.testing.assert_array_equal(arrays["z"], rows[:, ::2])


def test_a_manifest_that_deflates_too_well_is_stored(tmp_path):
    manifest = {"zeros": [0] * 2**20}
    write_archive(tmp_path / "a", manifest, {})
    assert read_archive(tmp_path / "a")[0] == manifest


# ---- writing


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([{}]), np.zeros(2, complex), np.zeros((1,) * 9), np.zeros(2, "M8[s]")]
)
def test_arrays_that_are_no_numbers_are_not_written(tmp_path, array):
    with pytest.raises(ArtifactError, match=r"array 'x' should hold booleans or numbers .* received dtype .* convert it"):
        write_archive(tmp_path / "a", {}, {"x": array})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "", "a\\b", "C:x", "ü", ".x", "a/../b", "x" * 300])
def test_strange_names_are_not_written(tmp_path, name):
    with pytest.raises(ArtifactError, match="expected plain member names"):
        write_archive(tmp_path / "a", {}, {name: np.zeros(1)})
    assert os.listdir(tmp_path) == []


def test_reserved_manifest_keys(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot have the keys \['arrays', 'format'\]"):
        write_archive(tmp_path / "a", {"format": 1, "arrays": {}}, {})


def test_oversize_manifest_is_not_written(tmp_path):
    with pytest.raises(ArtifactError, match="shorten the vocabularies"):
        write_archive(tmp_path / "a", {"text": "x" * MAX_MANIFEST}, {})


def test_too_many_members_are_not_written(tmp_path):
    with pytest.raises(ArtifactError, match="choose a smaller network"):
        write_archive(tmp_path / "a", {}, {f"x{i}": np.zeros(0) for i in range(20_000)})


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="create it first"):
        write_archive(tmp_path / "none" / "a", {}, {})


def test_a_failed_write_changes_nothing(path, monkeypatch):
    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_archive(path, {}, {"x": np.ones(3)})
    assert os.listdir(path.parent) == [path.name]
    assert same(read_archive(path))


@pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")
def test_a_link_to_the_file_stays_a_link(path):
    link = path.with_name("current")
    link.symlink_to(path.name)
    write_archive(link, {"new": True}, {})
    assert link.is_symlink()
    assert read_archive(path)[0] == {"new": True}
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


WRITER = """
import os, signal, sys
import numpy as np
from tabdl.archive import write_archive
if sys.argv[2] == "fsync":
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
for i in range(10_000):
    write_archive(sys.argv[1], {"i": i}, {"x": np.full(300_000, float(i))})
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize("moment", ["fsync", "0.01", "0.03", "0.07"])
def test_kill_during_write_leaves_a_whole_file(tmp_path, moment):
    path = tmp_path / "model.tabdl"
    write_archive(path, {"i": -1}, {"x": np.full(300_000, -1.0)})
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), moment], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"ready\n"
    if moment != "fsync":
        time.sleep(float(moment))
        writer.kill()
    assert writer.wait(30) == -signal.SIGKILL
    writer.stdout.close()
    manifest, arrays = read_archive(path)
    np.testing.assert_array_equal(arrays["x"], np.full(300_000, float(manifest["i"])))
    if moment == "fsync":
        assert manifest == {"i": -1}


# ---- no file, other files


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a saved model at '.*none\.tabdl', found no such file"):
        read_archive(tmp_path / "none.tabdl")


def test_folder(tmp_path):
    refused(tmp_path, "found a folder or a device")


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "found a folder or a device")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04." * 50, b"PK\x05\x06" + bytes(18), b"col\n1\n" * 99])
def test_other_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a")


def test_newer_format_says_upgrade(path):
    forge(path, lambda manifest, contents: manifest.update(format=2))
    refused(path, "received format 2 from a newer tabdl; upgrade to read it: pip install --upgrade tabdl")


@pytest.mark.parametrize("number", [None, "1", 0, -1, True, 1.0])
def test_format_that_is_no_number(path, number):
    forge(path, lambda manifest, contents: manifest.update(format=number))
    refused(path, "JSON object with a format number")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}"]
)
def test_manifest_that_is_no_object(path, text):
    pack(path, members(path) | {"manifest.json": text})
    refused(path, "JSON object with a format number")


# ---- damage


def test_truncation(path):
    content, random = path.read_bytes(), np.random.default_rng(0)
    for offset in [*boundaries(content), *random.integers(0, len(content), 60)]:
        path.write_bytes(content[:offset])
        assert refused(path), offset


def test_every_flipped_byte_is_noticed(path):
    content, random = path.read_bytes(), np.random.default_rng(1)
    for offset in random.integers(0, len(content), 200):
        flipped = bytearray(content)
        flipped[offset] ^= int(random.integers(1, 256))
        path.write_bytes(flipped)
        assert refused(path), offset


def test_every_header_byte_is_noticed(path):
    content = path.read_bytes()
    start = boundaries(content)[-2]
    for offset in [*range(60), *range(start, start + 160), *range(len(content) - 22, len(content))]:
        flipped = bytearray(content)
        flipped[offset] ^= 255
        path.write_bytes(flipped)
        assert refused(path), offset


def test_inserted_and_removed_bytes(path):
    content, random = path.read_bytes(), np.random.default_rng(2)
    for offset in random.integers(0, len(content), 60):
        path.write_bytes(content[:offset] + b"\x00" + content[offset:])
        assert refused(path), offset
        path.write_bytes(content[:offset] + content[offset + 1 :])
        assert refused(path), offset


@pytest.mark.parametrize("extra", [b"\x00", b"PK\x05\x06" + bytes(18), b"#!/bin/sh\n"])
def test_data_before_or_after(path, extra):
    content = path.read_bytes()
    path.write_bytes(content + extra)
    refused(path)
    path.write_bytes(extra + content)
    refused(path)
