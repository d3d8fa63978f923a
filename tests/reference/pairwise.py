"""Slow oracle of the pairwise loss, in NumPy loops, written from HAG Eq. 11 and 12."""

import numpy as np


def similarity(a, b):
    """HAG Eq. 12: 1 where a label is shared, else -1."""
    return 1.0 if any(x == 1 and y == 1 for x, y in zip(a, b, strict=True)) else -1.0


def pairwise_loss(logits, labels, other_logits=None, other_labels=None):
    """HAG Eq. 11: 1/N^2 over all i and j, those with i = j too, F = tanh(H) of Eq. 2."""
    if other_logits is None:
        other_logits, other_labels = logits, labels
    total, pairs = 0.0, 0
    for h, a in zip(logits, labels, strict=True):
        for g, b in zip(other_logits, other_labels, strict=True):
            product = 0.0
            for k in range(len(h)):
                product += np.tanh(h[k]) * np.tanh(g[k])
            total += (product / len(h) - similarity(a, b)) ** 2
            pairs += 1
    return total / pairs
