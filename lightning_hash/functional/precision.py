"""Precision at N and precision-recall curves over a Hamming ranking."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_hash.functional.average_precision import (
    Ties,
    check_choice,
    check_ranking,
    check_top_k,
)
from lightning_hash.functional.ranking import make_ranking


def precision_at(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    n: int,
    *,
    ties: Ties = "expected",
) -> Tensor:
    """Compute the share of relevant items among the first n (topN-precision, HAG IV-B).

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        n: ranks to look at; more than N is the whole database.
        ties: ``"expected"`` (average over all orders inside a distance) or ``"stable"``.

    Returns:
        float64 ``(Q,)`` in [0, 1].

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or an option is wrong.
    """
    return _precisions(query_codes, database_codes, query_labels, database_labels, [n], ties)[:, 0]


def precision_at_n_curve(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    ns: Sequence[int],
    *,
    ties: Ties = "expected",
) -> Tensor:
    """Average :func:`precision_at` over the queries for several n.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        ns: ranks to look at.
        ties: ``"expected"`` or ``"stable"``.

    Returns:
        float64 ``(len(ns),)``.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or an option is wrong.
    """
    values = _precisions(query_codes, database_codes, query_labels, database_labels, ns, ties)
    return values.mean(dim=0)


def precision_recall_curve(
    query_codes: Tensor, database_codes: Tensor, query_labels: Tensor, database_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute precision and recall of what lies within each Hamming radius (HAG Fig. 4).

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        float64 ``(K + 1,)`` twice, for radius 0 to K: precision, averaged over the queries that
        retrieve something, and recall, over the queries that have a relevant item. NaN where there
        is no such query.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value or a shape is wrong.
    """
    check_ranking(query_codes, database_codes, query_labels, database_labels)
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    precisions, recalls = [], []
    for rows in ranking.chunks(query_codes.shape[1]):
        items, hits = (part.cumsum(dim=1) for part in ranking.histograms(rows))
        precisions.append(torch.where(items > 0, hits / items, torch.nan))
        recalls.append(torch.where(hits[:, -1:] > 0, hits / hits[:, -1:], torch.nan))
    return torch.cat(precisions).nanmean(dim=0), torch.cat(recalls).nanmean(dim=0)


def _precisions(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    ns: Sequence[int],
    ties: Ties,
) -> Tensor:
    check_choice("ties", ties, ("expected", "stable"))
    for n in ns:
        check_top_k("n", n)
    check_ranking(query_codes, database_codes, query_labels, database_labels)
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    cuts = torch.tensor([min(n, len(database_codes)) for n in ns], device=query_codes.device)
    most = int(cuts.max())
    parts = []
    for rows in ranking.chunks(most if ties == "stable" else query_codes.shape[1]):
        if ties == "expected":
            items, hits = ranking.histograms(rows)
            before = (items.cumsum(1) - items).unsqueeze(2)
            taken = (cuts - before).clamp(min=0).minimum(items.unsqueeze(2))
            share = (hits / items.clamp(min=1)).unsqueeze(2)
            found = (taken * share).sum(dim=1)
        else:
            found = ranking.ranked_relevance(rows, most).cumsum(dim=1)[:, cuts - 1]
        parts.append(found / cuts)
    if not parts:
        return torch.zeros(0, len(ns), dtype=torch.float64, device=query_codes.device)
    return torch.cat(parts)
