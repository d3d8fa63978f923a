"""Gradients of a loss in inputs, or a line that says why there are none."""

from collections.abc import Sequence

import torch
from torch import Tensor

CUT = (
    "no gradient of the loss reaches the input: the victim cuts it (detach, no_grad, NumPy, whole "
    "numbers); give logits that depend on the input by torch's own operations, or a search as step"
)


def input_gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a loss.

    Args:
        loss: scalar.
        inputs: what it is to depend on, all or some of them.

    Returns:
        The gradient in each; zeros in one on which the loss does not depend.

    Raises:
        ValueError: if it depends on none.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> input_gradients(x.square().sum(), [x])
        [tensor([2., 4.])]
    """
    if not loss.requires_grad:
        raise ValueError(CUT)
    found = torch.autograd.grad(loss, list(inputs), allow_unused=True)
    if all(gradient is None for gradient in found):
        raise ValueError(CUT)
    return [
        torch.zeros_like(each) if gradient is None else gradient
        for each, gradient in zip(inputs, found, strict=True)
    ]
