"""Slow oracles of losses over pairs and triplets, in NumPy loops, from their papers' code."""

import itertools
import math

import numpy as np

from tests.reference.losses import all_pairs, shared


def sign(x):
    return 1.0 if x > 0 else -1.0


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def softplus(x):
    return math.log(1 + math.exp(x)) if x < 30 else x


def dtsh(logits, labels, margin, weight):
    """DTSH Eq. 7 and 10; train_triplet.m (Minione/DTSH): T = U U' / 2 - U U' / 2 - margin.

    Deliberate: all triplets of the batch.
    """
    means, rounding = [], 0.0
    for q, (u, a) in enumerate(zip(logits, labels, strict=True)):
        terms = []
        for p, n in itertools.product(range(len(logits)), repeat=2):
            if len({q, p, n}) == 3 and shared(a, labels[p]) and not shared(a, labels[n]):
                t = dot(u, logits[p]) / 2 - dot(u, logits[n]) / 2 - margin
                terms.append(-math.log(1 / (1 + math.exp(-t))))
        if terms:
            means.append(sum(terms) / len(terms))
        rounding += sum((x - sign(x)) ** 2 for x in u)
    likelihood = sum(means) / len(means) if means else 0.0
    return likelihood + weight * rounding / len(logits)


def dsh(logits, labels, others=None, other_labels=None, margin=None, weight=0.01):
    """hashing_loss_layer.cpp (lhmRyan/deep-supervised-hashing-DSH), each pair in both orders.

    There the sum over i < j is divided by N (N - 1). Deliberate: pairs of an item with itself
    count, so that it is divided by N N.
    """
    total, pairs = 0.0, 0
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        distance = sum((x - y) ** 2 for x, y in zip(h, g, strict=True))
        bound = 2 * len(h) if margin is None else margin
        total += 0.5 * (distance if s else max(bound - distance, 0.0))
        pairs += 1
    penalty = sum(abs(abs(x) - 1) for h in logits for x in h)
    return total / pairs + weight * penalty / len(logits)


def idhn(logits, labels, others=None, other_labels=None, beta=5.0, gamma=0.1, alpha=0.1):
    """`hashing_loss` of train.py (pectinid16/IDHN), whose D is softsign(fc8).

    Deliberate: the cosine with an item without a label is 0.
    """
    if others is None:
        others, other_labels = logits, labels
    m, losses = len(logits[0]), []
    soft = [[x / (1 + abs(x)) for x in h] for h in logits]
    other_soft = [[x / (1 + abs(x)) for x in h] for h in others]
    for d, a in zip(soft, labels, strict=True):
        for e, b in zip(other_soft, other_labels, strict=True):
            lengths = math.sqrt(float(a.sum()) * float(b.sum()))
            w = sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / (lengths or 1)
            semi = 0.0 if w > 0.99 else w
            p = dot(d, e)
            if semi < 0.01:
                losses.append(math.log(1 + math.exp(beta * p / m)) - w * beta * p / m)
            else:
                losses.append(gamma * m * ((p + m) / 2 / m - w) ** 2)
    return np.mean(losses) + alpha * np.mean([abs(abs(x) - 1) for d in soft for x in d])


def ridge(codes, labels, weight):
    """RRC.m (liqi-casia/DSDH-HashingCode): (X' X + lambda I) \\ X' Y."""
    x, y = np.asarray(codes, float), np.asarray(labels, float)
    return np.linalg.inv(x.T @ x + weight * np.eye(x.shape[1])) @ x.T @ y


def dcc(logits, labels, w, eta):
    """train.m (liqi-casia/DSDH-HashingCode): batchB from zeros, at most ten sweeps, mu = 1."""
    q = eta * np.asarray(logits) + np.asarray(labels, float) @ w.T
    codes = np.zeros(q.shape)
    for _ in range(10):
        before = codes.copy()
        for k in range(q.shape[1]):
            rest = [j for j in range(q.shape[1]) if j != k]
            for i in range(len(q)):
                codes[i][k] = sign(q[i][k] - codes[i][rest] @ w[rest] @ w[k])
        if (codes == before).all():
            break
    return codes


def dsdh(logits, labels, others=None, other_labels=None, mu=1.0, nu=0.1, eta=55.0):
    """DSDH Eq. 7 without the terms in which U is not; train.m, its gradient over both sides.

    Deliberate: W is of the items that the batch is paired with.
    """
    if others is None:
        others, other_labels = logits, labels
    signs = [[sign(x) for x in h] for h in others]
    codes = dcc(logits, labels, ridge(signs, other_labels, nu / mu), eta / mu)
    total, pairs = 0.0, 0
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        theta = dot(h, g) / 2
        total += softplus(theta) - s * theta
        pairs += 1
    total += eta * ((codes - np.asarray(logits)) ** 2).sum()
    return total / pairs
