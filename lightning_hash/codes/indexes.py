"""Indexes over a database of codes: faiss where it is installed, else our own packed search."""

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_hash.functional.checks import (
    check_choice,
    check_count,
    check_database,
    check_pair,
)
from lightning_hash.functional.packed_search import PackedSearch

IndexKind = Literal["auto", "faiss", "packed"]
VALUES = 2**26  # bits that are packed at a time  # pragma: no mutate


class CodeIndex(ABC):
    """An exact index: the nearest codes, those at one distance in the order of the database.

    Attributes:
        name: what it is, for those who read the answer.
    """

    name: str

    @abstractmethod
    def nearest(self, query_codes: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Find the nearest items of each query.

        Args:
            query_codes: ``(Q, K)`` of -1/+1.
            top_k: items per query; all, where there are fewer.

        Returns:
            Distances and database rows, int64 ``(Q, min(top_k, N))`` each.

        Raises:
            ValueError: if a value is not -1 or +1, the numbers of bits differ, or ``top_k`` is
                below 1.
        """


class PackedIndex(CodeIndex):
    """Our own search, see :class:`lightning_hash.functional.packed_search.PackedSearch`.

    Args:
        codes: ``(N, K)`` of -1/+1.
    """

    name = "packed search"

    def __init__(self, codes: Tensor) -> None:
        self._search = PackedSearch(codes)

    def nearest(self, query_codes: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Find the nearest items; see :class:`CodeIndex`."""
        return self._search.nearest(query_codes, top_k)


class FaissIndex(CodeIndex):
    """faiss' ``IndexBinaryFlat`` over codes packed into bytes; its bits are filled up with zeros.

    It counts distances into buckets (``use_heap = False``), which keeps the first items of the
    database at the last distance, and is the faster of its two ways.

    Args:
        codes: ``(N, K)`` of -1/+1.

    Raises:
        ValueError: if a value is not -1 or +1, or there is no code.
        ModuleNotFoundError: if faiss is not installed.
    """

    name = "faiss IndexBinaryFlat"

    def __init__(self, codes: Tensor) -> None:
        check_database(codes)
        if find_spec("faiss") is None:
            msg = (
                "index faiss: the package is not installed; give --index packed, or install it "
                "with: pip install 'lightning-hash[faiss]'"
            )
            raise ModuleNotFoundError(msg)
        faiss: Any = import_module("faiss")
        self._like, self.size = codes[:0], len(codes)
        packed = _bytes(codes)
        self._index = faiss.IndexBinaryFlat(8 * packed.shape[1])
        self._index.use_heap = False
        self._index.add(packed)

    def nearest(self, query_codes: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Find the nearest items; see :class:`CodeIndex`."""
        check_pair(query_codes, self._like)
        check_count("top_k", top_k)
        distance, row = self._index.search(_bytes(query_codes), min(top_k, self.size))
        return torch.from_numpy(distance.astype(np.int64)), torch.from_numpy(row.astype(np.int64))


def make_index(codes: Tensor, kind: IndexKind = "auto") -> CodeIndex:
    """Make an index over a database.

    Args:
        codes: ``(N, K)`` of -1/+1, N at least 1.
        kind: ``"faiss"``, ``"packed"``, or ``"auto"``: faiss where it is installed. The answers
            are the same.

    Returns:
        The index.

    Raises:
        ValueError: if there is no such kind, a value is not -1 or +1, or there is no code.
        ModuleNotFoundError: if faiss is asked for and not installed.
    """
    check_choice("index", kind, get_args(IndexKind))
    if kind == "faiss" or (kind == "auto" and find_spec("faiss") is not None):
        return FaissIndex(codes)
    return PackedIndex(codes)


def _bytes(codes: Tensor) -> NDArray[np.uint8]:
    """Pack ``(n, K)`` into ``(n, ceil(K / 8))`` bytes."""
    step = max(1, VALUES // codes.shape[1])
    parts = [
        np.packbits((codes[start : start + step] > 0).cpu().numpy(), axis=1)
        for start in range(0, len(codes), step)
    ]
    return np.concatenate(parts or [np.zeros((0, -(-codes.shape[1] // 8)), np.uint8)])
