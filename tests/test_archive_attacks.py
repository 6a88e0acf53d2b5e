"""Malice: every checksum of the zip is right, the content is not."""

from __future__ import annotations

import io
import stat
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from forging import ARRAYS, MANIFEST, forge, members, pack, refused, sign

from tabdl.archive import npy_header, write_archive


@pytest.fixture
def path(tmp_path):
    write_archive(tmp_path / "model.tabdl", MANIFEST, ARRAYS)
    return tmp_path / "model.tabdl"


def test_wrong_sha256(path):
    def change(manifest, contents):
        contents["weights/block_0/bias.npy"] = contents["weights/block_0/bias.npy"][:-1] + b"\x01"

    forge(path, change)
    refused(path, r"checksum of 'weights/block_0/bias\.npy'")


def test_unknown_and_missing_members(path):
    contents = members(path)
    pack(path, contents | {"evil.py": b"import os"})
    refused(path, r"\['evil.py'\] are only in one of both")
    pack(path, contents | {"evil.npy": contents["empty.npy"]})
    refused(path, r"\['evil.npy'\] are only in one of both")
    pack(path, {name: content for name, content in contents.items() if name != "empty.npy"})
    refused(path, r"\['empty.npy'\] are only in one of both")
    pack(path, {name: content for name, content in contents.items() if name != "manifest.json"})
    refused(path, "expected 'manifest.json' as the first member")


def test_duplicate_members(path):
    contents = list(members(path).items())
    with pytest.warns(UserWarning, match="Duplicate name"):
        pack(path, [*contents, contents[-1]])
    refused(path, "expected every member once, received 'empty.npy' 2 times")
    with pytest.warns(UserWarning, match="Duplicate name"):
        pack(path, [contents[0], *contents])
    refused(path, "expected every member once, received 'manifest.json' 2 times")


@pytest.mark.parametrize(
    "name", ["../../evil.npy", "/etc/evil.npy", "weights/../../evil.npy", "C:\\evil.npy", "~/evil.npy", "ü.npy"]
)
def test_names_that_leave_the_archive(path, name):
    pack(path, members(path) | {name: b""})
    refused(path, "expected plain member names")


def test_names_that_differ_between_headers(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"empty.npy", b"emptY.npy", 1))
    refused(path, "exactly as tabdl.save writes it")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFREG | 0o4755, stat.S_IFIFO | 0o644])
def test_links_folders_and_devices(path, mode):
    pack(path, members(path), external_attr=mode << 16)
    refused(path, "links")


@pytest.mark.parametrize("field", [{"extra": b"\x99\x99\x02\x00ab"}, {"comment": b"run me"}, {"create_system": 0}])
def test_extra_fields_and_comments(path, field):
    pack(path, members(path), **field)
    refused(path)


def test_folder_entry(path):
    pack(path, members(path) | {"weights/": b""})
    refused(path, "expected plain member names")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_arrays(path, compression):
    pack(path, members(path), compression)
    refused(path, "exactly as tabdl.save writes it")


def test_encrypted_members(path):
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    refused(path, "encrypted")


def test_zip_bomb_in_the_manifest(tmp_path):
    path = tmp_path / "bomb"
    pack(path, {"manifest.json": b'{"format": 1, "arrays": {}, "x": "' + b"0" * 40_000_000 + b'"}'}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 50_000
    refused(path, "expected a manifest of at most .* this one inflates to 40,000")


def test_zip_bomb_that_lies_about_its_size(tmp_path):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflater.compress(b" " * 100_000_000) + deflater.flush()
    facts = (20, 0, 8, 0, 33, 0, len(packed), 1000, 13, 0)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *facts) + b"manifest.json" + packed
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 788, *facts, 0, 0, 0, 0o100644 << 16, 0) + b"manifest.json"
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    (tmp_path / "bomb").write_bytes(local + central + end)
    refused(tmp_path / "bomb", "checksum of 'manifest.json'")


def test_overlapping_members(path):
    """Two directory entries that share one member's bytes: the way to a bomb without recursion."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first, last = archive.infolist()[1], archive.infolist()[-1]
    at = content.rindex(last.filename.encode()) - 4
    content[at : at + 4] = struct.pack("<L", first.header_offset)
    path.write_bytes(content)
    refused(path, "exactly as tabdl.save writes it")


def test_many_directory_entries(tmp_path):
    (tmp_path / "a").write_bytes(bytes(50) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 50, 0, 0))
    refused(tmp_path / "a", "expected 1 to 20,000 members, received 65,535")


@pytest.mark.parametrize(
    "shape", [[2**33, 2**33], [2**31], [0, 2**33, 2**33], [10**400], [-1, -12], [12.0], [True], "12", None, [1] * 9]
)
def test_oversize_and_senseless_shapes(path, shape):
    forge(path, lambda manifest, contents: manifest["arrays"]["weights/block_0/kernel"].update(shape=shape))
    refused(path, "array 'weights/block_0/kernel'")


@pytest.mark.parametrize(
    "dtype", ["|O", "O", "<U5", "<c8", "|V4", ">f4", "<f16", "f4", ["<f4"], [["x", "<f4"]], None, "|O8" * 99]
)
def test_dtypes_that_are_no_plain_numbers(path, dtype):
    forge(path, lambda manifest, contents: manifest["arrays"]["weights/block_0/kernel"].update(dtype=dtype))
    refused(path, "array 'weights/block_0/kernel'")


@pytest.mark.parametrize("entries", [None, [], {}, "x", dict.fromkeys(ARRAYS)])
def test_manifest_without_its_entries(path, entries):
    forge(path, lambda manifest, contents: manifest.update(arrays=entries))
    refused(path)


def pickled_array():
    buffer = io.BytesIO()
    np.save(buffer, np.array([print, "x"], object), allow_pickle=True)
    return buffer.getvalue()


def huge_header(dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({2**33},), }}".encode().ljust(5_000_000)
    return b"\x93NUMPY\x02\x00" + struct.pack("<L", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [pickled_array(), huge_header(), huge_header("|O"), b"\x93NUMPY\x01\x00\xff\xff", b"", b"x" * 176],
    ids=["objects", "huge header", "huge header of objects", "cut header", "empty", "no npy"],
)
def test_npy_headers_are_never_parsed(path, content):
    forge(path, lambda manifest, contents: sign(manifest, contents, "weights/block_0/kernel", content))
    refused(path, r"weights/block_0/kernel")


def test_npy_header_that_contradicts_the_manifest(path):
    values = np.linspace(-1, 1, 12, dtype="<f4").tobytes()
    for header in (npy_header("<f4", (4, 3)), npy_header("<i4", (3, 4)), npy_header("|O4", (3, 4))):
        forge(path, lambda m, contents, header=header: sign(m, contents, "weights/block_0/kernel", header + values))
        refused(path, "checksum of 'weights/block_0/kernel")


AUDIT = """
import sys
from tabdl.archive import ArtifactError, read_archive

def read(path):
    try:
        read_archive(path)
        return "read"
    except ArtifactError:
        return "refused"

paths, seen = sys.argv[1:], []
watched = ("exec", "compile", "import", "marshal", "pickle", "ctypes", "code.__new__", "function.__new__", "subprocess", "socket",
           "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir", "shutil")
read(paths[0])  # codecs are imported on first use
sys.addaudithook(lambda event, values: seen.append((event, str(values)[:200])) if event.startswith(watched) else None)
print(*map(read, paths), seen)
compile("1", "the hook is alive", "eval")
print(len(seen) > 0)
"""


def test_reading_executes_nothing(path, tmp_path):
    pwn = f"__import__('os').system('touch {tmp_path / 'pwned'}')"
    write_archive(tmp_path / "texts", {"class": pwn, "state": {pwn: [pwn, "\x80\x04cos\nsystem\n."]}}, ARRAYS)
    objects = tmp_path / "objects"
    objects.write_bytes(path.read_bytes())
    forge(objects, lambda manifest, contents: sign(manifest, contents, "weights/block_0/kernel", pickled_array()))
    paths = [str(path), str(tmp_path / "texts"), str(objects)]
    run = subprocess.run([sys.executable, "-c", AUDIT, *paths], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "read read refused []\nTrue\n"
    assert not (tmp_path / "pwned").exists()
