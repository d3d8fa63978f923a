"""Hinge: push or pull each logit until it has the right sign by a margin."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import AnchorCodes, CleanLogits


class Hinge(Objective):
    """Push each logit to the wanted sign, and past it by a margin.

    Per query the mean over k of relu(m - w_k H_k(x')), w the wanted code: minus the clean query's,
    or that of the target's anchor set. On logits and not on tanh of them: a saturated bit has as
    much gradient as any other, and none once it has flipped by the margin.

    Args:
        margin: m, in units of the logits, positive.
        targeted: pull towards the anchor code.

    Raises:
        ValueError: if ``margin`` is not positive.

    Example:
        >>> objective = Hinge()
        >>> objective(torch.tensor([[3.0, -1.0]]), torch.tensor([[2.0, 2.0]]), alpha=1.0)
        tensor([1.7500])
    """

    def __init__(self, margin: float = 0.5, targeted: bool = False) -> None:
        super().__init__()
        if not margin > 0:
            msg = f"margin must be positive, got {margin}"
            raise ValueError(msg)
        self.margin, self.targeted = margin, targeted
        self.name = "hinge-targeted" if targeted else "hinge"
        self.reference = AnchorCodes() if targeted else CleanLogits()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query, whatever alpha is; see :meth:`Objective.forward`."""
        return torch.relu(self.margin - self._wanted(reference) * logits).mean(dim=1)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where the code is the wanted one; see :meth:`Objective.finished`."""
        return ((logits > 0) == (self._wanted(reference) > 0)).all(dim=1)

    def _wanted(self, reference: Tensor) -> Tensor:
        code = torch.where(reference > 0, 1.0, -1.0)
        return code if self.targeted else -code
