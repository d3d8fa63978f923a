"""Per query: the average precision after each attack, and the worst case over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.functional import (
    RankingOptions,
    average_precision,
    hamming_distance,
    shares_label,
)
from lightning_hash.results.card import Estimate

AT_A_TIME = 64
END = {False: 0.0, True: 1.0}  # AP of an untargeted attack, t-AP of a targeted one, at its end


def ap_per_query(
    codes: Tensor, labels: Tensor, database: CodeSet, ranking: RankingOptions
) -> Tensor:
    """Return the average precision of each query.

    Args:
        codes: ``(Q, K)`` of -1/+1.
        labels: ``(Q, C)`` of 0/1, their own or those of their targets.
        database: what they are ranked against.
        ranking: options of MAP.

    Returns:
        float64 ``(Q,)``; a query without a relevant item is 0, or NaN where ``ranking.empty`` is
        ``skip``.
    """
    found = average_precision(
        codes, database.codes, labels, database.labels, top_k=ranking.top_k,
        normalizer=ranking.normalizer, ties=ranking.ties,
    ).double()  # fmt: skip
    return found.nan_to_num(0.0) if ranking.empty == "zero" else found


def first_relevant(
    codes: Tensor, labels: Tensor, database: CodeSet, k: int
) -> tuple[Tensor, Tensor]:
    """Look at the first ``k`` items that queries retrieve, whatever the order of ties.

    Args:
        codes: ``(Q, K)`` of -1/+1.
        labels: ``(Q, C)`` of 0/1.
        database: what they retrieve from.
        k: how many; all items where there are fewer.

    Returns:
        bool ``(Q,)`` twice: whether none of them can be relevant, and whether all of them must be.
    """
    none, every = [], []
    for start in range(0, len(codes), AT_A_TIME):
        rows = slice(start, start + AT_A_TIME)
        distance = hamming_distance(codes[rows], database.codes)
        count = min(k, distance.shape[1])
        last = distance.kthvalue(count, dim=1).values[:, None]
        near, relevant = distance <= last, shares_label(labels[rows], database.labels)
        none.append(~(near & relevant).any(dim=1))
        every.append(~(near & ~relevant).any(dim=1))
    return torch.cat(none), torch.cat(every)


@dataclass(frozen=True)
class Worst:
    """The worst case over attacks.

    Attributes:
        values: float64 ``(Q,)``, the lowest AP of any attack, of targeted ones the highest t-AP.
        by: of each query the number of the attack that was first to reach it.
    """

    values: Tensor
    by: Tensor

    @classmethod
    def over(cls, attacks: Sequence[Tensor], *, targeted: bool) -> "Worst":
        """Compare attacks.

        Args:
            attacks: of each in their order, float ``(Q,)``, NaN where a query was left alone or has
                nothing to measure.
            targeted: whether higher is worse for the victim.

        Returns:
            The worst case; NaN, by attack 0, for a query that no attack has a number of.
        """
        least = -torch.inf if targeted else torch.inf
        stacked = torch.stack([each.double() for each in attacks])
        filled = torch.where(stacked.isnan(), least, stacked)
        values, by = filled.max(dim=0) if targeted else filled.min(dim=0)
        # max and min do not say which of several equal ones they name
        by = (filled == values).int().argmax(dim=0)
        return cls(torch.where(values.isinf(), torch.nan, values), by)

    def left(self, *, targeted: bool) -> list[int]:
        """Return the rows of the queries that a further attack can still harm."""
        done = (self.values == END[targeted]) | self.values.isnan()
        found: list[int] = torch.nonzero(~done).flatten().tolist()
        return found


def estimate(values: Tensor) -> Estimate:
    """Return mean and standard error of what is no NaN of ``(Q,)``.

    Raises:
        ValueError: if nothing is.
    """
    kept = values[~values.isnan()].double()
    if not len(kept):
        msg = "no query has a relevant item in the database: there is nothing to measure"
        raise ValueError(msg)
    error = float(kept.std()) / math.sqrt(len(kept)) if len(kept) > 1 else None
    mean = min(1.0, max(0.0, float(kept.mean())))
    return Estimate(value=mean, se=error, n=len(kept))


def spread(values: Mapping[int, float], count: int) -> Tensor:
    """Return float64 ``(count,)`` of values by row, NaN where there is none."""
    found = torch.full((count,), torch.nan, dtype=torch.float64)
    for row, value in values.items():
        found[row] = value
    return found
