"""The pairwise loss of HAG's and DHTA's victims."""

import torch
from torch import Tensor

from lightning_hash.losses.pairs import PairLoss


class PairwiseLoss(PairLoss):
    """Squared error between code products and label similarity (HAG Eq. 11 and 12).

    J = 1/N^2 sum_ij (F(x_i) F(x_j) / K - S_ij)^2 with F = tanh(H) and S = +1 where a label is
    shared, else -1. Pairs of an item with itself are among the N^2.

    Example:
        >>> PairwiseLoss()(torch.tensor([[50.0], [-50.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.)
    """

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute J of the pairs."""
        products = torch.tanh(logits) @ torch.tanh(others).T / logits.shape[1]
        return (products - (similar.to(logits.dtype) * 2 - 1)).square().mean()
