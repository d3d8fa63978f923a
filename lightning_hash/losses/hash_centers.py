"""Hash centres: codes far from each other, one per class."""

import torch
from torch import Tensor

DRAWS = 10_000


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
        hadamard = torch.ones(1, 1)
        while len(hadamard) < bits:
            top = torch.cat([hadamard, hadamard], dim=1)
            hadamard = torch.cat([top, torch.cat([hadamard, -hadamard], dim=1)])
        return torch.cat([hadamard, -hadamard])[:num_classes]
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.triu_indices(num_classes, num_classes, 1)
    for _ in range(DRAWS):
        centers = torch.randint(0, 2, (num_classes, bits), generator=generator).float() * 2 - 1
        distances = (bits - centers @ centers.T)[pairs[0], pairs[1]] / 2
        if num_classes == 1 or (distances.mean() >= bits / 2 and distances.min() >= 1):
            return centers
    msg = (
        f"bits = {bits}: no {num_classes} hash centres with a mean distance of bits / 2 in {DRAWS} "
        "draws; take more bits"
    )
    raise ValueError(msg)
