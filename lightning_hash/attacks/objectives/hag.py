"""HAG: push the code away from the clean query's."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import CleanLogits


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

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= threshold <= 1.0:
            msg = f"threshold must be in [0, 1] (t of HAG Eq. 7), got {threshold}"
            raise ValueError(msg)
        self.threshold = threshold
        self.reference = CleanLogits()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute HAG Eq. 6 per query; see :meth:`Objective.forward`."""
        adversarial, clean = torch.tanh(alpha * logits), torch.tanh(alpha * reference)
        similarity, kept = self.masked_similarity(adversarial, clean, reference)
        return torch.where(kept > 0, (similarity + 1).square(), 0.0)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where every bit differs from the clean query's; see :meth:`Objective.finished`."""
        return ((logits > 0) != (reference > 0)).all(dim=1)

    def masked_similarity(
        self, adversarial: Tensor, clean: Tensor, reference: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the inner product of the bits that the mask of Eq. 7 keeps, over their number.

        Args:
            adversarial: ``(B, K)``, F(x').
            clean: ``(B, K)``, F(x).
            reference: ``(B, K)``, H(x).

        Returns:
            ``(B,)`` similarities in [-1, 1] and ``(B,)`` int, the bits kept.
        """
        clean_code = torch.where(reference > 0, 1.0, -1.0)
        # Not "< 1 + t": a NaN must stay in the loss, not pass for a bit that has flipped.
        mask = ~((adversarial.detach() - clean_code).abs() >= 1 + self.threshold)
        kept = mask.sum(dim=1)
        return (clean * adversarial * mask).sum(dim=1) / kept.clamp(min=1), kept


class HAGCode(HAG):
    """HAG as in its authors' public code.

    F of the clean query is taken at alpha = 1 throughout, beta mean(F')^2 is added, where F' is
    tanh(alpha H(x')), and a query whose bits have all flipped is left alone.

    Args:
        threshold: t of Eq. 7 in [0, 1].
        beta: weight of the squared mean of F', not negative.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> objective, clean = HAGCode(), torch.tensor([[20.0, 20.0]])
        >>> objective(torch.tensor([[20.0, -20.0], [-20.0, -20.0]]), clean, alpha=1.0)
        tensor([4., 0.])
    """

    name = "hag-code"

    def __init__(self, threshold: float = 0.5, beta: float = 1.0) -> None:
        super().__init__(threshold)
        if not beta >= 0:
            msg = f"beta must not be negative, got {beta}"
            raise ValueError(msg)
        self.beta = beta

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query; see :meth:`Objective.forward`."""
        adversarial, clean = torch.tanh(alpha * logits), torch.tanh(reference)
        similarity, kept = self.masked_similarity(adversarial, clean, reference)
        losses = torch.where(kept > 0, (similarity + 1).square(), 0.0)
        losses = losses + self.beta * adversarial.mean(dim=1).square()
        return torch.where(self.finished(logits, reference), 0.0, losses)
