"""What an audit says of a query, by loops: from the definitions, and not from the code."""

import itertools
import math


def first_k(distances, relevant, k):
    """Try every order of the database that its distances allow: (never relevant, always)."""
    never, always = True, True
    for order in itertools.permutations(range(len(distances))):
        if any(distances[a] > distances[b] for a, b in itertools.pairwise(order)):
            continue
        shown = [relevant[item] for item in order[:k]]
        never &= not any(shown)
        always &= all(shown)
    return never, always


def worst_case(attacks, targeted):
    """Return (value, first attack that reaches it) of each query; NaN is no number."""
    found = []
    for values in zip(*attacks, strict=True):
        best = None
        for number, value in enumerate(values):
            if math.isnan(value):
                continue
            better = best is None or (value > best[0] if targeted else value < best[0])
            if better:
                best = value, number
        found.append(best)
    return found
