"""One objective on several victims at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import JointReference


class JointObjective(Objective):
    """The sum of an objective over several victims, each on its own bits.

    Args:
        objective: what is minimised for each.
        parts: the bits of each victim in the code.

    Raises:
        ValueError: if the objective's reference consists of features.

    Example:
        >>> from lightning_hash.attacks import AnchorCode
        >>> joint = JointObjective(AnchorCode(), [slice(0, 1), slice(1, 3)])
        >>> joint(torch.tensor([[90.0, -90.0, -90.0]]), torch.tensor([[1.0, 1.0, -1.0]]), alpha=1.0)
        tensor([-1.])
    """

    def __init__(self, objective: Objective, parts: Sequence[slice]) -> None:
        super().__init__()
        self.objective, self.parts = objective, tuple(parts)
        self.reference = JointReference(objective.reference, parts)
        self.name, self.iterative = objective.name, objective.iterative

    def settings(self) -> dict[str, Any]:
        """Return the settings of each victim's objective."""
        return self.objective.settings()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the sum per query; see :meth:`Objective.forward`."""
        losses = [self.objective(logits[:, p], reference[:, p], alpha) for p in self.parts]
        return torch.stack(losses).sum(dim=0)

    def penalty(self, perturbed: Tensor, clean: Tensor) -> Tensor | None:
        """Return the sum per query over the victims."""
        penalty = self.objective.penalty(perturbed, clean)
        return None if penalty is None else penalty * len(self.parts)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where no victim's code has anything left to flip."""
        each = [self.objective.finished(logits[:, p], reference[:, p]) for p in self.parts]
        return torch.stack(each).all(dim=0)
