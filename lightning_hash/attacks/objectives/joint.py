"""One objective on several victims at once."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective, ReferenceState


class JointObjective(Objective):
    """The sum of an objective over several victims, each on its own bits.

    Args:
        objective: what is minimised for each; it must see logits.
        parts: the bits of each victim in the code.

    Raises:
        ValueError: if the objective sees features.

    Example:
        >>> from lightning_hash.attacks import AnchorCode
        >>> joint = JointObjective(AnchorCode(), [slice(0, 1), slice(1, 3)])
        >>> joint(torch.tensor([[90.0, -90.0, -90.0]]), torch.tensor([[1.0, 1.0, -1.0]]), alpha=1.0)
        tensor([-1.])
    """

    def __init__(self, objective: Objective, parts: Sequence[slice]) -> None:
        super().__init__()
        if objective.sees != "logits":
            msg = f"objective {objective.name} sees features: it is for one victim at a time"
            raise ValueError(msg)
        self.objective, self.parts = objective, tuple(parts)
        self.name, self.targeted = objective.name, objective.targeted
        self.threshold = getattr(objective, "threshold", None)
        self.needs_database, self.iterative = objective.needs_database, objective.iterative

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the references of all victims side by side."""
        return torch.cat([self.objective.reference(_of(state, part)) for part in self.parts], dim=1)

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the sum per query; see :meth:`Objective.forward`."""
        losses = [self.objective(logits[:, p], reference[:, p], alpha) for p in self.parts]
        return torch.stack(losses).sum(dim=0)

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Return where no victim's code has anything left to flip."""
        each = [self.objective.finished(logits[:, p], reference[:, p]) for p in self.parts]
        return torch.stack(each).all(dim=0)


def _of(state: ReferenceState, part: slice) -> ReferenceState:
    """Return what is known, as far as one victim's bits are concerned."""

    def cut(items: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
        return None if items is None else (items[0][:, part], items[1])

    return dataclasses.replace(
        state,
        clean_logits=state.clean_logits[:, part],
        anchor_codes=None if state.anchor_codes is None else state.anchor_codes[:, part],
        database=cut(state.database),
        voters=cut(state.voters),
    )
