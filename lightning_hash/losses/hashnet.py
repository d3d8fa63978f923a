"""HashNet: weighted maximum likelihood on pairs, binary codes by continuation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.losses.pairs import PairLoss, balanced_mean
from lightning_hash.utils.numbers import check_weight


class HashNetLoss(PairLoss):
    """Weighted maximum likelihood of pairs (Cao et al., ICCV 2017, Eq. 2 and 4).

    L = sum_ij w_ij (log(1 + exp(alpha <g_i, g_j>)) - alpha s_ij <g_i, g_j>) with g = tanh(beta H),
    which beta makes a sign as the training proceeds (Eq. 5), s_ij = 1 where a label is shared, else
    0, and w_ij such that similar and dissimilar pairs weigh the same. As in the authors' code,
    c_ij of Eq. 2 is 1 and beta = sqrt(1 + t) in stage t, from 1 to about 7 in 50 stages. Deliberate
    differences: their training calls `pairwise_loss`, in which similar pairs weigh a constant
    class_num, not the `pairwise_loss_updated` of Eq. 2; and its pairs are of two batches, not of
    one with itself.

    Args:
        alpha: slope of the adaptive sigmoid, positive; ``None`` is the authors' 10 / K.
        stages: into how many stages the training is divided, at least 1.

    Attributes:
        beta: of the present stage, 1 until :meth:`on_progress` is called.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = HashNetLoss(alpha=1.0)
        >>> loss(torch.tensor([[0.0], [5.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(1.1964)
    """

    def __init__(self, alpha: float | None = None, stages: int = 50) -> None:
        super().__init__()
        if alpha is not None:
            check_weight("alpha", alpha, positive=True)
        if stages < 1:
            msg = f"stages must be at least 1, got {stages}"
            raise ValueError(msg)
        self.alpha, self.stages, self.beta = alpha, stages, 1.0

    def on_progress(self, fraction: float) -> None:
        """Set beta of the stage.

        Args:
            fraction: share of the training that is done, in [0, 1].
        """
        self.beta = math.sqrt(1 + math.floor(self.stages * fraction))

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute L of the pairs."""
        alpha = 10 / logits.shape[1] if self.alpha is None else self.alpha
        theta = alpha * torch.tanh(self.beta * logits) @ torch.tanh(self.beta * others).T
        return balanced_mean(F.softplus(theta) - theta * similar, similar)
