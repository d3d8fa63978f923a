"""Slow oracles of the attacks, in plain Python, written from the papers."""

import math


def sign(v):
    """HAG Eq. 1."""
    return 1 if v > 0 else -1


def hag_loss(logits, clean_logits, alpha, threshold):
    """HAG Eq. 6, 7 and 10 for one query."""
    adversarial = [math.tanh(alpha * v) for v in logits]
    clean = [math.tanh(alpha * v) for v in clean_logits]
    kept = [i for i in range(len(logits)) if abs(adversarial[i] - sign(clean[i])) < 1 + threshold]
    if not kept:
        return 0.0
    inner = sum(clean[i] * adversarial[i] for i in kept)
    return (inner / len(kept) + 1) ** 2


def dhta_loss(logits, anchor, alpha):
    """DHTA Eq. 9 for one query."""
    return -sum(a * math.tanh(alpha * v) for a, v in zip(anchor, logits, strict=False)) / len(
        anchor
    )


def clip(perturbed, clean, epsilon):
    """HAG Eq. 4 for one value in [0, 1]."""
    return min(1.0, clean + epsilon, max(0.0, clean - epsilon, perturbed))


def paper_alpha(iteration):
    """HAG IV-C: 0.1 for 1000 iterations, then the next of the list every 200."""
    if iteration < 1000:
        return 0.1
    return [0.2, 0.3, 0.5, 0.7, 1.0][(iteration - 1000) // 200]


def anchor(codes):
    """DHTA Alg. 1."""
    result = []
    for j in range(len(codes[0])):
        plus = sum(1 for code in codes if code[j] == 1)
        minus = sum(1 for code in codes if code[j] == -1)
        result.append(1 if plus >= minus else -1)
    return result
