"""What an attack minimises: reference state and logits in, one loss value per query out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ReferenceState:
    """What is known of the queries under attack before the first iteration.

    Attributes:
        clean_logits: ``(Q, K)`` floating, H(x) of the clean queries.
        anchor_codes: ``(Q, K)`` of -1/+1, the anchor code of each query's target (DHTA Alg. 1), or
            ``None`` where no target was drawn.
    """

    clean_logits: Tensor
    anchor_codes: Tensor | None


class Objective(nn.Module, ABC):
    """Base of all objectives.

    An objective sees logits only. Whoever calls it sums the losses over the batch, so that no
    query's gradient depends on its neighbours.

    Attributes:
        name: the name in tables and result rows.
        targeted: whether the objective needs a target (an anchor code).
        iterative: whether there is anything to optimise. ``False`` means that the perturbation
            stays as it was drawn.
    """

    name: str
    targeted: bool
    iterative: bool = True

    @abstractmethod
    def reference(self, state: ReferenceState) -> Tensor:
        """Pick the reference of this objective.

        Args:
            state: what is known of the queries.

        Returns:
            ``(Q, K)`` tensor, handed row by row to :meth:`forward`.
        """

    @abstractmethod
    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss of each query.

        Args:
            logits: ``(B, K)`` floating, H(x') of the perturbed queries.
            reference: ``(B, K)``, rows of what :meth:`reference` returned.
            alpha: slope of the hash activation tanh(alpha H), in (0, 1].

        Returns:
            ``(B,)`` losses, each a function of its own row only.
        """


class HAG(Objective):
    """Push the code away from the clean query's code (HAG Eq. 6, mask of Eq. 7, F of Eq. 10).

    The mask leaves out the bits that have flipped with a margin. When none is left the loss is
    exactly zero and so is its gradient.

    Args:
        threshold: t of Eq. 7 in [0, 1], the margin by which a flipped bit must have flipped before
            it is left alone; 0.5 in the paper.

    Raises:
        ValueError: if ``threshold`` is outside [0, 1].

    Example:
        >>> objective = HAG()
        >>> clean = torch.tensor([[2.0, -2.0]])
        >>> objective(clean, clean, alpha=1.0) > objective(clean.flip(1), clean, alpha=1.0)
        tensor([True])
    """

    name = "hag"
    targeted = False

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= threshold <= 1.0:
            msg = f"threshold must be in [0, 1] (t of HAG Eq. 7), got {threshold}"
            raise ValueError(msg)
        self.threshold = threshold

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the clean logits ``(Q, K)``: F(x) is taken at the alpha of the iteration."""
        return state.clean_logits

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute HAG Eq. 6 per query; see :meth:`Objective.forward`."""
        adversarial = torch.tanh(alpha * logits)
        clean = torch.tanh(alpha * reference)
        clean_code = torch.where(reference > 0, 1.0, -1.0)
        # Not "< 1 + t": a NaN must stay in the loss, not pass for a bit that has flipped.
        mask = ~((adversarial.detach() - clean_code).abs() >= 1 + self.threshold)
        kept = mask.sum(dim=1)
        similarity = (clean * adversarial * mask).sum(dim=1) / kept.clamp(min=1)
        return torch.where(kept > 0, (similarity + 1).square(), 0.0)


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


class Noise(Objective):
    """No objective: uniform noise in the epsilon ball, the baseline of both papers."""

    name = "noise"
    targeted = False
    iterative = False

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the clean logits ``(Q, K)``; they are not used."""
        return state.clean_logits

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Return a zero loss per query."""
        return logits.new_zeros(len(logits))
