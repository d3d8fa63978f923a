"""DTSH: an item is more like one that shares a label than like one that shares none."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.functional import shares_label, sign_code
from lightning_hash.losses.pairs import check_rows
from lightning_hash.utils.numbers import check_weight

# Of the authors' code (train_triplet.m): lambda is 100 where the triplets of an item are summed up,
# which are 50 x 50 for each of the nine other classes.
AUTHORS_WEIGHT = 100 / (50 * 50 * 9)


class DTSHLoss(nn.Module):
    """Triplet label likelihood (Wang, Shi and Kitani, ACCV 2016, Eq. 7 and 10).

    L = mean over triplets of log(1 + exp(-(Theta_qp - Theta_qn - m))) + weight mean_q |b_q - u_q|^2
    with u = H, b = sign(u), Theta_ij = u_i u_j / 2, p an item that shares a label with q, n one
    that shares none; first a mean over the triplets of each q, then over the q that have one.
    Deliberate differences to Minione/DTSH, the authors' code: the triplets are all those of the
    batch, theirs are 50 x 50 for each other class, drawn among the latest outputs of items outside
    the batch, through which no gradient goes. (swuxyj/DeepHash-pytorch and FIRe take all triplets
    of the batch too, but q may be its own p, Theta has no 1/2, m is 5 and the penalty a mean over
    the bits with weight 1.)

    Args:
        margin: m, not negative; ``None`` is the authors' K / 2.
        quantization_weight: weight of the penalty, not negative; 1/225 is the authors' lambda of
            100, which they add to a sum over 22,500 triplets of each item.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DTSHLoss(margin=0.0, quantization_weight=0.0)
        >>> codes = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
        >>> loss(codes, torch.tensor([[1, 0], [1, 0], [0, 1]]))  # log(1 + exp(-1))
        tensor(0.3133)
    """

    def __init__(
        self, margin: float | None = None, quantization_weight: float = AUTHORS_WEIGHT
    ) -> None:
        super().__init__()
        if margin is not None:
            check_weight("margin", margin)
        check_weight("quantization_weight", quantization_weight)
        self.margin, self.quantization_weight = margin, quantization_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, H(x).
            labels: ``(B, C)`` of 0/1.

        Returns:
            Scalar; without a triplet the penalty alone.

        Raises:
            ValueError: if the shapes do not fit.
        """
        check_rows(logits, labels)
        margin = logits.shape[1] / 2 if self.margin is None else self.margin
        theta, similar = logits @ logits.T / 2, shares_label(labels, labels)
        itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        triplet = (similar & ~itself)[:, :, None] & ~similar[:, None, :]  # [q, p, n]
        cost = F.softplus(margin - (theta[:, :, None] - theta[:, None, :])) * triplet
        counts = triplet.sum(dim=(1, 2))
        each = cost.sum(dim=(1, 2)) / counts.clamp(min=1)
        likelihood = each.sum() / (counts > 0).sum().clamp(min=1)
        distance = (sign_code(logits) - logits).square().sum(dim=1).mean()
        return likelihood + self.quantization_weight * distance
