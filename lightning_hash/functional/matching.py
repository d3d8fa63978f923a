"""Matching at a threshold: what a near-duplicate search finds within T bits of a query."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_hash.functional.ranking import Measure, RankedChunk, Ranking, measure, running_counts
from lightning_hash.functional.thresholds import random_match_rate


def detected(chunk: RankedChunk) -> Tensor:
    """Return whether a relevant item lies within each threshold.

    Returns:
        float64 ``(q, K + 1)`` of 0/1, for T from 0 to K; NaN for a query without a relevant item.
    """
    found = (running_counts(chunk.hits) > 0).double()
    return found.masked_fill((chunk.n_relevant == 0).unsqueeze(1), math.nan)


def false_matches(chunk: RankedChunk) -> Tensor:
    """Return the share of the items that are not relevant and lie within each threshold.

    Returns:
        float64 ``(q, K + 1)``, for T from 0 to K; NaN for a query to which all items are relevant.
    """
    others = chunk.items - chunk.hits
    return running_counts(others) / others.sum(dim=1, keepdim=True)


def recall_at_one(chunk: RankedChunk) -> Tensor:
    """Return the relevance of the first item; its expectation where several are as near.

    Returns:
        float64 ``(q,)`` in [0, 1]; NaN for a query without a relevant item.
    """
    return chunk.hits_at(1).masked_fill(chunk.n_relevant == 0, math.nan)


@dataclass(frozen=True)
class MatchCurve:
    """What each threshold T from 0 to K finds.

    Attributes:
        detection: float64 ``(K + 1,)``, share of the queries with a relevant item within T.
        false_matches: float64 ``(K + 1,)``, share of the other items within T, mean over queries.
        random: float64 ``(K + 1,)``, the same of random codes, see :func:`random_match_rate`.
        queries: how many queries have a relevant item.
    """

    detection: Tensor
    false_matches: Tensor
    random: Tensor
    queries: int

    def threshold(self, false_matches: float) -> int | None:
        """Return the largest T with at most so many false matches; ``None`` where 0 has more.

        Args:
            false_matches: share of the items that are not relevant, in [0, 1].
        """
        fits = (self.false_matches <= false_matches).nonzero()
        return int(fits[-1]) if len(fits) else None


def match_curve(ranking: Ranking) -> MatchCurve:
    """Count what each threshold finds, by one walk through the database.

    Args:
        ranking: the queries and the database, see
            :func:`lightning_hash.functional.make_ranking`.

    Returns:
        The curve; NaN where no query has a relevant item, or none has another.

    Example:
        >>> from lightning_hash.functional import make_ranking
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]])
        >>> curve = match_curve(make_ranking(codes[:1], codes[1:], labels[:1], labels[1:]))
        >>> curve.detection, curve.false_matches, curve.random
        (tensor([0., 1., 1.], dtype=torch.float64), tensor([0., 0., 1.], dtype=torch.float64), \
tensor([0.2500, 0.7500, 1.0000], dtype=torch.float64))
    """
    found, false = measure(ranking, [Measure(detected), Measure(false_matches)])
    chance = [random_match_rate(t, ranking.bits) for t in range(ranking.bits + 1)]
    return MatchCurve(
        detection=found.nanmean(dim=0), false_matches=false.nanmean(dim=0),
        random=torch.tensor(chance, dtype=torch.float64),
        queries=int((~found[:, 0].isnan()).sum()),
    )  # fmt: skip
