"""IDHN: pairs that share some of their labels are alike to that degree."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.functional.checks import check_label_widths
from lightning_hash.losses.pairs import PairLoss
from lightning_hash.utils.numbers import check_weight

# From here on a cosine of labels counts as 1, and below as 0 (the authors' train.py).
ALIKE, UNLIKE = 0.99, 0.01


class IDHNLoss(PairLoss):
    """Likelihood of hard pairs and squared error of soft ones (Zhang et al., TMM 2019, III).

    L = mean over pairs of log(1 + exp(Theta)) - s Theta where s, the cosine of the label vectors,
    is 0 or 1, and of gamma K ((u_i u_j + K) / 2K - s)^2 elsewhere, + weight mean_ik ||u_ik| - 1|
    with u = H / (1 + |H|) (softsign), Theta = beta u_i u_j / K. That is `hashing_loss` of train.py
    of pectinid16/IDHN, the authors' code; the cosine with an item without a label is 0, theirs not
    a number. (swuxyj/DeepHash-pytorch: Theta = 0.5 u_i u_j, (Theta + K - 2 K s)^2, all training
    items.)

    Args:
        beta: slope of the sigmoid, positive.
        gamma: weight of the soft pairs, not negative.
        quantization_weight: alpha of the authors' code, not negative.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = IDHNLoss(quantization_weight=0.0)  # Theta 0: log 2 for all four pairs
        >>> loss(torch.zeros(2, 4), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.6931)
    """

    def __init__(
        self, beta: float = 5.0, gamma: float = 0.1, quantization_weight: float = 0.1
    ) -> None:
        super().__init__()
        check_weight("beta", beta, positive=True)
        check_weight("gamma", gamma)
        check_weight("quantization_weight", quantization_weight)
        self.beta, self.gamma, self.quantization_weight = beta, gamma, quantization_weight

    def similarity(self, labels: Tensor, other_labels: Tensor) -> Tensor:
        """Return the cosines of the label vectors, float64 ``(B, M)`` in [0, 1]."""
        check_label_widths(labels, other_labels)
        common = (labels.float() @ other_labels.float().T).double()  # exact: counts
        counts = labels.sum(dim=1).double()[:, None] * other_labels.sum(dim=1).double()
        return common / counts.sqrt().clamp(min=1)

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute L of the pairs."""
        bits = logits.shape[1]
        codes, cosine = F.softsign(logits), similar.to(logits.dtype)
        product = codes @ F.softsign(others).T
        theta = self.beta * product / bits
        hard = F.softplus(theta) - theta * cosine
        soft = self.gamma * bits * ((product + bits) / (2 * bits) - cosine).square()
        loss = torch.where((similar > ALIKE) | (similar < UNLIKE), hard, soft).mean()
        return loss + self.quantization_weight * (codes.abs() - 1).abs().mean()
