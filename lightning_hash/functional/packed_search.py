"""The nearest codes of a database, by packed words: XOR, population count, and a limit."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_hash.functional.checks import check_count, check_database, check_pair
from lightning_hash.functional.packed import packed_words

# Items that all queries are compared with before the next are loaded, so that they stay in the
# cache of a core.
BLOCK = 32_768  # pragma: no mutate
# Items of a query that are held until they are sorted: SLACK times those wanted, and MORE.
SLACK, MORE = 2, 32  # pragma: no mutate


_Found = tuple[NDArray[Any], NDArray[np.int64]]  # distances and rows, nearest first


class PackedSearch:
    """An exact search for the nearest codes on the CPU.

    Items at one distance are in the order of the database. Memory: N K / 8 bytes, and what is
    found. A block of items is compared with all queries; of a block only the items nearer than the
    farthest that a query has found so far are looked at.

    Args:
        database_codes: ``(N, K)`` of -1/+1, any real dtype, N at least 1.

    Raises:
        ValueError: if a value is not -1 or +1, or there is no code.

    Example:
        >>> search = PackedSearch(torch.tensor([[1, 1], [1, -1], [-1, -1]]))
        >>> search.nearest(torch.tensor([[1, -1]]), top_k=2)
        (tensor([[0, 1]]), tensor([[1, 0]]))
    """

    def __init__(self, database_codes: Tensor) -> None:
        check_database(database_codes)
        self.size, self.bits = database_codes.shape
        self._like = database_codes[:0]
        self.database = packed_words(database_codes)

    def nearest(self, query_codes: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Find the nearest items of each query, on one thread.

        Threads of Python would wait for each other: a step over a block takes 6 to 12
        microseconds, and to hand the interpreter over as long.

        Args:
            query_codes: ``(Q, K)`` of -1/+1.
            top_k: items per query; all, where there are fewer.

        Returns:
            Distances int64 ``(Q, k)`` in [0, K], not falling, and database rows int64 ``(Q, k)``,
            with k = min(top_k, N).

        Raises:
            ValueError: if a value is not -1 or +1, the numbers of bits differ, or ``top_k`` is
                below 1.
        """
        check_pair(query_codes, self._like)
        check_count("top_k", top_k)
        found = self._look(packed_words(query_codes), min(top_k, self.size))
        shape = (len(found), min(top_k, self.size))
        distance, row = (np.array([each[i] for each in found], np.int64) for i in (0, 1))
        return torch.from_numpy(distance.reshape(shape)), torch.from_numpy(row.reshape(shape))

    def _look(self, queries: NDArray[Any], top: int) -> list[_Found]:
        """Return the nearest items of each query."""
        small = np.uint8 if self.bits < 256 else np.uint16
        size = min(BLOCK, self.size)
        word = np.empty(size, self.database.dtype)
        distance, count = np.empty(size, small), np.empty(size, np.uint8)
        found = [_Nearest(top) for _ in range(queries.shape[1])]
        for start in range(0, self.size, BLOCK):
            block = self.database[:, start : start + BLOCK]
            here = slice(0, block.shape[1])
            for query, best in enumerate(found):
                for number, (code, own) in enumerate(zip(block, queries[:, query], strict=True)):
                    np.bitwise_xor(code, own, out=word[here])
                    if number == 0:
                        np.bitwise_count(word[here], out=distance[here])
                    else:
                        np.bitwise_count(word[here], out=count[here])
                        np.add(distance[here], count[here], out=distance[here])
                best.add(distance[here], start)
        return [each.sorted() for each in found]


class _Nearest:
    """The nearest items of one query, while blocks of the database come one behind the other.

    Args:
        top: how many are wanted.
    """

    def __init__(self, top: int) -> None:
        self.top, self.held = top, 0
        self.parts: list[_Found] = []
        # Items at least so far away cannot be among them; None before there are enough.
        self.limit: Any = None

    def add(self, distance: NDArray[Any], start: int) -> None:
        """Look at the distances of a block that begins at a row of the database."""
        if self.limit is None:
            rows = _first(distance, self.top)
        elif np.minimum.reduce(distance) < self.limit:  # a fifth of the time of the comparison
            rows = (distance < self.limit).nonzero()[0]
        else:
            return
        self.parts.append((distance[rows], start + rows))
        self.held += len(rows)
        # To sort at every block would take as long as all distances do.
        if self.held >= self.top and (self.limit is None or self.held > SLACK * self.top + MORE):
            self.sorted()

    def sorted(self) -> _Found:
        """Return what was found so far, nearest first, and keep no more than that."""
        found = _nearest(self.parts, self.top)
        self.parts, self.held = [found], len(found[0])
        if self.held == self.top:  # at the same distance the earlier item stays
            self.limit = found[0][-1]
        return found


def _first(distance: NDArray[Any], top: int) -> NDArray[np.int64]:
    """Return the rows that may be among the ``top`` nearest of a block, in its order."""
    if len(distance) <= top:
        return np.arange(len(distance))
    return np.flatnonzero(distance <= np.partition(distance, top - 1)[top - 1])


def _nearest(parts: list[_Found], top: int) -> _Found:
    """Join what was found in one part of the database after the other, at most ``top`` items."""
    distance, row = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    first = np.argsort(distance, kind="stable")[:top]
    return distance[first], row[first]
