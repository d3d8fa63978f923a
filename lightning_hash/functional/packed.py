"""A ranking by packed words: XOR, population count and a histogram per query."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Items that are worked on at a time, so that they stay in the cache.
BLOCK = 65_536  # pragma: no mutate
# Bits and labels that are packed at a time.
VALUES = 2**26  # pragma: no mutate
# Queries whose histograms, and ranks that all queries of a chunk, are held at a time.
QUERIES, RANKS = 256, 2_000_000  # pragma: no mutate


class PackedRanking:
    """A ranking on the CPU that holds 1 bit per bit and label, and no (Q, N) matrix.

    Memory: N (K + C) / 8 bytes, and 16 N for the query at hand.

    Args:
        query_codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
    """

    def __init__(
        self,
        query_codes: Tensor,
        database_codes: Tensor,
        query_labels: Tensor,
        database_labels: Tensor,
    ) -> None:
        self.size, self.bits = database_codes.shape
        self.queries = packed_words(query_codes)
        self.database = packed_words(database_codes)
        self.query_labels = packed_words(query_labels)
        self.database_labels = packed_words(database_labels)
        short = np.uint8 if self.bits < 256 else np.uint16
        self._distance: NDArray[Any] = np.empty(self.size, short)
        self._relevant = np.empty(self.size, bool)
        self._word = np.empty(min(BLOCK, self.size), np.uint64)
        self._count = np.empty(min(BLOCK, self.size), np.uint8)
        self._key = np.empty(self.size, np.uint8 if self.bits < 128 else np.int16)

    def chunks(self, ranks: int) -> Iterator[slice]:
        """Cut the queries into chunks that fit into memory with ``ranks`` values per query."""
        size = max(1, min(QUERIES, RANKS // max(1, ranks)))  # pragma: no mutate
        for start in range(0, self.queries.shape[1], size):
            yield slice(start, min(start + size, self.queries.shape[1]))

    def walk(self, rows: slice, cut: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compare some queries with all items, once.

        Args:
            rows: the queries.
            cut: ranks whose items are put in order, 0 for none.

        Returns:
            Items and relevant items at each distance, float64 ``(q, K + 1)`` each; and the
            relevance of the first ``cut`` items, ties by database index, float64 ``(q, cut)``.
        """
        counts = torch.empty(rows.stop - rows.start, self.bits + 1, 2, dtype=torch.float64)
        ordered = np.empty((rows.stop - rows.start, cut))
        for place, query in enumerate(range(rows.start, rows.stop)):
            self._look(query)
            # Sums of bytes run on vector units, shifts do not.
            np.add(self._distance, self._distance, out=self._key, dtype=self._key.dtype)
            np.add(self._key, self._relevant, out=self._key)
            found = torch.bincount(torch.from_numpy(self._key), minlength=2 * (self.bits + 1))
            found = found.view(self.bits + 1, 2)
            counts[place] = found
            if cut:
                nearest = self._nearest(found.sum(dim=1), cut)
                order = np.argsort(self._distance[nearest], kind="stable")
                ordered[place] = self._relevant[nearest[order]]
        return counts.sum(dim=2), counts[..., 1], torch.from_numpy(ordered)

    def _look(self, query: int) -> None:
        """Fill in the distances of all items to a query, and which are relevant to it."""
        for start in range(0, self.size, BLOCK):
            block = slice(start, min(start + BLOCK, self.size))
            size = block.stop - start
            word, count = self._word.view(self.database.dtype)[:size], self._count[:size]
            distance, relevant = self._distance[block], self._relevant[block]
            for number, (code, own) in enumerate(
                zip(self.database, self.queries[:, query], strict=True)
            ):
                np.bitwise_xor(code[block], own, out=word)
                if number == 0:
                    np.bitwise_count(word, out=distance)
                else:
                    np.bitwise_count(word, out=count)
                    np.add(distance, count, out=distance)
            word = self._word.view(self.database_labels.dtype)[:size]
            for number, (label, own) in enumerate(
                zip(self.database_labels, self.query_labels[:, query], strict=True)
            ):
                np.bitwise_and(label[block], own, out=word)
                if number == 0:
                    np.not_equal(word, 0, out=relevant)
                else:
                    np.logical_or(relevant, word, out=relevant)

    def _nearest(self, items: Tensor, cut: int) -> NDArray[np.int64]:
        """Return the items of the first ``cut`` ranks in the order of the database.

        Args:
            items: int64 ``(K + 1,)``, items at each distance.
            cut: at least 1.
        """
        if cut == self.size:
            return np.arange(self.size)
        radius = int(np.searchsorted(items.numpy().cumsum(), cut))
        inside = np.flatnonzero(self._distance < radius)
        at = np.flatnonzero(self._distance == radius)[: cut - len(inside)]
        return np.concatenate([inside, at])


def packed_words(values: Tensor) -> NDArray[Any]:
    """Pack ``(n, C)``, of which 1 is set, into words ``(W, n)`` of 32 bits, or 64 where C > 32."""
    items, width = values.shape
    kind, size = (np.uint32, 4) if width <= 32 else (np.uint64, 8)  # pragma: no mutate
    words = np.zeros((items, max(1, -(-width // (8 * size)))), kind)
    octets = words.view(np.uint8)
    block = max(1, min(BLOCK, VALUES // max(1, width)))  # pragma: no mutate
    for start in range(0, items, block):
        packed = np.packbits((values[start : start + block] > 0).numpy(), axis=1, bitorder="little")
        octets[start : start + block, : packed.shape[1]] = packed
    return np.ascontiguousarray(words.T)
