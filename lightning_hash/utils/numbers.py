"""Numbers that a person gives, in their range."""

import math

LARGEST_SEED = 2**63 - 1  # torch's generators take it


def check_weight(name: str, value: float, *, positive: bool = False) -> None:
    """Check a weight, rate or width.

    Args:
        name: the argument's name.
        value: what was given.
        positive: whether zero is refused too.

    Raises:
        ValueError: if it is negative, zero where that is refused, or not finite.
    """
    if not (value > 0 if positive else value >= 0):
        msg = f"{name} must {'be positive' if positive else 'not be negative'}, got {value}"
        raise ValueError(msg)
    if not math.isfinite(value):
        msg = f"{name} must be finite, got {value}"
        raise ValueError(msg)


def check_seed(name: str, value: int) -> None:
    """Check the seed of a generator.

    Args:
        name: the argument's name.
        value: what was given.

    Raises:
        ValueError: if it is not from 0 to LARGEST_SEED.
    """
    if not 0 <= value <= LARGEST_SEED:
        msg = f"{name} must be {'at least 0' if value < 0 else 'at most 2^63 - 1'}, got {value}"
        raise ValueError(msg)
