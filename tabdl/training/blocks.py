"""Training rows that stream: blocks of one shape, shuffled in bounded memory, made while the one before is trained on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
SIZE = 65_536  # rows of a block
POOL = 3  # blocks' worth of rows that a block is drawn from


@dataclass(frozen=True)
class Blocks:
    """Where blocks come from. rows: training rows in one pass; size: rows of a block.

    pieces: seed -> one pass, each row once, as arrays (rows, columns), (rows,) by name. What comes out depends on the seed alone.
    """

    rows: int
    size: int
    pieces: Callable[[int], Iterator[Arrays]]

    @property
    def in_pass(self) -> float:
        """How many blocks, not always whole, a pass has."""
        return self.rows / self.size

    def stream(self, seed: int) -> Iterator[Arrays]:
        """Endless blocks, pass after pass: the last block of a pass is filled up with the first rows of the next one."""
        pool, left = _Pool(self.size, np.random.default_rng(seed)), 0
        for number in count():
            for piece in self.pieces(int(pool.rng.integers(2**31))):
                pool.add(piece)
                if left and pool.rows >= self.size:
                    yield pool.draw(left)
                    left = 0
                while pool.rows >= POOL * self.size:
                    yield pool.draw()
            while pool.rows >= self.size:
                yield pool.draw(left)
                left = 0
            left = pool.rows
            if number == 0 and not pool.arrays:
                raise ValueError("expected pieces with rows, received none")


class _Pool:
    """Rows that wait to be drawn, the oldest first."""

    def __init__(self, size: int, rng: np.random.Generator):
        self.size, self.rng, self.rows = size, rng, 0
        self.arrays: Arrays = {}

    def add(self, piece: Arrays) -> None:
        rows = len(piece["weight"])
        room = len(self.arrays["weight"]) if self.arrays else 0
        if self.rows + rows > room:
            more = max(POOL * self.size, room) + rows
            self.arrays = {k: _grown(self.arrays.get(k), self.rows, more, v) for k, v in piece.items()}
        for name, values in piece.items():
            self.arrays[name][self.rows : self.rows + rows] = values
        self.rows += rows

    def draw(self, first: int = 0) -> Arrays:
        """A block: the first rows, and others at random; rows from the end take the places that become free."""
        chosen = np.arange(self.size)
        chosen[first:] = first + self.rng.permutation(self.rows - first)[: self.size - first]
        end = self.rows - self.size
        stays = np.ones(self.rows, bool)
        stays[chosen] = False
        free, moved = np.flatnonzero(~stays[:end]), end + np.flatnonzero(stays[end:])
        block = {}
        for name, values in self.arrays.items():
            block[name] = values[chosen]
            values[free] = values[moved]
        self.rows = end
        return block


def _grown(old: np.ndarray | None, rows: int, more: int, like: np.ndarray) -> np.ndarray:
    """Room for `more` rows like these; the `rows` that are there stay."""
    new = np.empty((more, *like.shape[1:]), like.dtype)
    if old is not None:
        new[:rows] = old[:rows]
    return new


@contextmanager
def ahead(blocks: Generator[Any, None, None]) -> Iterator[Callable[[int], Any]]:
    """Function that gives the next block, which a thread makes meanwhile; the first one is there when this returns."""
    with closing(blocks), ThreadPoolExecutor(1, "tabdl-blocks") as thread:
        waiting = [thread.submit(next, blocks)]
        waiting[0].result()

        def give(epoch: int) -> Any:
            block = waiting.pop().result()
            waiting.append(thread.submit(next, blocks))
            return block

        yield give
