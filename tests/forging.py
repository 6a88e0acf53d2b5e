"""Archives that tabdl would never write: the tools of the attacks on saved models."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile

import numpy as np
import pytest

from tabdl.archive import read_archive
from tabdl.errors import ArtifactError

MANIFEST = {"class": "Mine", "state": {"words": ["Zürich", "\ud800", "a/b"], "loss": [0.5, float("inf")], "seed": None}}
ARRAYS = {
    "weights/block_0/kernel": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "weights/block_0/bias": np.zeros(4, np.float32),
    "encoder/known": np.array([True, False]),
    "encoder/scale": np.array(2.5),
    "encoder/codes": np.arange(6, dtype=np.int32),
    "empty": np.empty((0, 5)),
}


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, contents, compression=zipfile.ZIP_STORED, **fields):
    """A zip with every header as the writer has it, except for `fields`; contents may be (name, bytes) pairs with repeats."""
    pairs = contents.items() if isinstance(contents, dict) else contents
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in pairs:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr, info.compress_type = 0o100644 << 16, compression
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, content)


def forge(path, change, **fields):
    """The archive with its JSON manifest and members changed by `change(manifest, members)`, checksums of the zip correct."""
    contents = members(path)
    manifest = json.loads(contents["manifest.json"])
    change(manifest, contents)
    contents["manifest.json"] = json.dumps(manifest).encode()
    pack(path, contents, **fields)


def sign(manifest, contents, name, content):
    contents[f"{name}.npy"] = content
    manifest["arrays"][name]["sha256"] = hashlib.sha256(content).hexdigest()


def same(content):
    manifest, arrays = content
    return (
        json.dumps(manifest) == json.dumps(MANIFEST)
        and list(arrays) == list(ARRAYS)
        and all(
            np.array_equal(arrays[k], v) and arrays[k].dtype == v.dtype and arrays[k].shape == v.shape for k, v in ARRAYS.items()
        )
    )


def refused(path, match="expected"):
    """Reading ends in ArtifactError, at once, with a message that names the file and a remedy."""
    start = time.perf_counter()
    with pytest.raises(ArtifactError, match=match) as caught:
        read_archive(path)
    assert time.perf_counter() - start < 1
    assert str(path) in str(caught.value)
    assert "; " in str(caught.value)
    return True


def boundaries(content):
    """Offsets where a member, its data, or a zip header starts or ends."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    data = [info.header_offset + 30 + len(info.filename) for info in infos]
    ends = [start + info.compress_size for start, info in zip(data, infos, strict=True)]
    return sorted({0, directory, len(content) - 22, *data, *ends, *(info.header_offset for info in infos)})


def damaged(content, cuts, flips):
    rng = np.random.default_rng(5)
    for offset in [*boundaries(content), *rng.integers(0, len(content), cuts)]:
        yield content[:offset]
    for offset in rng.integers(0, len(content), flips):
        flipped = bytearray(content)
        flipped[offset] ^= int(rng.integers(1, 256))
        yield bytes(flipped)
