"""What an attack minimises: logits and references in, one loss value per query out."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_hash.attacks.references import Reference
from lightning_hash.utils.settings import Part


class Objective(Part, nn.Module, ABC):
    """Base of all objectives.

    Whoever calls it sums the losses over the batch, so that no query's gradient depends on its
    neighbours. ``settings()`` of an objective is that of its constructor alone; the reference
    describes itself.

    Attributes:
        name: the name in tables and result rows.
        reference: what it compares with, unless the user gives another.
        iterative: whether there is anything to optimise. ``False`` means that the perturbation
            stays as it was drawn.
        compares_layers: whether it is also given, in a column behind the logits, how unlike the
            victim's Conv2d outputs are for perturbed images and for the perturbation alone.
        flat_at_clean: whether its gradient is 0 at the clean query, so that an attack must begin
            elsewhere.
        clamps: whether its gradient is 0 where codes are far from what it compares with, whatever
            the victim.
    """

    name: str
    reference: Reference
    iterative: bool = True
    compares_layers: bool = False
    flat_at_clean: bool = False
    clamps: bool = False

    @abstractmethod
    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss of each query.

        Args:
            logits: ``(B, K)`` floating, H(x') of the perturbed queries; ``(B, D)`` of what the hash
                layer sees of them, where the reference consists of features.
            reference: rows of what the reference returned.
            alpha: slope of the hash activation tanh(alpha H), in (0, 1].

        Returns:
            ``(B,)`` losses, each a function of its own row only.
        """

    def penalty(self, perturbed: Tensor, clean: Tensor) -> Tensor | None:
        """Return what is added to the loss of each query for its change, by default nothing.

        Args:
            perturbed: ``(B, ...)``, as the victim gets them.
            clean: ``(B, ...)``, the same queries unchanged.

        Returns:
            ``(B,)``, or ``None``.
        """
        return None

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Tell which queries' codes have nothing left to flip; by default none.

        Args:
            logits: ``(B, K)`` floating, H(x') of the perturbed queries.
            reference: rows of what the reference returned.

        Returns:
            bool ``(B,)``.
        """
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
