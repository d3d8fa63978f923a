"""Thresholds of near-duplicate search: two images match where d <= T."""

from math import comb

# PDQ's own threshold: 31 of 256 bits (github.com/facebook/ThreatExchange, hashing/hashing.pdf).
PDQ_THRESHOLD, PDQ_BITS = 31, 256


def default_threshold(bits: int) -> int:
    """Return PDQ's share of the bits, floor(31 K / 256).

    Args:
        bits: K.

    Example:
        >>> [default_threshold(bits) for bits in (16, 32, 64, 256)]
        [1, 3, 7, 31]
    """
    return PDQ_THRESHOLD * bits // PDQ_BITS


def random_match_rate(threshold: int, bits: int) -> float:
    """Return the share of pairs of random codes that match, P(X <= T) of X ~ Binomial(K, 1/2).

    By symmetry it is 1 - P(X <= K - T - 1), the false-positive rate of Struppek et al. (2022).

    Args:
        threshold: T in [0, K].
        bits: K.

    Returns:
        In (0, 1], exact up to the rounding of its last digit.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> random_match_rate(1, 3)
        0.5
    """
    if bits < 1 or not 0 <= threshold <= bits:
        msg = f"threshold must be from 0 to the {bits} bits of a code, got {threshold}"
        raise ValueError(msg)
    matching: int = sum(comb(bits, differing) for differing in range(threshold + 1))
    return matching / (1 << bits)
