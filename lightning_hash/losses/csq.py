"""CSQ: codes drawn to the hash centres of their classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.losses.classes import CenterLoss, mean_of_labelled
from lightning_hash.losses.hash_centers import CenterRule
from lightning_hash.utils.numbers import check_weight


class CSQLoss(CenterLoss):
    """Central similarity and quantisation (Yuan et al., CVPR 2020, 3.2).

    L = L_C + weight L_Q, with h = (tanh(H) + 1) / 2 and c in {0, 1}^K the centre of the item:
    L_C = -mean_k (c_k log h_k + (1 - c_k) log(1 - h_k)), L_Q = mean_k log cosh(|2 h_k - 1| - 1).
    The centre of several labels is the majority of theirs bit by bit; ties take the bits of one
    random code, as in the authors' code. Items without a label are left out. Deliberate difference:
    L_Q of the authors' code is mean_k (|2 h_k - 1| - 1)^2, about twice the paper's near 0.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        quantization_weight: lambda_1, not negative; 0.05 in the authors' code.
        seed: seed of the centres that are not Hadamard's, and of the ties.
        center_rule: how the centres are chosen (:func:`lightning_hash.losses.hash_centers`);
            ``mdshc`` where there are more than 2 K classes, or K is no power of 2.

    Attributes:
        centers: ``(C, K)`` of -1/+1, after :meth:`build`.
        tie: ``(K,)`` of -1/+1.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = CSQLoss()
        >>> loss.build(bits=2, num_classes=2)
        >>> loss(torch.tensor([[20.0, 20.0], [20.0, 0.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.1787)
    """

    tie: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        quantization_weight: float = 0.05,
        seed: int = 0,
        center_rule: CenterRule = "csq",
    ) -> None:
        super().__init__(num_classes, center_rule, seed)
        check_weight("quantization_weight", quantization_weight)
        self.quantization_weight = quantization_weight

    def make(self, bits: int, num_classes: int) -> None:
        """Choose the centres."""
        super().make(bits, num_classes)
        generator = torch.Generator().manual_seed(self.seed)
        self.register_buffer("tie", torch.randint(0, 2, (bits,), generator=generator) * 2.0 - 1)

    def center_of(self, labels: Tensor) -> Tensor:
        """Return the centre of each item.

        Args:
            labels: ``(B, C)`` of 0/1.

        Returns:
            ``(B, K)`` of -1/+1.
        """
        votes = labels.to(self.centers.dtype) @ self.centers
        return torch.where(votes == 0, self.tie, votes.sign())

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
        bits = (self.center_of(labels).to(logits.dtype) + 1) / 2
        # (tanh(H) + 1) / 2 is the sigmoid of 2 H.
        similarity = F.binary_cross_entropy_with_logits(2 * logits, bits, reduction="none")
        quantization = torch.log(torch.cosh(torch.tanh(logits).abs() - 1))
        each = (similarity + self.quantization_weight * quantization).mean(dim=1)
        return mean_of_labelled(each, labels)
