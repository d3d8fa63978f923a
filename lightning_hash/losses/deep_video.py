"""Deep video hashing: a margin of one bit around a quarter of the code, by softplus."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.losses.pairs import PairLoss
from lightning_hash.utils.numbers import check_weight


class DeepVideoLoss(PairLoss):
    """Discriminative and quantisation loss of video hashing (Liong et al., TMM 2016; DHTA B.2).

    J = mean_ij softplus(rho z_ij) / rho + balance (|sign(h_i) - h_i|^2 + |sign(h_j) - h_j|^2) with
    h = tanh(H), d = (K - <h_i, h_j>) / 2, z = 1 - l (K / 4 - d), l = 1 where a label is shared,
    else -1, as the authors of DHTA published it later (`dvh_loss` of KuofengGao/CIBA). They do not
    say which rho they took. Deliberate differences: all pairs of the batch, where theirs are every
    two consecutive items; and the second term is a mean over pairs as the first is, where theirs is
    a sum, so that with their 50 pairs a balance 50 times as large is the same.

    Args:
        rho: sharpness of the softplus, positive; a hinge in the limit.
        balance: weight of the quantisation loss, not negative; DHTA's is 1e-4.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DeepVideoLoss(balance=0.0)
        >>> h = torch.tensor([[90.0, 90.0], [90.0, -90.0]])
        >>> loss(h, torch.tensor([[1, 0], [0, 1]]))  # z = 0.5 for all four pairs
        tensor(0.9741)
    """

    def __init__(self, rho: float = 1.0, balance: float = 1e-4) -> None:
        super().__init__()
        check_weight("rho", rho, positive=True)
        check_weight("balance", balance)
        self.rho, self.balance = rho, balance

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute J of the pairs."""
        bits = logits.shape[1]
        codes, other_codes = torch.tanh(logits), torch.tanh(others)
        distance = (bits - codes @ other_codes.T) / 2
        excess = 1 - torch.where(similar, 1.0, -1.0) * (bits / 4 - distance)
        loss = F.softplus(self.rho * excess).mean() / self.rho
        # |sign(h) - h|^2 = (1 - |h|)^2 summed, whichever sign 0 has.
        rounding = [(1 - side.abs()).square().sum(dim=1).mean() for side in (codes, other_codes)]
        return loss + self.balance * (rounding[0] + rounding[1])
