"""What an attack minimises: reference state and logits in, one loss value per query out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ReferenceState:
    """What is known of the queries under attack before the first iteration.

    Attributes:
        clean_logits: ``(Q, K)`` floating, H(x) of the clean queries.
        anchor_codes: ``(Q, K)`` of -1/+1, the anchor code of each query's target (DHTA Alg. 1), or
            ``None`` where no target was drawn.
        anchor_features: ``(Q, D)``, what the hash layer sees of the items of each anchor set, on
            average; ``None`` unless the objective sees features.
        labels: ``(Q, C)`` of 0/1, the queries' own.
        target_labels: ``(Q, C')`` of 0/1, those of the targets, or ``None``.
        database: codes ``(N, K)`` of -1/+1 and labels ``(N, C)`` of the database, or ``None``.
        voters: the same of the items that vote for targets, whose labels have C' columns; the
            database's unless there is an open set.
    """

    clean_logits: Tensor
    anchor_codes: Tensor | None = None
    anchor_features: Tensor | None = None
    labels: Tensor | None = None
    target_labels: Tensor | None = None
    database: tuple[Tensor, Tensor] | None = None
    voters: tuple[Tensor, Tensor] | None = None


class Objective(nn.Module, ABC):
    """Base of all objectives.

    An objective sees logits, or what the hash layer sees. Whoever calls it sums the losses over the
    batch, so that no query's gradient depends on its neighbours.

    Attributes:
        name: the name in tables and result rows.
        targeted: whether the objective needs a target.
        sees: ``"logits"`` or ``"features"``.
        needs_database: whether it needs the codes and labels of the database.
        iterative: whether there is anything to optimise. ``False`` means that the perturbation
            stays as it was drawn.
    """

    name: str
    targeted: bool
    sees: Literal["logits", "features"] = "logits"
    needs_database: bool = False
    iterative: bool = True

    @abstractmethod
    def reference(self, state: ReferenceState) -> Tensor:
        """Pick the reference of this objective.

        Args:
            state: what is known of the queries.

        Returns:
            ``(Q, K)`` tensor, or ``(Q, D)`` of features, handed row by row to :meth:`forward`.
        """

    @abstractmethod
    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss of each query.

        Args:
            logits: ``(B, K)`` floating, H(x') of the perturbed queries; where :attr:`sees` is
                ``"features"``, ``(B, D)`` of what the hash layer sees of them.
            reference: rows of what :meth:`reference` returned.
            alpha: slope of the hash activation tanh(alpha H), in (0, 1].

        Returns:
            ``(B,)`` losses, each a function of its own row only.
        """

    def finished(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Tell which queries' codes have nothing left to flip; by default none.

        Args:
            logits: ``(B, K)`` floating, H(x') of the perturbed queries.
            reference: rows of what :meth:`reference` returned.

        Returns:
            bool ``(B,)``.
        """
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
