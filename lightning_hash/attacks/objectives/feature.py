"""The feature-based attack that DHTA compares with."""

from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective, ReferenceState


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
    targeted = True
    sees = "features"

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the features ``(Q, D)`` of the targets' items.

        Raises:
            ValueError: if there are none.
        """
        if state.anchor_features is None:
            msg = (
                "TargetFeatures needs a target per query and the images of the database, but none "
                "could be drawn; give a database in which at least two label vectors occur more "
                "than n_t times, or a target file"
            )
            raise ValueError(msg)
        return state.anchor_features

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the distance per query, of features; see :meth:`Objective.forward`."""
        return (logits - reference).square().mean(dim=1)
