"""Hash centres: codes far from each other, one per class."""

from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_hash.losses.separated_centers import separated_centers

DRAWS = 10_000
# Pairs of equal centres in a draw, on average, from which on no draw is without one: e^-40.
HOPELESS = 40

CenterRule = Literal["csq", "random", "mdshc"]


def check_center_rule(rule: str) -> None:
    """Check the name of a rule.

    Raises:
        ValueError: if there is no such rule.
    """
    if rule not in get_args(CenterRule):
        msg = f"center_rule must be one of {', '.join(get_args(CenterRule))}, got {rule!r}"
        raise ValueError(msg)


def hash_centers(
    num_classes: int, bits: int, seed: int = 0, center_rule: CenterRule = "csq"
) -> Tensor:
    """Choose a centre for each class.

    - ``csq`` (Yuan et al., CVPR 2020, 3.1 and Alg. 1): with K a power of 2 and at most 2 K classes
      they are rows of the Hadamard matrix and of its negative; else bits of a fair coin, tossed
      until the mean distance of two centres is at least K / 2 and no two are equal.
    - ``mdshc`` (Wang et al., CVPR 2023): the same rows where there are enough, else codes of a
      smallest distance, by :func:`lightning_hash.losses.separated_centers`.
    - ``random``: bits of a fair coin, as DPN and OrthoHash take by default, tossed until no two are
      equal; theirs may be.

    Args:
        num_classes: C, at least 1.
        bits: K, at least 1.
        seed: seed of the coin.
        center_rule: which of them.

    Returns:
        float32 ``(C, K)`` of -1/+1.

    Raises:
        ValueError: if no such centres are found, or there is no such rule.

    Example:
        >>> hash_centers(3, 2)
        tensor([[ 1.,  1.],
                [ 1., -1.],
                [-1., -1.]])
    """
    check_center_rule(center_rule)
    if center_rule != "random" and bits & (bits - 1) == 0 and num_classes <= 2 * bits:
        return _hadamard_rows(num_classes, bits)
    if center_rule == "mdshc":
        return separated_centers(num_classes, bits, seed)
    return _toss(num_classes, bits, seed, apart=center_rule == "csq")


def _toss(num_classes: int, bits: int, seed: int, *, apart: bool) -> Tensor:
    """Toss coins until no two centres are equal and, if asked for, K / 2 apart on average."""
    generator = torch.Generator().manual_seed(seed)
    pairs = num_classes * (num_classes - 1) // 2
    hopeless = num_classes > 2**bits or pairs > HOPELESS * 2**bits
    for _ in range(0 if hopeless else DRAWS):
        coins = torch.randint(0, 2, (num_classes, bits), generator=generator)
        ones = coins.sum(dim=0)
        # Each bit adds 1 to the distance of a pair that it tells apart.
        distance = int((ones * (num_classes - ones)).sum())
        far = not apart or 2 * distance >= bits * pairs
        if far and len(torch.unique(coins, dim=0)) == num_classes:
            return coins.float() * 2 - 1
    rule = " with a mean distance of bits / 2" if apart else ", no two of them equal,"
    remedy = ", or center_rule: mdshc" if num_classes <= 2**bits else ""
    msg = (
        f"bits = {bits}: no {num_classes} hash centres{rule} in {DRAWS} draws; take more bits"
        f"{remedy}"
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
