"""Attacks on a code that stands for a whole label: CgAT's centre, SAAT's mainstay, THA's own."""

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.anchor import AnchorCode
from lightning_hash.attacks.prototypes import PrototypeCodes
from lightning_hash.attacks.references import CenterCodes, MainstayCodes, Voters

PAST = 0.5  # SAAT's margin, beyond which a bit is left alone


class CgAT(AnchorCode):
    """Attack the centre code of a label (Wang et al., WWW 2023; `hash_adv` of xunguangwang/CgAT).

    Minimises mean_k F(x')_k b_k, with F = tanh(alpha H) and b the code of the query's own label; in
    a targeted attack, which they do not have, -mean_k F(x')_k b_k with that of the target's.

    Args:
        targeted: attack the target's label.
        voters: whose codes make b; see :class:`lightning_hash.attacks.CenterCodes`.

    Example:
        >>> CgAT(targeted=True).name
        'cgat-targeted'
    """

    def __init__(self, targeted: bool = False, voters: Voters = "database") -> None:
        super().__init__()
        self.reference = CenterCodes(targeted, voters)
        self.name = "cgat-targeted" if targeted else "cgat"


class SAAT(AnchorCode):
    """Attack the mainstay code of a label (Yuan et al., TIFS 2023; xandery-geek/SAAT).

    With s_k = F(x')_k b_k, F = tanh(alpha H) and b the code of the query's own label it minimises
    sum_k w_k (s_k + 2) s_k / sum_k w_k, where w_k is 1 if s_k > -0.5, else 0: bits that flipped
    with a margin are left alone (`adv_loss` of their model/adv_generator/base.py). In a targeted
    attack b is the code of the target's label, and minus the same is minimised with w_k = 1 if
    s_k < 0.5. Deliberate difference: the sum of w is each query's own, theirs that of the batch,
    which the sign of the gradient does not see; where it is 0 the loss is 0, theirs 0 / 0.

    Args:
        targeted: attack the target's label.
        voters: whose codes make b; see :class:`lightning_hash.attacks.MainstayCodes`.

    Example:
        >>> objective, code = SAAT(), torch.tensor([[1.0, 1.0]])
        >>> objective(torch.tensor([[90.0, -90.0], [90.0, 0.0]]), -code, alpha=1.0)
        tensor([3.0000, 1.5000])
    """

    def __init__(self, targeted: bool = False, voters: Voters = "database") -> None:
        super().__init__()
        self.targeted = targeted
        self.reference = MainstayCodes(targeted, voters)
        self.name = "saat-targeted" if targeted else "saat"

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Compute the loss per query; see :meth:`Objective.forward`."""
        agreement = reference * torch.tanh(alpha * logits)
        # Not "< 0.5": a NaN must stay in the loss, not pass for a bit that has flipped.
        kept = ~(agreement >= PAST)
        similarity = agreement if self.targeted else -agreement
        total = (kept * (similarity + 2) * similarity).sum(dim=1)
        loss = total / kept.sum(dim=1).clamp(min=1)
        return -loss if self.targeted else loss


class THA(AnchorCode):
    """Pull the code towards the prototype code of the target's label (THA, arXiv 2105.07553).

    Minimises DHTA's -mean_k b_k F(x')_k with b what a small network has learnt for that label from
    codes and labels (`attack.py` of Targeted-Attack-and-Defense-for-Deep-Hashing, xunguangwang).

    Args:
        voters: whose codes and labels it learns.
        steps: of its training, which comes before the first iteration.
        seed: seed of its weights and draws.

    Example:
        >>> THA(voters="train").reference.needs_train
        True
    """

    name = "tha"

    def __init__(self, voters: Voters = "database", steps: int = 30_000, seed: int = 0) -> None:
        super().__init__()
        self.reference = PrototypeCodes(voters, steps, seed)
