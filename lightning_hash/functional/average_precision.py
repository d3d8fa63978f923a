"""Average precision over a Hamming ranking, ties treated exactly."""

from functools import lru_cache, partial

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_choice, check_top_k
from lightning_hash.functional.options import (
    EMPTIES,
    NORMALIZERS,
    Empty,
    Normalizer,
    Ties,
    counted,
)
from lightning_hash.functional.ranking import (
    Measure,
    RankedChunk,
    make_ranking,
    measure,
    running_counts,
)


def average_precision(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    *,
    top_k: int | None = None,
    normalizer: Normalizer = "retrieved",
    ties: Ties = "expected",
) -> Tensor:
    """Compute AP per query over the ranking by Hamming distance (HAG Eq. 13).

    Relevant is what shares at least one label. With ``ties="expected"`` the value is the exact
    average over all orders of the items inside each distance (McSherry and Najork 2008; He et al.
    2018 for the whole ranking); an order without a relevant item in the top_k counts 0. On a CPU
    the database is held as packed words, see :class:`PackedRanking`.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        top_k: ranks to look at; ``None`` or more than N is the whole database.
        normalizer: divide by the relevant items among the top_k (``"retrieved"``) or in the whole
            database (``"relevant"``, HAG Eq. 13 as printed).
        ties: ``"expected"``, or ``"stable"`` for ties in the order of the database.

    Returns:
        float64 ``(Q,)`` in [0, 1]; NaN for an empty query: no order has a relevant item among them.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or an option is wrong.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> labels = torch.tensor([[0, 1], [1, 0], [1, 0]])
        >>> average_precision(codes[:1], codes, torch.tensor([[1, 0]]), labels)
        tensor([0.5833], dtype=torch.float64)
    """
    check_choice("normalizer", normalizer, NORMALIZERS)
    check_top_k("top_k", top_k)
    ranking = make_ranking(query_codes, database_codes, query_labels, database_labels)
    values = partial(chunk_average_precision, top_k=top_k, normalizer=normalizer)
    (found,) = measure(ranking, [Measure(values, top_k)], ties)
    return found


def chunk_average_precision(
    chunk: RankedChunk, top_k: int | None, normalizer: Normalizer
) -> Tensor:
    """Compute :func:`average_precision` of some queries of a ranking.

    Args:
        chunk: the queries, ranked as far as ``top_k``.
        top_k: ranks to look at.
        normalizer: what AP divides by.

    Returns:
        float64 ``(q,)`` in [0, 1]; NaN for an empty query.
    """
    cut = chunk.size if top_k is None else min(top_k, chunk.size)
    if chunk.ordered is None:
        return _expected(chunk, cut, normalizer)
    hits = chunk.ordered[:, :cut]
    return _stable(hits, hits.sum(dim=1) if normalizer == "retrieved" else chunk.n_relevant)


def mean_average_precision(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    *,
    top_k: int | None = None,
    normalizer: Normalizer = "retrieved",
    ties: Ties = "expected",
    empty: Empty = "zero",
) -> Tensor:
    """Average :func:`average_precision` over the queries.

    Args:
        query_codes: ``(Q, K)`` of -1/+1, any real dtype.
        database_codes: ``(N, K)`` of -1/+1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        top_k: ranks to look at.
        normalizer: ``"retrieved"`` or ``"relevant"``.
        ties: ``"expected"`` or ``"stable"``.
        empty: an empty query counts 0 (``"zero"``) or is left out (``"skip"``, the DHTA code).

    Returns:
        float64 scalar; NaN if no query is left.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or an option is wrong.
    """
    check_choice("empty", empty, EMPTIES)
    values = average_precision(
        query_codes, database_codes, query_labels, database_labels,
        top_k=top_k, normalizer=normalizer, ties=ties,
    )  # fmt: skip
    return counted(values, empty).mean()


def _stable(hits: Tensor, divisor: Tensor) -> Tensor:
    """Return AP ``(q,)`` of ranked relevance ``(q, cut)``; NaN for empty queries."""
    rank = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    total = (hits * running_counts(hits) / rank).sum(dim=1)
    return torch.where(hits.any(dim=1), total / divisor, torch.nan)


def _expected(chunk: RankedChunk, cut: int, normalizer: Normalizer) -> Tensor:
    """Average AP over all orders, from counts per distance.

    Let N and R be the items and relevant items nearer than a distance with n items, p of them
    relevant. Given that r of the first c of these places are relevant, each such place is relevant
    with probability r / c, and given that it is, (j - 1)(r - 1) / (c - 1) of the j - 1 places
    before it are, on average. So the sum of the precisions at relevant places is
    S(r) = r / c * sum_{j=1..c} (R + 1 + (j - 1)(r - 1) / (c - 1)) / (N + j).
    Distances wholly inside the cut have c = n and r = p. In the one that the cut goes through r is
    hypergeometric; it also enters the divisor.

    Args:
        chunk: the queries.
        cut: ranks to look at, at most the size of the database.
        normalizer: what AP divides by.

    Returns:
        float64 ``(q,)``, NaN for empty queries.
    """
    items, hits, before, size = chunk.items, chunk.hits, chunk.before, chunk.size
    if len(items) == 0:
        return items.new_zeros(0)
    hits_before = running_counts(hits) - hits
    inside = before + items <= cut
    harmonic = _harmonic(size).to(items.device)
    whole = torch.where(inside, _precision_sum(before, hits_before, items, hits, harmonic), 0.0)
    total = whole.sum(dim=1)
    found = torch.where(inside, hits, 0.0).sum(dim=1)

    # The distance that the cut goes through, if it goes through one.
    through = (before < cut) & ~inside
    column = through.to(torch.int8).argmax(dim=1, keepdim=True)
    places = torch.where(through.any(dim=1), cut - before.gather(1, column).squeeze(1), 0.0)
    n, p = (counts.gather(1, column).squeeze(1) for counts in (items, hits))
    before_cut = before.gather(1, column).squeeze(1)
    r = _likely(n, p, places)
    probability = _hypergeometric(r, n.unsqueeze(1), p.unsqueeze(1), places.unsqueeze(1))
    # Where the cut goes through no distance, places is 0 and r = 0 has probability 1.
    inside_cut = _precision_sum(
        before_cut.unsqueeze(1), found.unsqueeze(1), places.unsqueeze(1), r, harmonic
    )
    sums = total.unsqueeze(1) + inside_cut
    if normalizer == "retrieved":
        divisor = found.unsqueeze(1) + r
    else:
        divisor = chunk.n_relevant.unsqueeze(1).expand_as(r)
    values = sums / divisor.clamp(min=1)  # without a relevant item the sums are 0
    expected = (probability * values).sum(dim=1)
    possible = (found > 0) | (torch.minimum(p, places) > 0)
    return torch.where(possible, expected, torch.nan)


@lru_cache(maxsize=4)
def _harmonic(size: int) -> Tensor:
    """Return the harmonic numbers H_0 to H_size, float64 ``(size + 1,)`` on the CPU."""
    numbers = torch.zeros(size + 1, dtype=torch.float64)
    numbers[1:] = (1 / torch.arange(1, size + 1, dtype=torch.float64)).cumsum(dim=0)
    return numbers


def _precision_sum(
    before: Tensor, hits_before: Tensor, places: Tensor, hits: Tensor, harmonic: Tensor
) -> Tensor:
    """Return S(r) of :func:`_expected` for r = ``hits`` among c = ``places``; 0 where c is 0."""
    first = harmonic[(before + places).long()] - harmonic[before.long()]
    second = places - (before + 1) * first  # sum over j of (j - 1) / (N + j)
    slope = (hits - 1) / (places - 1).clamp(min=1)  # of no weight where c < 2: second is 0
    share = hits / places.clamp(min=1)
    return share * ((hits_before + 1) * first + slope * second)


def _likely(n: Tensor, p: Tensor, c: Tensor) -> Tensor:
    """Return numbers of relevant items ``(q, m)`` beside which no other has a probability.

    Ten standard deviations leave out less than 1e-20, and none is above sqrt(c) / 2; a few more
    places serve narrow distributions.
    """
    reach = torch.ceil(5 * c.sqrt()) + 20
    least = (torch.floor(c * p / n.clamp(min=1)) - reach).clamp(min=0)
    width = int((torch.minimum(p, c) - least).minimum(2 * reach).max()) + 1
    return least.unsqueeze(1) + torch.arange(width, dtype=torch.float64, device=n.device)


def _hypergeometric(r: Tensor, n: Tensor, p: Tensor, c: Tensor) -> Tensor:
    """Probability of r relevant among c drawn of n items, p of them relevant."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.lgamma(a + 1) - torch.lgamma(b + 1) - torch.lgamma(a - b + 1)

    # What cannot be has an infinite lgamma below it, and so the weight 0.
    weight = (choose(p, r) + choose(n - p, c - r) - choose(n, c)).exp()
    return weight / weight.sum(dim=1, keepdim=True)  # lgamma's rounding cancels in the ratio
