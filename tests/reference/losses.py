"""Slow oracles of the hashing losses, in NumPy loops, written from the papers."""

import itertools

import numpy as np


def shared(a, b):
    return any(x == 1 and y == 1 for x, y in zip(a, b, strict=True))


def all_pairs(logits, labels, others, other_labels):
    """Yield both logits of each pair and whether a label is shared."""
    if others is None:
        others, other_labels = logits, labels
    for (h, a), (g, b) in itertools.product(
        zip(logits, labels, strict=True), zip(others, other_labels, strict=True)
    ):
        yield h, g, shared(a, b)


def weighted_mean(values, similar):
    """HashNet Eq. 2 (and DCH Eq. 2): w = |S| / |S_1| or |S| / |S_0|."""
    ones, total = sum(similar), 0.0
    for value, s in zip(values, similar, strict=True):
        total += value * len(values) / (ones if s else len(values) - ones)
    return total / len(values)


def hashnet(logits, labels, others=None, other_labels=None, alpha=1.0, beta=1.0):
    """HashNet Eq. 4 with g = tanh(beta h)."""
    values, similar = [], []
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        product = sum(np.tanh(beta * x) * np.tanh(beta * y) for x, y in zip(h, g, strict=True))
        values.append(np.log(1 + np.exp(alpha * product)) - alpha * s * product)
        similar.append(s)
    return weighted_mean(values, similar)


def dpsh(logits, labels, others=None, other_labels=None, eta=1.0):
    """The relaxed objective of DPSH over the number of pairs."""
    total, pairs = 0.0, 0
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        theta = sum(x * y for x, y in zip(h, g, strict=True)) / 2
        total -= s * theta - np.log(1 + np.exp(theta))
        pairs += 1
    for h in logits:
        for x in h:
            total += eta * ((1 if x > 0 else -1) - x) ** 2
    return total / pairs


def cauchy_distance(h, g):
    """DCH Eq. 6: K / 4 times the squared distance of the two directions."""
    h, g = h / np.sqrt((h * h).sum()), g / np.sqrt((g * g).sum())
    return len(h) / 4 * ((h - g) ** 2).sum()


def dch(logits, labels, others=None, other_labels=None, gamma=1.0, weight=1.0, nearest=1e-3):
    """DCH Eq. 7 to 9; dissimilar pairs are no nearer than ``nearest``."""
    values, similar = [], []
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        d = cauchy_distance(np.tanh(h), np.tanh(g))
        probability = gamma / (gamma + (d if s else max(d, nearest)))  # Eq. 4
        values.append(-np.log(probability if s else 1 - probability))
        similar.append(s)
    quantization = [
        -np.log(gamma / (gamma + cauchy_distance(abs(np.tanh(h)), np.ones(len(h))))) for h in logits
    ]
    return weighted_mean(values, similar) + weight * np.mean(quantization)


def csq(logits, labels, centers, tie, weight=1.0):
    """CSQ: binary cross entropy with the voted centre, and log cosh(| |2h - 1| - 1 |)."""
    items = []
    for h, row in zip(logits, labels, strict=True):
        if not row.any():
            continue
        total = 0.0
        for k in range(len(h)):
            vote = sum(centers[c][k] for c in range(len(row)) if row[c])
            bit = tie[k] if vote == 0 else vote
            p = (np.tanh(h[k]) + 1) / 2
            total -= np.log(p) if bit > 0 else np.log(1 - p)
            total += weight * np.log(np.cosh(abs(2 * p - 1) - 1))
        items.append(total / len(h))
    return np.mean(items) if items else 0.0


def greedyhash(logits, labels, classifier, weight=1.0):
    """GreedyHash: softmax cross entropy of the codes, and the cubic penalty."""
    entropies, penalty = [], 0.0
    for h, row in zip(logits, labels, strict=True):
        code = np.where(h > 0, 1.0, -1.0)
        penalty += sum(abs(x - b) ** 3 for x, b in zip(h, code, strict=True))
        if row.any():
            scores = np.array([w @ code for w in classifier])
            logs = scores - np.log(np.exp(scores).sum())
            entropies.append(-np.mean([logs[c] for c in range(len(row)) if row[c]]))
    return (np.mean(entropies) if entropies else 0.0) + weight * penalty / np.size(logits)


def deep_video(logits, labels, others=None, other_labels=None, rho=1.0, balance=0.0):
    """Deep video hashing: mean over pairs of softplus(rho z) / rho and both quantisation errors."""
    total, pairs = 0.0, 0
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        h, g, sign = np.tanh(h), np.tanh(g), 1 if s else -1
        distance = (len(h) - sum(x * y for x, y in zip(h, g, strict=True))) / 2
        z = 1 - sign * (len(h) / 4 - distance)
        total += np.log(1 + np.exp(rho * z)) / rho
        for x in (*h, *g):
            total += balance * ((1 if x > 0 else -1) - x) ** 2
        pairs += 1
    return total / pairs
