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


def hag_code_loss(logits, clean_logits, alpha, threshold, beta):
    """The authors' code: F(x) at alpha = 1, + beta mean(F')^2, nothing once all bits differ."""
    if all(sign(a) != sign(b) for a, b in zip(logits, clean_logits, strict=True)):
        return 0.0
    adversarial = [math.tanh(alpha * v) for v in logits]
    clean = [math.tanh(v) for v in clean_logits]
    kept = [i for i in range(len(logits)) if abs(adversarial[i] - sign(clean[i])) < 1 + threshold]
    loss = beta * (sum(adversarial) / len(adversarial)) ** 2
    if kept:
        loss += (sum(clean[i] * adversarial[i] for i in kept) / len(kept) + 1) ** 2
    return loss


def center_code(label, codes, labels):
    """CgAT: b = sign(sum over sharing items c B - sum over the others (N - c) B)."""
    shares = [any(a and b for a, b in zip(label, other, strict=True)) for other in labels]
    strangers = shares.count(False)
    votes = [0] * len(codes[0])
    for share, code in zip(shares, codes, strict=True):
        weight = strangers if share else -(len(codes) - strangers)
        votes = [vote + weight * bit for vote, bit in zip(votes, code, strict=True)]
    return [1 if vote >= 0 else -1 for vote in votes]


def mainstay_code(label, codes, labels):
    """SAAT: b = sign(W+ B - W- B), both rows of weights divided by their sums."""
    near, far = [], []
    for other in labels:
        shared = sum(a * b for a, b in zip(label, other, strict=True))
        norms = math.sqrt(sum(label)) * math.sqrt(sum(other))
        near.append(shared / norms if norms else 0.0)
        far.append(0.0 if shared else 1.0)
    votes = []
    for bit in range(len(codes[0])):
        vote = 0.0
        for weights, direction in ((near, 1), (far, -1)):
            total = sum(weights)
            if total:
                column = zip(weights, codes, strict=True)
                vote += direction * sum(w * code[bit] for w, code in column) / total
        votes.append(vote)
    return [1 if vote > -1e-12 else -1 for vote in votes]


def momentum_sign_steps(gradients, lr, momentum):
    """MI-FGSM, Eq. 6 and 7, for one query from 0: the gradients as they come."""
    place, speed = [0.0] * len(gradients[0]), [0.0] * len(gradients[0])
    for gradient in gradients:
        norm = sum(abs(v) for v in gradient)
        unit = [v / norm if norm else 0.0 for v in gradient]
        speed = [momentum * s + u for s, u in zip(speed, unit, strict=True)]
        place = [p - lr * ((s > 0) - (s < 0)) for p, s in zip(place, speed, strict=True)]
    return place


def nesterov_sign_steps(gradient_at, start, lr, momentum, steps):
    """NI-FGSM for one query: the gradient is taken where the speed alone would lead."""
    place, speed = list(start), [0.0] * len(start)
    for _ in range(steps):
        ahead = [p - lr * momentum * s for p, s in zip(place, speed, strict=True)]
        gradient = gradient_at(ahead)
        norm = sum(abs(v) for v in gradient)
        speed = [momentum * s + v / norm for s, v in zip(speed, gradient, strict=True)]
        place = [p - lr * ((s > 0) - (s < 0)) for p, s in zip(place, speed, strict=True)]
    return place


def project(perturbation, clean, epsilon):
    """HAG Eq. 4 for tensors: the nearest perturbation in the ball that keeps inputs in [0, 1]."""
    lowest, highest = (-clean).clamp(min=-epsilon), (1 - clean).clamp(max=epsilon)
    return perturbation.maximum(lowest).minimum(highest)
