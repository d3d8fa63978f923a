"""DHTA: pull the code towards the anchor code of the target."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import AnchorCodes


class AnchorCode(Objective):
    """Pull the code towards a code, that of the target's anchor set by default (DHTA Eq. 9).

    With one item in the anchor set this is the point-to-point attack P2P.

    Example:
        >>> objective = AnchorCode()
        >>> anchor = torch.tensor([[1.0, -1.0]])
        >>> objective(torch.tensor([[40.0, -40.0]]), anchor, alpha=1.0)
        tensor([-1.])
    """

    name = "dhta"

    def __init__(self) -> None:
        super().__init__()
        self.reference = AnchorCodes()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute DHTA Eq. 9 per query; see :meth:`Objective.forward`."""
        return -(reference * torch.tanh(alpha * logits)).mean(dim=1)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where the code is the reference's; see :meth:`Objective.finished`."""
        return ((logits > 0) == (reference > 0)).all(dim=1)
