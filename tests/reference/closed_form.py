"""Slow oracles of hash layers in closed form, in NumPy loops, written from the papers."""

import numpy as np


def covariance(features):
    """Of features (N, D), by its definition."""
    n, d = features.shape
    mean = [sum(features[i][j] for i in range(n)) / n for j in range(d)]
    found = np.zeros((d, d))
    for i in range(n):
        for a in range(d):
            for b in range(d):
                found[a, b] += (features[i][a] - mean[a]) * (features[i][b] - mean[b]) / n
    return found


def leading_variance(features, bits):
    """The variances along the first principal components, the largest first."""
    return np.sort(np.linalg.svd(features - features.mean(0))[1])[::-1][:bits] ** 2 / len(features)


def itq(items, rotation, rounds):
    """Gong and Lazebnik, CVPR 2011, 3.1: the rotation after so many rounds and Q(B, R) of each.

    Args:
        items: V (N, c), centred and projected.
        rotation: the first R (c, c).
        rounds: how many.
    """
    losses = []
    for _ in range(rounds):
        turned = items.dot(rotation)
        codes = np.ones_like(turned)
        for i in range(len(turned)):
            for k in range(turned.shape[1]):
                codes[i, k] = 1.0 if turned[i, k] >= 0 else -1.0
        # "Compute the SVD of the c x c matrix B^T V as S Omega S'^T and let R = S' S^T."
        s, _, s_prime_t = np.linalg.svd(codes.T.dot(items))
        rotation = s_prime_t.T.dot(s.T)
        losses.append(((codes - items.dot(rotation)) ** 2).sum())
    return rotation, losses
