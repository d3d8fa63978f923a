"""Slow oracles of rankings, in exact fractions; each names the definition it is written from."""

import itertools
import math
import random
from fractions import Fraction


def distance(a, b):
    """Hamming distance of two sequences of -1/+1: (K - a b) / 2, DHTA 3.2."""
    return sum(1 for x, y in zip(a, b, strict=True) if x != y)


def relevant(a, b):
    """HAG IV-B: relevant if they share at least one common label."""
    return any(x == 1 and y == 1 for x, y in zip(a, b, strict=True))


def ap_of_order(hits, top_k, normalizer):
    """HAG Eq. 13 for one order of 0/1 hits; None where nothing relevant is among the first top_k.

    1/N sum over v of P(v) delta(v) up to top_k: N is the relevant items of the database as printed
    ("relevant"), or of the first top_k ("retrieved": `calc_map_k` of HAG's main.py, DHTA's
    `mean_average_precision` of evaluation.py, whose None is left out of the mean).
    """
    cut = len(hits) if top_k is None else min(top_k, len(hits))
    found, total = 0, Fraction(0)
    for rank in range(1, cut + 1):
        if hits[rank - 1]:
            found += 1
            total += Fraction(found, rank)
    if found == 0:
        return None
    return total / (found if normalizer == "retrieved" else sum(hits))


def candidate_ranks(code, place, query, database):
    """0-based ranks of a candidate for a query, one for each order of what is as near as it.

    Args:
        code: what the candidate has become.
        place: which item it is; that item is none of the others.
        query: code of the query.
        database: codes of all items.
    """
    others = [distance(query, item) for i, item in enumerate(database) if i != place]
    own = distance(query, code)
    nearer, tied = sum(d < own for d in others), sum(d == own for d in others)
    return [nearer + before for before in range(tied + 1)]


def rank_percentile(code, place, queries, database):
    """Mean share of the other items before the candidate, over queries and orders of ties."""
    shares = []
    for query in queries:
        ranks = candidate_ranks(code, place, query, database)
        shares.append(Fraction(sum(ranks), len(ranks) * (len(database) - 1)))
    return sum(shares) / len(shares)


def in_top_k(code, place, queries, database, k):
    """Mean share of queries, and of orders of ties, with the candidate among the first k."""
    shares = []
    for query in queries:
        ranks = candidate_ranks(code, place, query, database)
        shares.append(Fraction(sum(rank < k for rank in ranks), len(ranks)))
    return sum(shares) / len(shares)


def groups(query, database, query_label, database_labels):
    """Hits of the items at each distance, nearest first, in the order of the database."""
    by_distance = {}
    for item, label in zip(database, database_labels, strict=True):
        by_distance.setdefault(distance(query, item), []).append(int(relevant(query_label, label)))
    return [by_distance[d] for d in sorted(by_distance)]


def orders(tied):
    """Every order that keeps the groups."""
    for choice in itertools.product(*(itertools.permutations(group) for group in tied)):
        yield [hit for group in choice for hit in group]


def average_precision(tied, top_k, normalizer, ties):
    """AP by going through every order that ties allow; None for an empty query.

    `stable` is `np.lexsort` by distance, then index, of HAG's main.py; the mean over all orders is
    McSherry and Najork (ECIR 2008), 3.
    """
    if ties == "stable":
        return ap_of_order([hit for group in tied for hit in group], top_k, normalizer)
    values = [ap_of_order(order, top_k, normalizer) for order in orders(tied)]
    if all(value is None for value in values):
        return None
    return sum(value or Fraction(0) for value in values) / len(values)


def sampled_average_precision(tied, top_k, normalizer, samples, seed):
    """Mean AP of random orders."""
    source = random.Random(seed)
    total = 0.0
    for _ in range(samples):
        order = [hit for group in tied for hit in source.sample(group, len(group))]
        total += float(ap_of_order(order, top_k, normalizer) or 0)
    return total / samples


def hits_at(tied, n, ties):
    """Relevant items among the first n by going through every order, and of all items."""
    total = sum(sum(group) for group in tied)
    cut = min(n, sum(len(group) for group in tied))
    return precision_at(tied, n, ties) * cut, total


def standard_error(values):
    """Standard error of a mean: the standard deviation by n - 1, over the root of n."""
    n = len(values)
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def precision_at(tied, n, ties):
    """HAG IV-B, topN-precision: relevant items among the first n, over n; through every order."""
    stable = [hit for group in tied for hit in group]
    every = [stable] if ties == "stable" else list(orders(tied))
    cut = min(n, len(every[0]))
    return sum(Fraction(sum(order[:cut]), cut) for order in every) / len(every)


def matches(query, query_labels, database, database_labels, threshold):
    """Whether a relevant item is within the threshold, and the share of the others that is.

    Facts of a near-duplicate search with PDQ: a match is a distance of at most T. ``None`` where
    there is no relevant item, or no other.
    """
    near = [distance(query, item) <= threshold for item in database]
    same = [relevant(query_labels, labels) for labels in database_labels]
    found = any(a and b for a, b in zip(near, same, strict=True)) if any(same) else None
    others = [a for a, b in zip(near, same, strict=True) if not b]
    return found, Fraction(sum(others), len(others)) if others else None


def first_is_relevant(query, query_labels, database, database_labels):
    """Expected relevance of the first item over the orders of ties; ``None`` without relevant."""
    if not any(relevant(query_labels, labels) for labels in database_labels):
        return None
    nearest = min(distance(query, item) for item in database)
    first = [
        relevant(query_labels, labels)
        for item, labels in zip(database, database_labels, strict=True)
        if distance(query, item) == nearest
    ]
    return Fraction(sum(first), len(first))


def random_matches(bits, threshold):
    """Share of all pairs of codes within the threshold, by counting every code against one."""
    codes = itertools.product((-1, 1), repeat=bits)
    return Fraction(sum(distance(c, (1,) * bits) <= threshold for c in codes), 2**bits)
