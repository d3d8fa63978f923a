"""Numbers of images as 8-bit integers."""

import torch
from torch import Tensor


def from_8bit(values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Divide by 255, with the same bits on every device.

    CUDA multiplies by the reciprocal of a Python number, which rounds differently for half of the
    256 values; it divides by a tensor on the device.

    Args:
        values: any shape, in [0, 255].
        dtype: of the result, floating.

    Returns:
        A new tensor of the same shape in [0, 1].

    Example:
        >>> from_8bit(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    most = torch.full((), 255.0, dtype=dtype, device=values.device)
    return values.to(dtype) / most
