"""DPN: each bit of a code is pushed beyond a margin on the side of its centre."""

import torch
from torch import Tensor

from lightning_hash.losses.classes import CenterLoss, mean_of_labelled
from lightning_hash.losses.hash_centers import CenterRule
from lightning_hash.utils.numbers import check_weight


class DPNLoss(CenterLoss):
    """Polarization loss (Fan et al., IJCAI 2020, Eq. 4).

    L = sum_k relu(m - H_k t_k), t in {-1, +1}^K the centre of the item; with several labels summed
    over their centres, as `calculate_loss` of kamwoh/DPN, the authors' re-implementation, does with
    its defaults: no cross entropy, no regularisation, centres that stay. Deliberate differences:
    items without a label are left out, and no two centres are equal. (swuxyj/DeepHash-pytorch takes
    a mean over the bits and, for several labels, CSQ's vote.)

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        margin: m, positive.
        seed: seed of the centres.
        center_rule: how the centres are chosen (:func:`lightning_hash.losses.hash_centers`).

    Attributes:
        centers: ``(C, K)`` of -1/+1, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DPNLoss(center_rule="csq")
        >>> loss.build(bits=2, num_classes=2)  # centres ++ and +-
        >>> loss(torch.tensor([[0.5, -2.0]]), torch.tensor([[1, 0]]))  # 0.5 + 3
        tensor(3.5000)
    """

    def __init__(
        self,
        num_classes: int | None = None,
        margin: float = 1.0,
        seed: int = 0,
        center_rule: CenterRule = "random",
    ) -> None:
        super().__init__(num_classes, center_rule, seed)
        check_weight("margin", margin, positive=True)
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, H(x).
            labels: ``(B, C)`` of 0/1.

        Returns:
            Scalar, a mean over the items that have a label; 0 if none has.

        Raises:
            ValueError: if nothing was built yet, or a shape does not fit.
        """
        self.check(logits, labels)
        ones = (self.centers.to(logits.dtype) + 1) / 2
        # For each bit what a centre of +1 costs, and what one of -1 does.
        above, below = torch.relu(self.margin - logits), torch.relu(self.margin + logits)
        costs = above @ ones.T + below @ (1 - ones).T
        return mean_of_labelled((costs * labels).sum(dim=1), labels)
