"""Rankings of a database by Hamming distance, as histograms and as orders."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_hash.functional.hamming import distances
from lightning_hash.functional.labels import shares_label
from lightning_hash.functional.packed import PackedRanking

# Distances that the dense ranking holds at a time: near a CPU, and enough work for a GPU.
CPU_CHUNK, GPU_CHUNK = 4_000_000, 64_000_000


class Ranking(Protocol):
    """Q queries against a database of N items of K bits."""

    def chunks(self, ranks: int) -> Iterator[slice]:
        """Cut the queries into chunks that fit into memory with ``ranks`` values per query."""

    def histograms(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Count items and relevant items at each distance, float64 ``(q, K + 1)`` each."""

    def ranked_relevance(self, rows: slice, cut: int) -> Tensor:
        """Return the relevance of the first ``cut`` items, ties by database index.

        Returns:
            float64 ``(q, cut)`` of 0/1.
        """

    def n_relevant(self, rows: slice) -> Tensor:
        """Count the relevant items of the whole database, float64 ``(q,)``."""


def make_ranking(
    query_codes: Tensor, database_codes: Tensor, query_labels: Tensor, database_labels: Tensor
) -> Ranking:
    """Rank by packed words on a CPU, by matrix products elsewhere; the values are the same.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, checked.
        database_codes: ``(N, K)`` of -1/+1, checked.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        The ranking; relevant is what shares at least one label.
    """
    on_cpu = query_codes.device.type == "cpu"
    kind = PackedRanking if on_cpu and hasattr(np, "bitwise_count") else DenseRanking
    ranking: Ranking = kind(query_codes, database_codes, query_labels, database_labels)
    return ranking


class DenseRanking:
    """A ranking by matrix products, on any device.

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
        self.query_codes, self.database = query_codes, database_codes.float()
        self.query_labels, self.database_labels = query_labels, database_labels

    def chunks(self, ranks: int) -> Iterator[slice]:
        """Cut the queries so that the distances of a chunk fit."""
        most = GPU_CHUNK if self.database.device.type == "cuda" else CPU_CHUNK
        size = max(1, most // max(1, len(self.database)))
        for start in range(0, len(self.query_codes), size):
            yield slice(start, start + size)

    def histograms(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Count items and relevant items at each distance, float64 ``(q, K + 1)`` each."""
        distance, relevant = self._distances(rows), self._relevant(rows)
        queries, bits = len(distance), self.database.shape[1]
        row = torch.arange(queries, device=distance.device, dtype=torch.int32).unsqueeze(1)
        bins = (distance + row * (bits + 1)) * 2 + relevant
        counts = torch.bincount(bins.flatten(), minlength=queries * (bits + 1) * 2)
        counts = counts.view(queries, bits + 1, 2).double()
        return counts.sum(dim=2), counts[..., 1]

    def ranked_relevance(self, rows: slice, cut: int) -> Tensor:
        """Return the relevance of the first ``cut`` items, float64 ``(q, cut)``."""
        distance, relevant = self._distances(rows), self._relevant(rows)
        items = distance.shape[1]
        if cut == items:
            order = torch.argsort(distance.to(torch.int16), dim=1, stable=True)
        else:
            # Distance and index in one key: no two are equal, so that topk has one answer.
            key = distance.long() * items + torch.arange(items, device=distance.device)
            order = torch.topk(key, cut, dim=1, largest=False, sorted=True).indices
        return relevant.gather(1, order).double()

    def n_relevant(self, rows: slice) -> Tensor:
        """Count the relevant items of the whole database, float64 ``(q,)``."""
        return self._relevant(rows).sum(dim=1).double()

    def _distances(self, rows: slice) -> Tensor:
        return distances(self.query_codes[rows].float(), self.database)

    def _relevant(self, rows: slice) -> Tensor:
        return shares_label(self.query_labels[rows], self.database_labels)
