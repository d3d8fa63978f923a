"""What harmless transforms do, pixel by pixel and from their definitions."""

import math


def crop_box(size, share, draws):
    """Left, top, right and bottom of a crop of a share of both sides at drawn places."""
    width, height = size
    w, h = round(width * share), round(height * share)
    left = int(draws[0] * (width - w + 1))
    top = int(draws[1] * (height - h + 1))
    return left, top, left + w, top + h


def random_matches(threshold, bits):
    """Share of all pairs of codes at a distance of at most a threshold, by counting them all."""
    near = sum(bin(code).count("1") <= threshold for code in range(2**bits))
    return near / 2**bits


def binomial_false_positives(threshold, bits):
    """1 - BinomCDF(K - T - 1; K, 1/2), as near-duplicate papers write it (exact in floats)."""
    below = sum(math.comb(bits, k) * 0.5**bits for k in range(bits - threshold))
    return 1 - below


def statistics(distances, threshold, bits):
    """Mean, standard error, bit-flip rate and detection rate of distances."""
    n = len(distances)
    mean = sum(distances) / n
    variance = sum((d - mean) ** 2 for d in distances) / (n - 1)
    detected = len([d for d in distances if d <= threshold]) / n
    return mean, math.sqrt(variance / n), mean / bits, detected
