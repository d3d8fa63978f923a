"""DHTA: pull the code towards the anchor code of the target."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective, ReferenceState


class AnchorCode(Objective):
    """Pull the code towards the target's anchor code (DHTA Eq. 9).

    With one item in the anchor set this is the point-to-point attack P2P.

    Example:
        >>> objective = AnchorCode()
        >>> anchor = torch.tensor([[1.0, -1.0]])
        >>> objective(torch.tensor([[40.0, -40.0]]), anchor, alpha=1.0)
        tensor([-1.])
    """

    name = "dhta"
    targeted = True

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the anchor codes ``(Q, K)``.

        Raises:
            ValueError: if no target was drawn for the queries.
        """
        if state.anchor_codes is None:
            msg = (
                "AnchorCode needs a target per query, but none could be drawn; give a database in "
                "which at least two label vectors occur more than n_t times, or a target file"
            )
            raise ValueError(msg)
        return state.anchor_codes

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute DHTA Eq. 9 per query; see :meth:`Objective.forward`."""
        return -(reference * torch.tanh(alpha * logits)).mean(dim=1)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where the code is the reference's; see :meth:`Objective.finished`."""
        return ((logits > 0) == (reference > 0)).all(dim=1)
