"""Similarity by labels."""

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_label_widths

# Labels that are held as floating numbers at a time.
CHUNK = 2**27  # pragma: no mutate


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
    first = a.float()
    rows = max(1, CHUNK // max(1, b.shape[1]))  # pragma: no mutate
    return torch.cat([first @ part.float().T > 0.5 for part in torch.split(b, rows)], dim=1)


def pairwise_similarity(labels: Tensor) -> Tensor:
    """Return S of HAG Eq. 12: +1 where a label is shared, else -1.

    Args:
        labels: ``(B, C)`` of 0/1.

    Returns:
        float32 ``(B, B)`` of -1/+1.
    """
    return shares_label(labels, labels).float() * 2 - 1
