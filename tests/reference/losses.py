"""Slow oracles of the hashing losses, in NumPy loops; each names the source it is written from."""

import itertools
import math

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
    """HashNet Eq. 2 and DCH Eq. 2: w = |S| / |S_1| or |S| / |S_0|, then the mean over the pairs.

    `pairwise_loss_updated` of pytorch/src/loss.py (thuml/HashNet).
    """
    ones, total = sum(similar), 0.0
    for value, s in zip(values, similar, strict=True):
        total += value * len(values) / (ones if s else len(values) - ones)
    return total / len(values)


def hashnet(logits, labels, others=None, other_labels=None, alpha=1.0, beta=1.0):
    """HashNet Eq. 4 with g = tanh(beta h); `pairwise_loss_updated` of thuml/HashNet.

    Deliberate: the pairs are those of one batch with itself, theirs of two batches.
    """
    values, similar = [], []
    for h, g, s in all_pairs(logits, labels, others, other_labels):
        product = sum(np.tanh(beta * x) * np.tanh(beta * y) for x, y in zip(h, g, strict=True))
        values.append(np.log(1 + np.exp(alpha * product)) - alpha * s * product)
        similar.append(s)
    return weighted_mean(values, similar)


def dpsh(logits, labels, others=None, other_labels=None, eta=1.0):
    """`DPSH_algo` of DPSH_CIFAR_10.py (jiangqy/DPSH-pytorch): both terms over num_train B.

    -(S theta - log(1 + exp theta)) with theta = u U^T / 2, and lamda (sign u - u)^2 of the batch.
    Deliberate: sign(0) = -1, theirs 0.
    """
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
    """DCH Eq. 7 to 9, weights of Eq. 2, probability of Eq. 4, as means.

    Deliberate: dissimilar pairs are no nearer than ``nearest``. The authors' code has other
    distances (thulab/DeepHash, DeepHash/model/dch/dch.py: normed=False).
    """
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
    """CSQ 3.2: binary cross entropy with the voted centre, and log cosh(| |2h - 1| - 1 |).

    The vote is `Hash_center_multilables` of train.py (yuanli2333/Hadamard-Matrix-for-hashing): its
    ties take the bits of one random code. Deliberate: its second term is the square, not log cosh;
    items without a label are left out.
    """
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
    """cifar1.py (ssppp/GreedyHash): cross entropy of the codes, 0.1 mean | |h| - 1 |^3.

    Deliberate: several labels share the target evenly; sign(0) = -1, theirs 0.
    """
    entropies, penalty = [], 0.0
    for h, row in zip(logits, labels, strict=True):
        code = np.where(h > 0, 1.0, -1.0)
        penalty += sum(abs(abs(x) - 1) ** 3 for x in h)
        if row.any():
            scores = np.array([w @ code for w in classifier])
            logs = scores - np.log(np.exp(scores).sum())
            entropies.append(-np.mean([logs[c] for c in range(len(row)) if row[c]]))
    return (np.mean(entropies) if entropies else 0.0) + weight * penalty / np.size(logits)


def deep_video(logits, labels, others=None, other_labels=None, rho=1.0, balance=0.0):
    """`dvh_loss` of loss.py (KuofengGao/CIBA): softplus(rho z) / rho and both quantisation errors.

    Deliberate: all pairs, theirs are consecutive items; both terms are means, theirs sums up the
    second over the batch.
    """
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


def circle_loss(similarity, shared, gamma=1.0):
    """THA's circle loss of pairs, over all pairs of a rectangle."""
    relatives = strangers = 0.0
    for row, mask in zip(similarity, shared, strict=True):
        for value, same in zip(row, mask, strict=True):
            if same:
                relatives += math.exp(-gamma * (2 - value) * value)
            else:
                strangers += math.exp(gamma * (value + 2) * value)
    return math.log(1 + strangers * relatives)


def circle_gradient(similarity, shared, gamma=1.0):
    """Its gradient in each similarity, by hand: the weights in brackets are constants."""
    loss = circle_loss(similarity, shared, gamma)
    sums = {True: 0.0, False: 0.0}

    def term(value, same):
        return math.exp((-gamma * (2 - value) if same else gamma * (value + 2)) * value)

    for row, mask in zip(similarity, shared, strict=True):
        for value, same in zip(row, mask, strict=True):
            sums[same] += term(value, same)
    outer = 1 - math.exp(-loss)
    return [
        [
            outer * (-(2 - value) if same else value + 2) * gamma * term(value, same) / sums[same]
            for value, same in zip(row, mask, strict=True)
        ]
        for row, mask in zip(similarity, shared, strict=True)
    ]
