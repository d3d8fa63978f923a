"""How far points of queries have come, and which of two is better."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_hash.attacks.attack import Answer


class Reached(NamedTuple):
    """How good a point of each query is.

    Attributes:
        success: ``(B,)``, larger is better; see :meth:`lightning_hash.attacks.Queries.success`.
        losses: ``(B,)``, decides between equal successes; one that is not finite is never better.
    """

    success: Tensor
    losses: Tensor

    @classmethod
    def of(cls, answer: Answer) -> "Reached":
        """Return what an answer says."""
        return cls(answer.success, answer.losses)

    def is_better_than(self, other: "Reached") -> Tensor:
        """Return bool ``(B,)``."""
        equal = self.success == other.success
        better = (self.success > other.success) | (equal & (self.losses < other.losses))
        return self.losses.isfinite() & (better | ~other.losses.isfinite())

    def where(self, mine: Tensor, other: "Reached") -> "Reached":
        """Return this where ``mine`` ``(B,)`` is set, the other elsewhere."""
        return Reached(*(torch.where(mine, a, b) for a, b in zip(self, other, strict=True)))

    def said(self, answer: Answer) -> Answer:
        """Return an answer about these points in place of one; a loss that is not finite stays."""
        losses = torch.where(answer.losses.isfinite(), self.losses, answer.losses)
        return Answer(losses, self.success.clone(), answer.asked)
