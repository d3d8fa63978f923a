"""Distances that linear codes reach, from which HyP2 takes its threshold."""

# Largest known d of a linear code of K bits and 2^k words, for k = 1, 2, ...: Brouwer's and
# Grassl's tables (codetables.de), of which `codetable.xlsx` of HyP2-Loss holds 1 - 2 d / K.
DISTANCES = {
    8: (8, 5, 4, 4, 2, 2, 2, 1),
    12: (12, 8, 6, 6, 4, 4, 4, 3, 2, 2, 2, 1),
    16: (16, 10, 8, 8, 8, 6, 6, 5, 4, 4, 4, 2),
    20: (20, 13, 11, 10, 9, 8, 8, 8, 7, 6, 5, 4),
    24: (24, 16, 13, 12, 12, 10, 10, 8, 8, 8, 8, 8),
    32: (32, 21, 18, 16, 16, 16, 14, 13, 12, 12, 12, 10),
    36: (36, 24, 20, 18, 17, 16, 16, 16, 14, 14, 12, 12),
    40: (40, 26, 22, 20, 20, 18, 18, 16, 16, 16, 15, 14),
    48: (48, 32, 27, 24, 24, 24, 22, 22, 20, 20, 18, 18),
    56: (56, 37, 32, 29, 28, 28, 26, 24, 24, 24, 23, 22),
    64: (64, 42, 36, 33, 32, 32, 32, 29, 28, 28, 26, 26),
    96: (96, 64, 54, 50, 48, 48, 48, 46, 44, 44, 42, 41),
    128: (128, 85, 72, 68, 64, 64, 64, 64, 60, 60, 58, 57),
    256: (256, 170, 146, 136, 131, 128, 128, 128, 128, 124, 122, 122),
}


def code_threshold(bits: int, num_classes: int) -> float:
    """Return the cosine of two codes as far apart as those of a good linear code.

    1 - 2 d / K, d of the code of the smallest dimension k with 2^k >= C (HyP2, config.py: zeta).

    Args:
        bits: K, one of :data:`DISTANCES`.
        num_classes: C, at least 1; one class counts as two.

    Returns:
        A cosine in [-1, 1).

    Raises:
        ValueError: if the table does not have it.

    Example:
        >>> code_threshold(48, 20)  # d = 24
        0.0
    """
    dimension = max(1, (num_classes - 1).bit_length())
    row = DISTANCES.get(bits, ())
    if dimension > len(row):
        known = f"of up to {2 ** len(row)} classes" if row else f"has bits {sorted(DISTANCES)}"
        msg = (
            f"HyP2Loss: the table of codes of {bits} bits {known}, got bits = {bits} and "
            f"num_classes = {num_classes}; give the cosine, such as --model.loss.threshold 0.1"
        )
        raise ValueError(msg)
    return 1 - 2 * row[dimension - 1] / bits
