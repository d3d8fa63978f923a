"""The feature-based attack that DHTA compares with."""

from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import AnchorFeatures


class TargetFeatures(Objective):
    """Pull what the hash layer sees towards that of an item with the target label (DHTA Table 9).

    The loss is the mean squared distance to the features of the anchor set's item, of several to
    their mean; alpha plays no part.

    Example:
        >>> import torch
        >>> TargetFeatures()(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]), alpha=1.0)
        tensor([2.])
    """

    name = "feature"

    def __init__(self) -> None:
        super().__init__()
        self.reference = AnchorFeatures()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the distance per query, of features; see :meth:`Objective.forward`."""
        return (logits - reference).square().mean(dim=1)
