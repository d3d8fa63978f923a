"""Attacks on what the hash layer sees: the one that DHTA compares with, and away from the query."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import AnchorFeatures, CleanFeatures


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


class FeatureShift(Objective):
    """Push what the hash layer sees away from that of the clean query.

    With f the features of the clean query and f' those of the perturbed one it minimises

    - mean (f' - f)^2 / mean f^2

    so that the loss does not depend on the size of a network's features; where these are all 0, the
    distance stands by itself. The definition is ours. Label-free adversarial training of encoders
    maximises the squared distance without the denominator (FARE, Schlarmann et al., ICML 2024).
    The gradient is 0 at the clean query itself: give ``start_seed``. Alpha plays no part.

    Example:
        >>> import torch
        >>> FeatureShift()(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]), alpha=1.0)
        tensor([-0.2353])
    """

    name = "feature-shift"
    flat_at_clean = True

    def __init__(self) -> None:
        super().__init__()
        self.reference = CleanFeatures()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query, of features; see :meth:`Objective.forward`."""
        size = reference.square().mean(dim=1)
        scale = torch.where(size > 0, size, torch.ones_like(size))
        return -(logits - reference).square().mean(dim=1) / scale
