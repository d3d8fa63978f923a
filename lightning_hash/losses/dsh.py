"""DSH: contrastive loss of pairs, and a penalty on the distance to -1/+1."""

import torch
from torch import Tensor

from lightning_hash.losses.pairs import PairLoss
from lightning_hash.utils.numbers import check_weight


class DSHLoss(PairLoss):
    """Contrastive loss of outputs (Liu et al., CVPR 2016, Eq. 4).

    L = mean over pairs of 1/2 s |u_i - u_j|^2 + 1/2 (1 - s) relu(m - |u_i - u_j|^2)
    + weight mean_i sum_k ||u_ik| - 1| with u = H, s = 1 where a label is shared, else 0. As
    hashing_loss_layer.cpp of lhmRyan/deep-supervised-hashing-DSH, the authors' code; the paper
    counts the penalty of both items of a pair, twice as much. Deliberate difference: the pairs of
    an item with itself, which cost nothing, are among the pairs, so that the first term is
    (1 - 1 / B) of theirs. (swuxyj/DeepHash-pytorch: all training items, weight 0.1, a mean over the
    bits.)

    Args:
        margin: m, positive; ``None`` is the paper's 2 K, half of the distance of opposite codes.
        penalty_weight: alpha of the paper, not negative.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DSHLoss(penalty_weight=0.0)  # margin 2, distance 1: (0 + 1/2 + 1/2 + 0) / 4
        >>> loss(torch.tensor([[0.0], [1.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.2500)
    """

    def __init__(self, margin: float | None = None, penalty_weight: float = 0.01) -> None:
        super().__init__()
        if margin is not None:
            check_weight("margin", margin, positive=True)
        check_weight("penalty_weight", penalty_weight)
        self.margin, self.penalty_weight = margin, penalty_weight

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute L of the pairs."""
        margin = 2 * logits.shape[1] if self.margin is None else self.margin
        squares = logits.square().sum(dim=1)[:, None] + others.square().sum(dim=1)
        distance = (squares - 2 * logits @ others.T).clamp(min=0)
        loss = torch.where(similar, distance, torch.relu(margin - distance)).mean() / 2
        penalty = (logits.abs() - 1).abs().sum(dim=1).mean()
        return loss + self.penalty_weight * penalty
