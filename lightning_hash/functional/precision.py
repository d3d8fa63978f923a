"""Precision at N and precision-recall curves over a Hamming ranking."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_count
from lightning_hash.functional.options import Ties
from lightning_hash.functional.ranking import (
    Measure,
    RankedChunk,
    make_ranking,
    measure,
    running_counts,
)


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
    check_count("n", n)
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    (found,) = measure(ranking, [Measure(partial(chunk_precision, n=n), n)], ties)
    return found


def chunk_precision(chunk: RankedChunk, n: int) -> Tensor:
    """Compute :func:`precision_at` of some queries of a ranking.

    Args:
        chunk: the queries, ranked as far as ``n``.
        n: ranks to look at.

    Returns:
        float64 ``(q,)`` in [0, 1].
    """
    return chunk.hits_at(n) / min(n, chunk.size)


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
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    return measure(ranking, [_at_each(ns)], ties)[0].mean(dim=0)


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
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    return _averaged(*measure(ranking, _RADIUS))


def retrieval_curves(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    ns: Sequence[int],
    *,
    ties: Ties = "expected",
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute :func:`precision_at_n_curve` and :func:`precision_recall_curve` of one ranking.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        ns: ranks to look at.
        ties: ``"expected"`` or ``"stable"``, for precision at N.

    Returns:
        Precision at each n, float64 ``(len(ns),)``, and precision and recall within each radius,
        float64 ``(K + 1,)`` each.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or an option is wrong.
    """
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    at_n, precision, recall = measure(ranking, [_at_each(ns), *_RADIUS], ties)
    return at_n.mean(dim=0), *_averaged(precision, recall)


def _at_each(ns: Sequence[int]) -> Measure:
    """Return precision at each n, ``(q, len(ns))``."""
    for n in ns:
        check_count("n", n)
    return Measure(lambda chunk: torch.stack([chunk_precision(chunk, n) for n in ns], 1), max(ns))


def _precision_within(chunk: RankedChunk) -> Tensor:
    items, hits = running_counts(chunk.items), running_counts(chunk.hits)
    return hits / items  # NaN where no item is so near


def _recall_within(chunk: RankedChunk) -> Tensor:
    hits = running_counts(chunk.hits)
    return hits / hits[:, -1:]  # NaN where there is nothing to find


_RADIUS = [Measure(_precision_within, 1), Measure(_recall_within, 1)]


def _averaged(precision: Tensor, recall: Tensor) -> tuple[Tensor, Tensor]:
    return precision.nanmean(dim=0), recall.nanmean(dim=0)
