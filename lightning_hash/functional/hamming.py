"""Hamming distances between codes of -1/+1."""

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_pair


def hamming_distance(a: Tensor, b: Tensor) -> Tensor:
    """Count the bits in which codes differ, d = (K - a b^T) / 2.

    Args:
        a: ``(Q, K)`` of -1/+1, any real dtype.
        b: ``(N, K)`` of -1/+1.

    Returns:
        int32 ``(Q, N)`` in [0, K].

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value is not -1 or +1, or the numbers of bits differ.

    Example:
        >>> hamming_distance(torch.tensor([[1, 1, -1]]), torch.tensor([[1, 1, -1], [-1, -1, -1]]))
        tensor([[0, 2]], dtype=torch.int32)
    """
    check_pair(a, b)
    return distances(a.float(), b.float())


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return :func:`hamming_distance` of checked float32 codes; exact up to 2^24 bits."""
    return ((a.shape[1] - a @ b.T) / 2).to(torch.int32)
