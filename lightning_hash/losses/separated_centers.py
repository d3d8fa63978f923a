"""Hash centres of a smallest distance, for more classes than a Hadamard matrix has rows."""

import math

import torch
from torch import Tensor

CHUNK = 1024  # codes that are drawn at a time
IDLE = 64  # chunks without a code that is far enough, after which the distance is one bit less
SMALL = 14  # bits up to which all codes are looked at, in a drawn order
ORDERS = 20  # that are tried at a distance


def gilbert_varshamov_distance(num_classes: int, bits: int) -> int:
    """Return the smallest distance of centres that MDSHC asks for (Wang et al., CVPR 2023).

    The smallest d with V(d - 1) >= 2^K / C, V(r) = sum_{j <= r} binomial(K, j), the codes within r
    bits of one: `get_margin` of optimizeAccel.py (Wangld5/Center-Hashing). The Gilbert-Varshamov
    bound promises C codes that are d - 1 apart, and d apart where both sides are equal.

    Args:
        num_classes: C, in 1..2^K.
        bits: K, at least 1.

    Returns:
        d in bits, at least 1.

    Raises:
        ValueError: if there are more classes than codes.

    Example:
        >>> gilbert_varshamov_distance(196, bits=32)
        10
    """
    if num_classes > 2**bits:
        msg = f"bits = {bits}: no {num_classes} hash centres, there are {2**bits}; take more bits"
        raise ValueError(msg)
    volume, distance = 1, 1  # V(0)
    while volume * num_classes < 2**bits:
        volume += math.comb(bits, distance)
        distance += 1
    return distance


def separated_centers(num_classes: int, bits: int, seed: int = 0) -> Tensor:
    """Choose centres of which no two are nearer than MDSHC's distance.

    Codes are drawn, and each is kept that is far enough from all before it, as in the proof of the
    Gilbert-Varshamov bound. Where that finds too few at :func:`gilbert_varshamov_distance`, it
    looks for them one bit nearer, where the bound promises them, and so on. Deliberate difference:
    the authors also make the mean distance large, and move centres one after the other by an
    augmented Lagrangian (lp-box ADMM) for at most 50 rounds, the nearest of which may stay nearer.

    Args:
        num_classes: C, at least 1.
        bits: K, at least 1.
        seed: seed of the draws.

    Returns:
        float32 ``(C, K)`` of -1/+1.

    Raises:
        ValueError: if there are more classes than codes.

    Example:
        >>> centers = separated_centers(40, bits=16)
        >>> int(torch.pdist(centers, p=1).min() / 2), gilbert_varshamov_distance(40, bits=16)
        (5, 5)
    """
    generator = torch.Generator().manual_seed(seed)
    for distance in range(gilbert_varshamov_distance(num_classes, bits), 0, -1):
        for _ in range(ORDERS if bits <= SMALL else 1):
            centers = _far_codes(num_classes, bits, distance, generator)
            if len(centers) == num_classes:
                return centers
    msg = f"bits = {bits}: no {num_classes} hash centres were found; take more bits"
    raise ValueError(msg)


def _far_codes(count: int, bits: int, distance: int, generator: torch.Generator) -> Tensor:
    """Return up to ``count`` codes that are ``distance`` bits from each other, ``(n, K)``."""
    chosen, idle = torch.empty(0, bits), 0
    largest = bits - 2 * distance  # product of two codes that are just far enough
    while len(chosen) < count and idle < IDLE:
        drawn = _draw(bits, generator)
        free = drawn[(drawn @ chosen.T <= largest).all(dim=1)]
        kept: list[Tensor] = []
        while len(free) and len(chosen) + len(kept) < count:
            kept.append(free[0])
            free = free[free @ free[0] <= largest]
        idle = 0 if kept else idle + 1
        chosen = torch.cat([chosen, *(code[None] for code in kept)])
        if bits <= SMALL:
            break
    return chosen


def _draw(bits: int, generator: torch.Generator) -> Tensor:
    """Draw codes ``(n, K)``; all there are, where these are few."""
    if bits > SMALL:
        return torch.randint(0, 2, (CHUNK, bits), generator=generator) * 2.0 - 1
    numbers = torch.randperm(2**bits, generator=generator)
    return ((numbers[:, None] >> torch.arange(bits)) & 1) * 2.0 - 1
