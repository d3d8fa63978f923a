"""Hash centres: codes far from each other, one per class."""

import torch
from torch import Tensor

DRAWS = 10_000
# Pairs of equal centres in a draw, on average, from which on no draw is without one: e^-40.
HOPELESS = 40


def hash_centers(num_classes: int, bits: int, seed: int = 0) -> Tensor:
    """Choose a centre for each class (Yuan et al., CVPR 2020, 3.1 and Alg. 1).

    With K a power of 2 and at most 2 K classes they are rows of the Hadamard matrix and of its
    negative; else bits of a fair coin, tossed until the mean distance of two centres is at least
    K / 2 and no two are equal.

    Args:
        num_classes: C, at least 1.
        bits: K, at least 1.
        seed: seed of the coin.

    Returns:
        float32 ``(C, K)`` of -1/+1.

    Raises:
        ValueError: if no such centres are found.

    Example:
        >>> hash_centers(3, 2)
        tensor([[ 1.,  1.],
                [ 1., -1.],
                [-1., -1.]])
    """
    if bits & (bits - 1) == 0 and num_classes <= 2 * bits:
        return _hadamard_rows(num_classes, bits)
    generator = torch.Generator().manual_seed(seed)
    pairs = num_classes * (num_classes - 1) // 2
    hopeless = pairs > HOPELESS * 2**bits
    for _ in range(0 if hopeless else DRAWS):
        coins = torch.randint(0, 2, (num_classes, bits), generator=generator)
        ones = coins.sum(dim=0)
        # Each bit adds 1 to the distance of a pair that it tells apart.
        distance = int((ones * (num_classes - ones)).sum())
        if 2 * distance >= bits * pairs and len(torch.unique(coins, dim=0)) == num_classes:
            return coins.float() * 2 - 1
    msg = (
        f"bits = {bits}: no {num_classes} hash centres with a mean distance of bits / 2 in {DRAWS} "
        "draws; take more bits"
    )
    raise ValueError(msg)


def _hadamard_rows(rows: int, bits: int) -> Tensor:
    """Return the first rows ``(rows, bits)`` of Sylvester's matrix and then of its negative."""
    row, column = torch.arange(rows), torch.arange(bits)
    common = (row % bits)[:, None] & column
    odd = torch.zeros_like(common)
    while common.any():
        odd ^= common & 1
        common = common >> 1
    return (1 - 2 * (odd ^ (row >= bits).long()[:, None])).float()
