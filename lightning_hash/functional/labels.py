"""Similarity by labels."""

from torch import Tensor

from lightning_hash.functional.checks import check_label_widths


def shares_label(a: Tensor, b: Tensor) -> Tensor:
    """Tell which pairs share at least one label.

    Args:
        a: ``(Q, C)`` of 0/1, any real dtype.
        b: ``(N, C)`` of 0/1.

    Returns:
        bool ``(Q, N)``.

    Raises:
        ValueError: if the widths differ.

    Example:
        >>> import torch
        >>> shares_label(torch.tensor([[1, 0, 1]]), torch.tensor([[0, 0, 1], [0, 1, 0]]))
        tensor([[ True, False]])
    """
    check_label_widths(a, b)
    return a.float() @ b.float().T > 0.5


def pairwise_similarity(labels: Tensor) -> Tensor:
    """Return S of HAG Eq. 12: +1 where a label is shared, else -1.

    Args:
        labels: ``(B, C)`` of 0/1.

    Returns:
        float32 ``(B, B)`` of -1/+1.
    """
    return shares_label(labels, labels).float() * 2 - 1
