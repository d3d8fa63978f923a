"""PTA: pull items of the target to the front of the ranking, before those of the query."""

import torch
from torch import Tensor

from lightning_hash.attacks.item_codes import RankedItems
from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.utils.numbers import check_weight

LARGEST = 50.0  # |exponent|, beyond which a pair counts as settled and has no gradient


class PTA(Objective):
    """Raise the average precision of the target among items drawn (PTA, MM 2023).

    Minimises 1 - mean over the items i of the target of rank_P(i) / rank(i), where
    rank(i) = 1 + sum over j != i of sigmoid((d_i - d_j) / temperature) over all items drawn,
    rank_P(i) the same over those of the target, and d = (K - F b) / 2 with F = tanh(alpha H). The
    exponent is clamped to +-50, as in the authors' code.

    Args:
        positives: items drawn of the target's label.
        negatives: items drawn of each other label of the query.
        temperature: of the smoothed ranks, in bits.
        seed: seed of the draws.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> objective, codes = PTA(positives=1), torch.tensor([[[1, -1], [1, -1]]])
        >>> objective(torch.tensor([[90.0, 90.0], [0.0, 0.0]]), codes.expand(2, 2, 2), alpha=1.0)
        tensor([0.0000, 0.3333])
    """

    name = "pta"
    clamps = True

    def __init__(
        self, positives: int = 75, negatives: int = 300, temperature: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__()
        check_weight("temperature", temperature, positive=True)
        self.temperature, self.positives = temperature, positives
        self.reference = RankedItems(positives, negatives, seed)

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query; see :meth:`Objective.forward`.

        Args:
            logits: ``(B, K)``.
            reference: ``(B, K, M)`` of -1/+1, 0 where there is no item; those of the target are the
                first ``positives`` columns.
            alpha: slope of the hash activation.
        """
        outputs, items = torch.tanh(alpha * logits), reference.to(logits.dtype)
        distance = (logits.shape[1] - (outputs.unsqueeze(1) @ items).squeeze(1)) / 2
        there, first = reference[:, 0] != 0, slice(self.positives)
        apart = distance[:, first].unsqueeze(2) - distance.unsqueeze(1)
        exponent = (-apart / self.temperature).clamp(-LARGEST, LARGEST)
        others = ~torch.eye(*apart.shape[1:], dtype=torch.bool, device=apart.device)
        # Not torch.sigmoid, whose gradient is 0 from 17 on in float32: steps by sign see it.
        before = 1 / (1 + exponent.exp()) * (there.unsqueeze(1) & others)
        shares = (1 + before[:, :, first].sum(dim=2)) / (1 + before.sum(dim=2))
        own = there[:, first]
        return 1 - (shares * own).sum(dim=1) / own.sum(dim=1)
