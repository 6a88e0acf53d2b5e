"""Blocks of a long table: of one shape, each row once a pass, made ahead."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tabdl.errors import SchemaError
from tabdl.training import blocks


def pieces_of(rows: int, piece: int = 7) -> Any:
    def pieces(seed: int) -> Any:
        for start in range(0, rows, piece):
            at = np.arange(start, min(start + piece, rows))
            yield {"at": at, "weight": np.ones(len(at), np.float32)}

    return pieces


@pytest.mark.parametrize("rows", [1_000, 64, 40, 129])
def test_blocks_have_one_shape_and_hold_each_row_once_a_pass(rows):
    source = blocks.Blocks(rows, 64, pieces_of(rows))
    stream = source.stream(0)
    seen = []
    for passes in (1, 2, 3):
        while len(seen) < passes * rows:
            block = next(stream)
            assert {k: v.shape for k, v in block.items()} == {"at": (64,), "weight": (64,)}
            seen += block["at"].tolist()
        counts = np.bincount(seen, minlength=rows)
        assert counts.min() >= passes, "each row should have come as often as there were passes"
        assert len(seen) - passes * rows < 64
    again = source.stream(0)
    np.testing.assert_array_equal(next(again)["at"], seen[:64])
    assert rows <= 64 or next(source.stream(1))["at"].tolist() != seen[:64]


def test_a_block_is_drawn_from_a_bounded_pool():
    stream = blocks.Blocks(5_000, 64, pieces_of(5_000)).stream(0)
    spans = [np.ptp(next(stream)["at"]) for _ in range(60)]
    assert min(spans) > 1.5 * 64, "in-order rows should be mixed with later ones"
    pool = stream.gi_frame.f_locals["pool"]
    assert len(pool.arrays["weight"]) <= blocks.POOL * 64 + 7


def test_pieces_without_rows_are_an_error_not_an_endless_loop():
    with pytest.raises(ValueError, match="received none"):
        next(blocks.Blocks(10, 64, pieces_of(0)).stream(0))


def test_the_next_block_is_made_ahead_and_its_failure_arrives():
    def source() -> Any:
        yield from (1, 2)
        raise SchemaError("made up")

    with blocks.ahead(source()) as give:
        assert [give(0), give(1)] == [1, 2]
        with pytest.raises(SchemaError, match="made up"):
            give(2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tabdl-blocks")]
