"""Smallest epsilons in closed form and by trying every level."""

import math


def level_to_flip(weights, bias, pixels):
    """Return the smallest whole e at which a bit of a linear victim flips within e of an image.

    The bit is the sign of ``sum w_i p_i + bias`` with p on the 0..255 scale and |w_i| 0 or 1; the
    sum is never 0. Moved against the bit, every pixel with a weight changes it by e, as long as no
    pixel leaves [0, 255]: it flips once e times the number of these pixels exceeds the margin.
    """
    margin = abs(sum(w * p for w, p in zip(weights, pixels, strict=True)) + bias)
    count = sum(abs(w) for w in weights)
    return math.floor(margin / count) + 1


def smallest_to_leave(levels_of_bits, stop_at, most):
    """Return the smallest e that flips ``stop_at`` bits, each of which has pixels of its own."""
    found = sorted(levels_of_bits)[stop_at - 1]
    return found if found <= most else None


def smallest_to_reach(levels_of_bits, differs, stop_at, most):
    """Return the smallest e that leaves at most ``stop_at`` of the bits that differ from a goal."""
    wrong = sorted(level for level, bit in zip(levels_of_bits, differs, strict=True) if bit)
    if len(wrong) <= stop_at:
        return 0
    found = wrong[len(wrong) - stop_at - 1]
    return found if found <= most else None


def bisected(succeeds, most):
    """Return what bisection finds of one query: ``succeeds(e)`` for e = 1 to ``most``.

    Returns:
        The smallest level that it saw to succeed, or ``None``, and all that it looked at.
    """
    low, high, seen = 0, most + 1, []
    while high - low > 1:
        middle = (low + high) // 2
        seen.append(middle)
        if succeeds(middle):
            high = middle
        else:
            low = middle
    return (high if high <= most else None), seen
