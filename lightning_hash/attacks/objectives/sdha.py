"""SDHA: push away from, or pull towards, every item of a label, near ones weighted."""

import torch
from torch import Tensor

from lightning_hash.attacks.item_codes import LabelItems
from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import Voters

SURROGATE = 25.0  # over K: weight of the codes beside the mean squared change
TINY = 1e-8  # added to a distance, which may be 0


class SDHA(Objective):
    """Smart attack on deep hashing, as SAAT re-implements it (its own code was not found).

    With q = tanh(alpha H), r the code of an item that shares a label with the query, d the Hamming
    distance of the two codes and s(x) the sigmoid, it minimises

    mean (x' - x)^2 - 25 / K mean_r w_r sum_k [|q_k - r_k| / 2 s(5 q_k r_k) + 1 - s(5 q_k r_k)]

    with w_r = (d + 1e-8)^-0.5; targeted, r of the target's label and w_r = (d + 1e-8)^0.3,

    mean (x' - x)^2 + 25 / K mean_r w_r sum_k |q_k - r_k| / 2 s(-10 q_k r_k)

    (`surrogate_func` and `surrogate_func_targeted` of xandery-geek/SAAT). w has no gradient, and an
    item at distance 0 weighs 1e4, as theirs. Deliberate differences: a logit of 0 is a bit of -1,
    half a bit there; the loss is each query's own, theirs the mean over the batch, which only
    Adam's eps sees.

    Args:
        targeted: attack the target's label.
        voters: whose codes they are; see :class:`lightning_hash.attacks.LabelItems`.

    Example:
        >>> objective, far = SDHA(targeted=True), torch.tensor([[90.0]])
        >>> objective(far, torch.tensor([[[1, -1]]]), alpha=1.0)
        tensor([12.4994])
    """

    def __init__(self, targeted: bool = False, voters: Voters = "database") -> None:
        super().__init__()
        self.targeted = targeted
        self.reference = LabelItems(targeted, voters)
        self.name = "sdha-targeted" if targeted else "sdha"

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query but for the change; see :meth:`Objective.forward`.

        Args:
            logits: ``(B, K)``.
            reference: ``(B, K, M)`` of -1/+1, 0 where there is no item.
            alpha: slope of the hash activation.
        """
        items, there = reference.to(logits.dtype), reference[:, 0] != 0
        outputs, codes = torch.tanh(alpha * logits), torch.where(logits > 0, 1.0, -1.0).to(items)
        # r is -1 or +1: each bit has two values, which r then chooses between.
        plus, minus = self._bits(torch.stack([outputs, -outputs]))
        chosen = ((plus - minus).unsqueeze(1) @ items).squeeze(1)
        twice = (plus + minus).sum(dim=1, keepdim=True) + chosen  # of what stands behind w
        distance = (logits.shape[1] - (codes.unsqueeze(1) @ items).squeeze(1)) / 2
        weights = there * (distance + TINY).pow(0.3 if self.targeted else -0.5)
        scale = SURROGATE / logits.shape[1] / (2 if self.targeted else -2)
        losses: Tensor = (weights * scale * twice).sum(dim=1) / there.sum(dim=1)
        return losses

    def penalty(self, perturbed: Tensor, clean: Tensor) -> Tensor:
        """Return the mean squared change per query; see :meth:`Objective.penalty`."""
        return (perturbed - clean).square().flatten(1).mean(dim=1)

    def _bits(self, agreement: Tensor) -> Tensor:
        """Return what bits add whose q r is ``agreement``, where |q - r| is 1 - q r."""
        half = (1 - agreement) / 2
        if self.targeted:
            return half * torch.sigmoid(-10 * agreement)
        return half * torch.sigmoid(5 * agreement) + torch.sigmoid(-5 * agreement)
