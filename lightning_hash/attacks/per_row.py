"""A value for each query, beside a tensor that has a row for each."""

from torch import Tensor


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Return values ``(B,)`` as they broadcast against ``like`` ``(B, ...)``.

    Example:
        >>> import torch
        >>> per_row(torch.ones(2), torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 1, 1, 1])
    """
    return values.view(-1, *[1] * (like.dim() - 1))
