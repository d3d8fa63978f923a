"""Where an item of a database stands in the rankings of queries."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_hash.functional.hamming import distances
from lightning_hash.functional.ranking import Measure, make_ranking, measure, running_counts


def distance_counts(query_codes: Tensor, database_codes: Tensor) -> Tensor:
    """Count the items at each Hamming distance of each query, in chunks of the database.

    Args:
        query_codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1.

    Returns:
        float64 ``(Q, K + 1)``.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value or a shape is wrong, or the database is empty.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> distance_counts(codes[:1], codes)
        tensor([[1., 1., 1.]], dtype=torch.float64)
    """
    labels = (codes.new_ones(len(codes), 1) for codes in (query_codes, database_codes))
    ranking = make_ranking(query_codes, database_codes, *labels)
    return measure(ranking, [Measure(lambda chunk: chunk.items)])[0]


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Q queries and the N items that they retrieve from, compared once.

    Attributes:
        query_codes: ``(Q, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        codes: ``(N, K)`` of -1/+1, of the items, by rising index.
        index: int64 ``(N,)``, the items' own numbers.
        counts: float64 ``(Q, K + 1)``, items at each distance.
    """

    query_codes: Tensor
    query_labels: Tensor
    codes: Tensor
    index: Tensor
    counts: Tensor

    @classmethod
    def of(
        cls, query_codes: Tensor, query_labels: Tensor, codes: Tensor, index: Tensor
    ) -> "Retrieval":
        """Compare the queries with all items.

        Args:
            query_codes: ``(Q, K)`` of -1/+1.
            query_labels: ``(Q, C)`` of 0/1.
            codes: ``(N, K)`` of -1/+1, N at least 2.
            index: int64 ``(N,)``.

        Raises:
            ValueError: if a shape or a value is wrong, or there is nothing beside a candidate.
        """
        if len(codes) < 2:
            msg = f"a candidate is ranked among other items, got a database of {len(codes)}"
            raise ValueError(msg)
        order = torch.argsort(index)
        counts = distance_counts(query_codes, codes)
        return cls(query_codes, query_labels, codes[order], index[order], counts)

    def ranks(self, codes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rank candidates in place of themselves: the item of a candidate's index is taken out.

        Args:
            codes: ``(B, K)`` of -1/+1, what the candidates have become.
            index: ``(B,)``, which items they are.

        Returns:
            Other items nearer to each query than the candidate, and others as near, float64
            ``(B, Q)``.

        Raises:
            ValueError: if an index is none of the items.
        """
        place = torch.searchsorted(self.index, index).clamp(max=len(self.index) - 1)
        missing = index[self.index[place] != index]
        if len(missing):
            msg = f"candidate {int(missing[0])} is none of the {len(self.index)} database items"
            raise ValueError(msg)
        queries = self.query_codes.float()
        now, own = (distances(c.float(), queries).long() for c in (codes, self.codes[place]))
        row = torch.arange(len(queries), device=now.device)
        nearer = (running_counts(self.counts) - self.counts)[row, now] - (own < now).double()
        return nearer, self.counts[row, now] - (own == now).double()
