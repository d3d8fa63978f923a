"""Binary codes: from logits, by vote, and how well their bits are used."""

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_voters


def sign_code(logits: Tensor) -> Tensor:
    """Binarise logits (HAG Eq. 1): sign(0) = -1.

    Args:
        logits: ``(..., K)`` floating, finite.

    Returns:
        int8 codes of -1/+1 of the same shape.

    Example:
        >>> sign_code(torch.tensor([0.3, 0.0, -2.0]))
        tensor([ 1, -1, -1], dtype=torch.int8)
    """
    return (logits > 0).to(torch.int8) * 2 - 1


def anchor_code(codes: Tensor) -> Tensor:
    """Vote bit by bit (DHTA Alg. 1); a tie gives +1, in the authors' code 0.

    Args:
        codes: ``(n, K)`` of -1/+1, any real dtype, n at least 1.

    Returns:
        ``(K,)`` of -1/+1 in the dtype of ``codes``.

    Raises:
        ValueError: if ``codes`` is empty or not two-dimensional.

    Example:
        >>> anchor_code(torch.tensor([[1, -1, 1], [1, -1, -1]]))
        tensor([ 1, -1,  1])
    """
    check_voters(codes)
    return torch.where(codes.sum(dim=0) >= 0, 1, -1).to(codes.dtype)


def code_balance(codes: Tensor) -> Tensor:
    """Return the mean of each bit, 0 for a balanced one.

    Args:
        codes: ``(N, K)`` of -1/+1.

    Returns:
        float64 ``(K,)`` in [-1, 1].
    """
    return codes.double().mean(dim=0)


def bit_correlation(codes: Tensor) -> Tensor:
    """Return the mean absolute correlation between different bits; constant bits count 0.

    Args:
        codes: ``(N, K)`` of -1/+1.

    Returns:
        float64 scalar in [0, 1]; 0 for K = 1.
    """
    bits = codes.shape[1]
    if bits < 2:
        return torch.zeros((), dtype=torch.float64, device=codes.device)
    centred = codes.double() - codes.double().mean(dim=0)
    norm = centred.norm(dim=0)
    unit: Tensor = centred / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    correlation = (unit.T @ unit).abs()
    return (correlation.sum() - correlation.diagonal().sum()) / (bits * (bits - 1))
