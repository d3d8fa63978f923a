"""Rankings of a database by Hamming distance, walked once for all measures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_hash.functional.checks import check_choice, check_ranking
from lightning_hash.functional.hamming import distances
from lightning_hash.functional.labels import shares_label
from lightning_hash.functional.options import TIES, Ties
from lightning_hash.functional.packed import PackedRanking
from lightning_hash.utils.progress import steps

# Distances that the dense ranking holds at a time: near a CPU, and enough work for a GPU.
CPU_CHUNK, GPU_CHUNK = 4_000_000, 64_000_000  # pragma: no mutate


class Ranking(Protocol):
    """Q queries against a database of N items of K bits.

    Attributes:
        bits: K.
        size: N.
    """

    bits: int
    size: int

    def chunks(self, ranks: int) -> Iterator[slice]:
        """Cut the queries into chunks that fit into memory with ``ranks`` values per query."""

    def walk(self, rows: slice, cut: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compare some queries with all items, once.

        Args:
            rows: the queries.
            cut: ranks whose items are put in order, 0 for none.

        Returns:
            Items and relevant items at each distance, float64 ``(q, K + 1)`` each; and the
            relevance of the first ``cut`` items, ties by database index, float64 ``(q, cut)``.
        """


@dataclass(frozen=True)
class RankedChunk:
    """What measures of a ranking are computed from, for some of its queries.

    Attributes:
        items: float64 ``(q, K + 1)``, items at each distance.
        hits: float64 ``(q, K + 1)``, relevant items at each distance.
        ordered: float64 ``(q, cut)`` of 0/1, the relevance of the first items with ties in the
            order of the database, as far as a measure looks; ``None`` where ties count by their
            expectation.
        size: N, the items of the database.
    """

    items: Tensor
    hits: Tensor
    ordered: Tensor | None
    size: int

    @cached_property
    def before(self) -> Tensor:
        """Items nearer than each distance, float64 ``(q, K + 1)``."""
        return running_counts(self.items) - self.items

    @cached_property
    def n_relevant(self) -> Tensor:
        """Relevant items of the whole database, float64 ``(q,)``."""
        return self.hits.sum(dim=1)

    def hits_at(self, n: int) -> Tensor:
        """Count the relevant items among the first n; by ``ties``, their expected number.

        Args:
            n: ranks to look at, at least 1; more than N is the whole database.

        Returns:
            float64 ``(q,)``.
        """
        cut = min(n, self.size)
        if self.ordered is not None:
            return self.ordered[:, :cut].sum(dim=1)
        taken = (cut - self.before).clamp(min=0).minimum(self.items)
        return (taken * (self.hits / self.items.clamp(min=1))).sum(dim=1)


def running_counts(counts: Tensor) -> Tensor:
    """Return the running sums of counts, float64 ``(q, n)``.

    They are added as integers: floating-point running sums do not repeat themselves on GPUs, and
    torch refuses them there where ``deterministic`` is set.
    """
    return counts.long().cumsum(dim=1).double()


class Measure(NamedTuple):
    """One value or row of values per query of a ranking.

    Attributes:
        values: ``RankedChunk -> (q, ...)``.
        ranks: how many first ranks it looks at, at least 1; ``None`` is the whole database.
    """

    values: Callable[[RankedChunk], Tensor]
    ranks: int | None = None


def measure(ranking: Ranking, measures: Sequence[Measure], ties: Ties = "expected") -> list[Tensor]:
    """Take several measures of one ranking, which is computed once.

    Args:
        ranking: the ranking.
        measures: what to compute.
        ties: see :class:`RankingOptions`.

    Returns:
        ``(Q, ...)`` for each measure.

    Raises:
        ValueError: if ``ties`` is unknown.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> labels = torch.tensor([[0, 1], [1, 0], [1, 0]])
        >>> ranking = make_ranking(codes[:1], codes, torch.tensor([[1, 0]]), labels)
        >>> measure(ranking, [Measure(lambda chunk: chunk.hits_at(2), 2)])
        [tensor([1.], dtype=torch.float64)]
    """
    check_choice("ties", ties, TIES)
    cut = 0
    if ties == "stable":
        cut = max(min(each.ranks or ranking.size, ranking.size) for each in measures)
    parts: list[list[Tensor]] = [[] for _ in measures]
    for rows in steps(list(ranking.chunks(cut or ranking.bits)) or [slice(0, 0)]):
        items, hits, ordered = ranking.walk(rows, cut)
        chunk = RankedChunk(items, hits, ordered if cut else None, ranking.size)
        for part, each in zip(parts, measures, strict=True):
            part.append(each.values(chunk))
    return [torch.cat(part) for part in parts]


def make_ranking(
    query_codes: Tensor, database_codes: Tensor, query_labels: Tensor, database_labels: Tensor
) -> Ranking:
    """Rank by packed words on a CPU, by matrix products elsewhere; the values are the same.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        The ranking; relevant is what shares at least one label.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or a number of rows is wrong, or the database is empty.
    """
    check_ranking(query_codes, database_codes, query_labels, database_labels)
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
        self.size, self.bits = database_codes.shape
        self.query_codes, self.database = query_codes, database_codes.float()
        self.query_labels, self.database_labels = query_labels, database_labels

    def chunks(self, ranks: int) -> Iterator[slice]:
        """Cut the queries so that the distances of a chunk fit."""
        most = GPU_CHUNK if self.database.device.type == "cuda" else CPU_CHUNK  # pragma: no mutate
        size = max(1, most // max(1, self.size))  # pragma: no mutate
        for start in range(0, len(self.query_codes), size):
            yield slice(start, start + size)

    def walk(self, rows: slice, cut: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compare some queries with all items; see :class:`Ranking`."""
        distance = distances(self.query_codes[rows].float(), self.database)
        relevant = shares_label(self.query_labels[rows], self.database_labels)
        queries, bins = len(distance), self.bits + 1
        row = torch.arange(queries, device=distance.device, dtype=torch.int32).unsqueeze(1)
        keys = (distance + row * bins) * 2 + relevant
        counts = torch.bincount(keys.flatten(), minlength=queries * bins * 2)
        counts = counts.view(queries, bins, 2).double()
        if cut == 0:
            order = distance.new_empty(queries, 0, dtype=torch.int64)
        elif cut == self.size:
            order = torch.argsort(distance.to(torch.int16), dim=1, stable=True)
        else:
            # Distance and index in one key: no two are equal, so that topk has one answer.
            key = distance.long() * self.size + torch.arange(self.size, device=distance.device)
            order = torch.topk(key, cut, dim=1, largest=False, sorted=True).indices
        return counts.sum(dim=2), counts[..., 1], relevant.gather(1, order).double()
