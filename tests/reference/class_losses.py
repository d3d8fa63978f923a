"""Slow oracles of losses that keep something per class, in NumPy loops, from their papers' code."""

import itertools
import math

import numpy as np


def norm(a):
    return math.sqrt(sum(x * x for x in a))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (norm(a) * norm(b))


def log_softmax(scores):
    total = math.log(sum(math.exp(score) for score in scores))
    return [score - total for score in scores]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def orthohash(logits, labels, centers, s=8.0, m=0.2, arc=False):
    """OrthoHash Eq. 5 and 6; `OrthoHashLoss` of functions/loss/orthohash.py (kamwoh/orthohash).

    Label smoothing for several labels: labels / labels.sum() times the log-softmax. Deliberate:
    items without a label are left out, theirs divide by zero.
    """
    items = []
    for z, row in zip(logits, labels, strict=True):
        own = [c for c, y in enumerate(row) if y]
        if not own:
            continue
        scores = []
        for c, center in enumerate(centers):
            value = cosine(z, center)
            if arc:
                value = min(max(value, -0.99999), 0.99999)
                value = math.cos(math.acos(value) + (m if c in own else 0))
            else:
                value -= m if c in own else 0
            scores.append(s * value)
        logs = log_softmax(scores)
        items.append(-sum(logs[c] for c in own) / len(own))
    return mean(items)


def dpn(logits, labels, centers, m=1.0):
    """`calculate_loss` of scripts/train_hashing.py (kamwoh/DPN): sl = 1, ce = 0, reg = 0.

    Deliberate: items without a label are left out, in theirs they count as 0.
    """
    items = []
    for h, row in zip(logits, labels, strict=True):
        if not row.any():
            continue
        total = 0.0
        for c, center in enumerate(centers):
            if row[c]:
                total += sum(max(0.0, m - x * t) for x, t in zip(h, center, strict=True))
        items.append(total)
    return mean(items)


def hyp2(logits, labels, proxies, threshold, beta=0.5):
    """`HyP` of model.py (JerryXu0129/HyP2-Loss): pos_term + neg_term + reg_term.

    Deliberate: a mean over nothing is 0.
    """
    positive, negative, pairs = [], [], []
    for h, row in zip(logits, labels, strict=True):
        for c, proxy in enumerate(proxies):
            value = cosine(h, proxy)
            if row[c]:
                positive.append(1 - value)
            else:
                negative.append(max(0.0, value - threshold))
    several = [i for i, row in enumerate(labels) if row.sum() > 1]
    for i, j in itertools.product(several, several):
        if not any(a and b for a, b in zip(labels[i], labels[j], strict=True)):
            pairs.append(max(0.0, cosine(logits[i], logits[j]) - threshold))
    return mean(positive) + mean(negative) + beta * mean(pairs)


def bi_half(logits):
    """Bi-half layer of Cifar10_I.py (liyunqianggyn/Deep-Unsupervised-Image-Hashing), forward."""
    items, bits = logits.shape
    codes = -np.ones((items, bits))
    for k in range(bits):
        order = sorted(range(items), key=lambda i: -logits[i][k])
        for i in order[: int(items / 2)]:
            codes[i][k] = 1
    return codes


def bi_half_gradient(logits, upstream, gamma=6.0):
    """Its backward: g + gamma (U - B) / B.numel()."""
    codes = bi_half(logits)
    return upstream + gamma * (logits - codes) / codes.size


def bihalf(logits, labels, weight, bias):
    """bihalf-supervised.yaml (CISiPLab/cisip-FIRe): `CELoss` on ce_fc of the bi-half codes."""
    items = []
    for code, row in zip(bi_half(logits), labels, strict=True):
        if row.any():
            scores = [
                sum(w * b for w, b in zip(line, code, strict=True)) + c
                for line, c in zip(weight, bias, strict=True)
            ]
            logs = log_softmax(scores)
            items.append(-np.mean([logs[c] for c in range(len(row)) if row[c]]))
    return mean(items)


def mdshc_distance(bits, classes):
    """`get_margin` of optimizeAccel.py (Wangld5/Center-Hashing): d_max."""
    right = 2**bits / classes
    for d in range(2 * bits + 4):
        within = sum(math.comb(bits, j) for j in range(d))
        before = sum(math.comb(bits, j) for j in range(d - 1))
        if within >= right and before < right:
            return d
    return None
