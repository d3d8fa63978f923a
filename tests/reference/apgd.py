"""APGD of one query in plain Python lists, after Algorithm 1 of Croce and Hein (ICML 2020).

Constants, the rounding of the gaps, "at most" and the first look as in auto-attack's
autopgd_base.py (attack_single_run); better is (success, -loss) in place of the loss.
"""

import math


def clip(values, clean, epsilon, norm):
    if norm == "l2":
        length = math.sqrt(sum((v - c) ** 2 for v, c in zip(values, clean, strict=True)))
        share = min(1.0, epsilon / length) if length > 0 else 1.0
        values = [c + (v - c) * share for v, c in zip(values, clean, strict=True)]
    else:
        values = [min(max(v, c - epsilon), c + epsilon) for v, c in zip(values, clean, strict=True)]
    return [min(max(v, 0.0), 1.0) for v in values]


def direction(gradient, norm):
    if norm == "l2":
        length = math.sqrt(sum(g * g for g in gradient))
        return [g / length if length > 0 else 0.0 for g in gradient]
    return [(g > 0) - (g < 0) for g in gradient]


def apgd(evaluate, clean, epsilon, passes, norm="linf", start=None):
    """Return the best point, its value, and the points that were evaluated.

    ``evaluate`` takes a point and returns (success, loss, gradient).
    """
    first, shorter, shortest = (
        max(int(share * passes), 1) for share in (0.22, 0.03, 0.06)
    )  # fmt: skip
    x = list(clean if start is None else start)
    before = list(x)
    success, loss, gradient = evaluate(x)
    last = best = looked = (success, -loss)
    best_x, best_gradient = list(x), list(gradient)
    eta, gap, since, better, halved = 2 * epsilon, first, 0, 0, True
    seen = [list(x)]
    for step in range(passes - 1):
        z = [a - eta * d for a, d in zip(x, direction(gradient, norm), strict=True)]
        z = clip(z, clean, epsilon, norm)
        weight = 1.0 if step == 0 else 0.75
        new = [
            a + weight * (b - a) + (1 - weight) * (a - c)
            for a, b, c in zip(x, z, before, strict=True)
        ]
        before, x = x, clip(new, clean, epsilon, norm)
        seen.append(list(x))
        success, loss, gradient = evaluate(x)
        value = (success, -loss)
        better += value > last
        last = value
        if value > best:
            best, best_x, best_gradient = value, list(x), list(gradient)
        since += 1
        if since == gap:
            halves = better <= 0.75 * gap or (not halved and not best > looked)
            if halves:
                eta /= 2
                x, gradient = list(best_x), list(best_gradient)
            halved, looked, better, since = halves, best, 0, 0
            gap = max(gap - shorter, shortest)
    return best_x, best, seen
