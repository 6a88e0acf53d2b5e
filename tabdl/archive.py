"""One zip file that holds a JSON manifest and NumPy arrays: written atomically, verified to the last byte before use.

Format 1: `manifest.json` (deflated), then one stored `<name>.npy` an array, then the zip directory; no comments, no extra
fields, constant dates and permissions. Any zip tool and `numpy.load` can read it. The reader accepts exactly what the writer
writes: it rebuilds every header from name, sizes and checksum and compares the bytes, so links, overlapping or encrypted
members, appended data and flipped bits have no room. The manifest gives dtype, shape and sha256 of each array; the .npy
header that follows from them is compared as well, never parsed. The memory it takes is bounded by the size of the file.

Later formats keep this container, so that an older reader can say that it is too old.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tabdl.errors import ArtifactError

FORMAT = 1
MANIFEST = "manifest.json"
MAX_FILE = 2**32 - 2**16  # bytes; a larger zip needs other headers
MAX_MANIFEST = 64 * 2**20  # bytes, inflated
MAX_RATIO = 100  # inflated / deflated bytes of a manifest above 1 MiB; real ones reach about 10
MAX_MEMBERS = 20_000
MAX_NAME = 240
MAX_AXES = 8
DTYPES = ("|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")

REMEDY = "copy the file again from its source, or save the model again"
STORED, DEFLATED = 0, 8
LOCAL, CENTRAL, END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
JANUARY_1980 = 33  # the first day that zip knows
REGULAR_FILE = 0o100644 << 16
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")


@dataclass(frozen=True)
class Member:
    """One file of the zip, with every fact that its two headers hold."""

    name: str
    method: int
    crc: int
    packed: int  # bytes in the zip
    size: int  # bytes after inflating
    start: int  # offset of the local header

    @property
    def facts(self) -> tuple[int, ...]:
        return 20, 0, self.method, 0, JANUARY_1980, self.crc, self.packed, self.size, len(self.name), 0

    @property
    def local(self) -> bytes:
        return LOCAL.pack(b"PK\x03\x04", *self.facts) + self.name.encode("ascii")

    @property
    def central(self) -> bytes:
        made_by = 3 << 8 | 20  # Unix, zip 2.0
        head = CENTRAL.pack(b"PK\x01\x02", made_by, *self.facts, 0, 0, 0, REGULAR_FILE, self.start)
        return head + self.name.encode("ascii")

    @property
    def stop(self) -> int:
        return self.start + LOCAL.size + len(self.name) + self.packed


def write_archive(path: str | os.PathLike[str], manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write `manifest` (what JSON can say, without the keys "format" and "arrays") and `arrays` to `path`, or change nothing."""
    if taken := {"format", "arrays"} & set(manifest):
        raise ArtifactError(f"a manifest cannot have the keys {sorted(taken)}, the archive sets them; choose other names")
    entries, contents = {}, {}
    for name, array in arrays.items():
        contents[_checked_name(f"{name}.npy")], entries[name] = _npy(name, array)
    text = json.dumps({"format": FORMAT, **manifest, "arrays": entries}, separators=(",", ":")).encode("ascii")
    if len(text) > MAX_MANIFEST:
        raise ArtifactError(f"a manifest can have {MAX_MANIFEST:,} bytes, this one has {len(text):,}; shorten the vocabularies")
    method, packed = _deflate(text)
    members = [Member(MANIFEST, method, zlib.crc32(text), len(packed), len(text), 0)]
    for name, chunks in contents.items():
        size = sum(map(len, chunks))
        members.append(Member(name, STORED, _crc(chunks), size, size, members[-1].stop))
    directory = _directory(members)
    if (size := members[-1].stop + len(directory)) > MAX_FILE or len(members) > MAX_MEMBERS:
        raise ArtifactError(
            f"a saved model can have {MAX_FILE:,} bytes in {MAX_MEMBERS:,} members, this one would have {size:,} bytes in "
            f"{len(members):,}; choose a smaller network"
        )
    with _replacing(Path(path)) as file:
        for member, chunks in zip(members, ([packed], *contents.values()), strict=True):
            file.writelines([member.local, *chunks])
        file.write(directory)


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Verify the whole of `path`, then give the manifest and the arrays that were written."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"expected a saved model at '{path}', found no such file; check the path")
    if not path.is_file():  # opening a pipe would wait for ever
        raise ArtifactError(f"expected '{path}' to be a file made by tabdl.save, found a folder or a device; check the path")
    try:
        with path.open("rb") as file:
            members = _read_directory(file)
            manifest = _read_manifest(file, members[0])
            entries = _checked_entries(manifest.pop("arrays", None), members[1:])
            return manifest, {name: _read_array(file, *entry) for name, entry in entries.items()}
    except ArtifactError as error:
        raise ArtifactError(f"'{path}': {error}") from None


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file, version 1.0, C order."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}".encode("ascii")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


# ---- writing


def _npy(name: str, array: np.ndarray) -> tuple[list[bytes | memoryview], dict[str, Any]]:
    array = np.asarray(array, order="C")
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    dtype, shape = array.dtype.str, array.shape
    if dtype not in DTYPES or len(shape) > MAX_AXES:
        raise ArtifactError(
            f"array {name!r} should hold booleans or numbers on at most {MAX_AXES} axes, received dtype {array.dtype} of shape "
            f"{shape}; convert it, text for example to UTF-8 bytes and offsets"
        )
    chunks = [npy_header(dtype, shape), array.reshape(-1).view(np.uint8).data]
    digest = hashlib.sha256(chunks[0])
    digest.update(chunks[1])
    return chunks, {"dtype": dtype, "shape": list(shape), "sha256": digest.hexdigest()}


def _deflate(text: bytes) -> tuple[int, bytes]:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflater.compress(text) + deflater.flush()
    if len(text) > _most_inflated(len(packed)):  # too good to be accepted by the reader
        return STORED, text
    return DEFLATED, packed


def _crc(chunks: list[Any]) -> int:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc


def _directory(members: list[Member]) -> bytes:
    entries = b"".join(member.central for member in members)
    return entries + END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(entries), members[-1].stop, 0)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well: whoever looks sees the old one or the new one, whole."""
    path = Path(os.path.realpath(path))  # a link keeps pointing where it points
    if not path.parent.is_dir():
        raise FileNotFoundError(f"expected the folder '{path.parent}' to exist, found none; create it first")
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name outlives a power cut only when the folder is written as well
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# ---- reading


def _most_inflated(packed: int) -> int:
    return min(MAX_MANIFEST, max(2**20, MAX_RATIO * packed))


def _checked_name(name: str) -> str:
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise ArtifactError(f"expected plain member names such as 'weights/kernel.npy', received {name[:80]!r}; {REMEDY}")
    return name


def _read_directory(file: BinaryIO) -> list[Member]:
    """The members, after every byte of the zip that is not content has been found as the writer would write it."""
    size = file.seek(0, os.SEEK_END)
    if not END.size <= size <= MAX_FILE:
        raise ArtifactError(f"expected a saved model of {END.size} to {MAX_FILE:,} bytes, received {size:,}; {REMEDY}")
    file.seek(size - END.size)
    mark, _, _, _, count, length, start, _ = END.unpack(file.read(END.size))
    if mark != b"PK\x05\x06" or start + length + END.size != size:
        raise ArtifactError(f"expected a zip file written by tabdl.save, the end of this one is cut off or damaged; {REMEDY}")
    if not 1 <= count <= MAX_MEMBERS or length > count * (CENTRAL.size + MAX_NAME):
        raise ArtifactError(f"expected 1 to {MAX_MEMBERS:,} members, received {count:,} in {length:,} bytes; {REMEDY}")
    file.seek(start)
    raw = file.read(size - start)
    members = _members(raw[: -END.size], count)
    (name, times), *_ = Counter(member.name for member in members).most_common(1)
    if times > 1:
        raise ArtifactError(f"expected every member once, received {name!r} {times} times; {REMEDY}")
    if members[0].name != MANIFEST:
        raise ArtifactError(f"expected {MANIFEST!r} as the first member, received {members[0].name!r}; {REMEDY}")
    if members[-1].stop != start or _directory(members) != raw or not all(_is_canonical(file, member) for member in members):
        raise ArtifactError(
            "expected a zip file exactly as tabdl.save writes it, received one that is damaged, or was packed by another tool, "
            f"or holds links or encrypted members; {REMEDY}"
        )
    return members


def _members(directory: bytes, count: int) -> list[Member]:
    members, at, start = [], 0, 0
    for _ in range(count):
        if at + CENTRAL.size > len(directory):
            raise ArtifactError(f"expected {count:,} members, the zip directory ends after {len(members):,}; {REMEDY}")
        head = CENTRAL.unpack_from(directory, at)
        method, crc, packed, size, length = head[4], head[7], head[8], head[9], head[10]
        at += CENTRAL.size + length
        name = _checked_name(directory[at - length : at].decode("utf-8", "replace"))
        members.append(Member(name, method, crc, packed, size, start))
        start = members[-1].stop
    return members


def _is_canonical(file: BinaryIO, member: Member) -> bool:
    file.seek(member.start)
    methods = (STORED, DEFLATED) if member.name == MANIFEST else (STORED,)
    stored_whole = member.method == DEFLATED or member.packed == member.size
    return member.method in methods and stored_whole and file.read(len(member.local)) == member.local


def _read_manifest(file: BinaryIO, member: Member) -> dict[str, Any]:
    """The manifest without its key "format", once that is known to be ours."""
    if member.size > (most := _most_inflated(member.packed)):
        raise ArtifactError(f"expected a manifest of at most {most:,} bytes, this one inflates to {member.size:,}; {REMEDY}")
    file.seek(member.stop - member.packed)
    text = file.read(member.packed)
    try:
        if member.method == DEFLATED:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            text = inflater.decompress(text, member.size + 1)
            if not inflater.eof or inflater.unused_data:
                raise zlib.error
        if len(text) != member.size or zlib.crc32(text) != member.crc:
            raise zlib.error
    except zlib.error:
        raise ArtifactError(f"expected the checksum of {MANIFEST!r} to match, its bytes are damaged; {REMEDY}") from None
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or type(number := manifest.pop("format", None)) is not int or number < 1:
        raise ArtifactError(f"expected {MANIFEST!r} to be a JSON object with a format number, received something else; {REMEDY}")
    if number > FORMAT:
        raise ArtifactError(
            f"expected a model in format {FORMAT} or older, received format {number} from a newer tabdl; "
            "upgrade to read it: pip install --upgrade tabdl"
        )
    return manifest


def _checked_entries(entries: Any, members: list[Member]) -> dict[str, tuple[Member, str, tuple[int, ...], str]]:
    """Array name -> (member, dtype, shape, sha256), once names, dtypes, shapes and sizes are known to agree."""
    entries = entries if isinstance(entries, dict) else {}
    by_name = {member.name.removesuffix(".npy"): member for member in members if member.name.endswith(".npy")}
    if set(by_name) != set(entries) or len(by_name) != len(members):
        stray = sorted({member.name for member in members} ^ {f"{name}.npy" for name in entries})[:3]
        raise ArtifactError(f"expected exactly the members that the manifest lists, {stray} are only in one of both; {REMEDY}")
    return {name: _checked_entry(name, entries[name], member) for name, member in by_name.items()}


def _checked_entry(name: str, entry: Any, member: Member) -> tuple[Member, str, tuple[int, ...], str]:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, digest = entry.get("dtype"), _shape(entry.get("shape")), entry.get("sha256")
    if dtype not in DTYPES or shape is None or not isinstance(digest, str):
        raise ArtifactError(
            f"expected array {name!r} to have a dtype of {', '.join(DTYPES)}, a shape that fits the file and a sha256, received "
            f"dtype {str(dtype)[:40]!r} and shape {str(entry.get('shape'))[:80]}; {REMEDY}"
        )
    expected = len(npy_header(dtype, shape)) + prod(shape) * int(dtype[2:])
    if member.size != expected:
        raise ArtifactError(
            f"expected {expected:,} bytes for array {name!r} of shape {shape}, received {member.size:,}; {REMEDY}"
        )
    return member, dtype, shape, digest


def _shape(shape: Any) -> tuple[int, ...] | None:
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
        return None
    return tuple(shape) if prod(n or 1 for n in shape) <= MAX_FILE else None  # NumPy refuses (0, 2**60, 2**60)


def _read_array(file: BinaryIO, member: Member, dtype: str, shape: tuple[int, ...], digest: str) -> np.ndarray:
    header = npy_header(dtype, shape)
    file.seek(member.stop - member.packed)
    found = file.read(len(header))
    array = np.empty(shape, dtype)
    raw = array.reshape(-1).view(np.uint8).data
    whole = file.readinto(raw) == len(raw)  # type: ignore[attr-defined]
    received = hashlib.sha256(found)
    received.update(raw)
    if not whole or found != header or received.hexdigest() != digest or _crc([found, raw]) != member.crc:
        raise ArtifactError(f"expected the checksum of {member.name!r} to match its bytes, they are damaged; {REMEDY}")
    return array
