"""SS-TUAA: pull the codes of all images to one anchor code by one delta."""

from torch import Tensor, tanh, where

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import AnchorCodes
from lightning_hash.utils.numbers import check_weight


class SSTUAA(Objective):
    """Pull the bits that are not there yet to the anchor code (SS-TUAA, Zhu et al., ICASSP 2024).

    Per image 1 - sum_k m_k a_k F_k(x') / sum_k m_k, m_k = 1 where abs(a_k - F_k) > margin, and
    weight times the mean over the victim's Conv2d outputs of 1 - cos(f(x'), f(delta)), delta passed
    as an image of its own. [ours] Where every bit is there the first part is 0, not 0 / 0.

    Args:
        margin: in [0, 2), how far a bit may be from the anchor's to be left alone; 0.3 in the
            paper.
        weight: of the feature consistency, not negative; 1 in the paper. 0 leaves it out, for
            victims without Conv2d layers, several victims or clips.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> import torch
        >>> anchor = torch.tensor([[1.0, -1.0]])
        >>> SSTUAA()(torch.tensor([[40.0, 40.0], [40.0, -40.0]]), anchor.expand(2, 2), alpha=1.0)
        tensor([2., 0.])
    """

    name = "ss-tuaa"

    def __init__(self, margin: float = 0.3, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= margin < 2:
            msg = f"margin must be in [0, 2), got {margin}"
            raise ValueError(msg)
        check_weight("weight", weight)
        self.margin, self.weight = margin, weight
        self.compares_layers = weight > 0
        self.reference = AnchorCodes()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per image; see :meth:`Objective.forward`.

        Args:
            logits: ``(B, K)``, H(x'); or ``(B, K + 1)``, the inconsistency of the layers behind
                them, see :class:`lightning_hash.attacks.layers.LayerConsistency`.
            reference: ``(B, K)`` of -1/+1.
            alpha: slope of the hash activation tanh(alpha H).
        """
        bits = reference.shape[1]
        activation = tanh(alpha * logits[:, :bits])
        # Not "> margin": a NaN must stay in the loss, not pass for a bit that is there.
        mask = ~((reference - activation).abs() <= self.margin)
        kept = mask.sum(dim=1)
        product = (reference * activation * mask).sum(dim=1) / kept.clamp(min=1)
        losses = where(kept > 0, 1 - product, 0.0)
        return losses + self.weight * logits[:, bits:].sum(dim=1)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where the code is the reference's; see :meth:`Objective.finished`."""
        return ((logits > 0) == (reference > 0)).all(dim=1)
