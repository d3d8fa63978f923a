"""HAG: push the code away from the clean query's."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import CleanLogits
from lightning_hash.utils.numbers import check_weight


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
        mask = self.mask(adversarial, reference)
        kept = mask.sum(dim=1)
        similarity = (clean * adversarial * mask).sum(dim=1) / kept.clamp(min=1)
        return torch.where(kept > 0, (similarity + 1).square(), 0.0)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where every bit differs from the clean query's; see :meth:`Objective.finished`."""
        return ((logits > 0) != (reference > 0)).all(dim=1)

    def mask(self, adversarial: Tensor, reference: Tensor) -> Tensor:
        """Return the mask of Eq. 7, bool ``(B, K)``.

        Args:
            adversarial: ``(B, K)``, F(x').
            reference: ``(B, K)``, H(x).
        """
        clean_code = torch.where(reference > 0, 1.0, -1.0)
        # Not "< 1 + t": a NaN must stay in the loss, not pass for a bit that has flipped.
        return ~((adversarial - clean_code).abs() >= 1 + self.threshold)


class HAGCode(HAG):
    """HAG as in its authors' public code (main.py of yangerkun's repository of the paper's name).

    F of the clean query is taken at alpha = 1 throughout, beta (1/K sum_k w_k F'_k)^2 is added,
    where F' is tanh(alpha H(x')), w the mask and K all bits, masked ones too, and a query whose
    bits have all flipped is left alone. Deliberate differences: that is looked at in every
    iteration, theirs in every tenth; sign(0) is -1 as in HAG Eq. 1, TensorFlow's is 0; a bit at the
    very threshold is left alone, theirs counts half.

    Args:
        threshold: t of Eq. 7 in [0, 1].
        beta: weight of the squared mean of the masked F', not negative; 1 in their code.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> objective, clean = HAGCode(), torch.tensor([[2.0, 2.0]])
        >>> objective(torch.tensor([[-3.0, 2.0], [-3.0, -2.0]]), clean, alpha=1.0)
        tensor([3.9547, 0.0000])
    """

    name = "hag-code"

    def __init__(self, threshold: float = 0.5, beta: float = 1.0) -> None:
        super().__init__(threshold)
        check_weight("beta", beta)
        self.beta = beta

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query; see :meth:`Objective.forward`."""
        adversarial, clean = torch.tanh(alpha * logits), torch.tanh(reference)
        mask = self.mask(adversarial, reference)
        kept, masked = mask.sum(dim=1), adversarial * mask
        similarity = (clean * masked).sum(dim=1) / kept.clamp(min=1)
        losses = (similarity + 1).square() + self.beta * masked.mean(dim=1).square()
        left = (kept > 0) & ~self.finished(logits, reference)
        return torch.where(left, losses, 0.0)
