"""robrank's candidate attack: move an item of the database up or down the rankings of queries."""

import torch
from torch import Tensor

from lightning_hash.attacks.asking_queries import AskingQueries
from lightning_hash.attacks.objectives.base import Objective


class CandidateAttack(Objective):
    """Raise (CA+) or lower (CA-) a candidate in the rankings of queries (cdluminate/robrank).

    Minimises the mean over queries q and all other items x of relu(d(c, q) - d(x, q)), untargeted
    of relu(d(x, q) - d(c, q)), with d(c, q) = (K - F q) / 2, F = tanh(alpha H) of the candidate,
    and d(x, q) the Hamming distance (`RankLossCandidateAttack`). Differences: their distances are
    of floats; the candidate itself is none of x; CA+ draws queries of the target's label, theirs
    any.

    Args:
        targeted: CA+, towards queries of the target's label; otherwise CA-, from the nearest.
        queries: how many are drawn for each candidate.
        seed: seed of the draws.

    Example:
        >>> objective = CandidateAttack()
        >>> query = torch.tensor([[[1.0, 1.0, 0.5, 0.5, 0.0]]])  # its code, shares at 0, 1, 2
        >>> objective(torch.tensor([[90.0, -90.0]]), query, alpha=1.0)
        tensor([0.5000])
    """

    def __init__(self, targeted: bool = True, queries: int = 10, seed: int = 0) -> None:
        super().__init__()
        self.targeted = targeted
        self.reference = AskingQueries(targeted, queries, seed)
        self.name = "ca-plus" if targeted else "ca-minus"

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per candidate; see :meth:`Objective.forward`.

        Args:
            logits: ``(B, K)``.
            reference: ``(B, W, K + K + 1)``, see :class:`lightning_hash.attacks.AskingQueries`.
            alpha: slope of the hash activation.
        """
        bits = logits.shape[1]
        codes, shares = reference[..., :bits], reference[..., bits:]
        outputs = torch.tanh(alpha * logits)
        distance = (bits - (codes @ outputs.unsqueeze(2)).squeeze(2)) / 2
        behind = distance.unsqueeze(2) - torch.arange(bits + 1, device=logits.device)
        losses = (shares * torch.relu(behind if self.targeted else -behind)).sum(dim=2)
        there = (codes != 0).any(dim=2)
        return losses.sum(dim=1) / there.sum(dim=1)
