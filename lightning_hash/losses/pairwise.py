"""The pairwise loss of HAG's and DHTA's victims."""

import torch
from torch import Tensor, nn

from lightning_hash.functional import shares_label


class PairwiseLoss(nn.Module):
    """Squared error between code products and label similarity (HAG Eq. 11 and 12).

    J = 1/N^2 sum_ij (F(x_i) F(x_j) / K - S_ij)^2 with F = tanh(H) and S = +1 where a label is
    shared, else -1; the pairs are those of the batch, each item with itself included.

    Example:
        >>> PairwiseLoss()(torch.tensor([[50.0], [-50.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.)
    """

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        other_logits: Tensor | None = None,
        other_labels: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, H(x).
            labels: ``(B, C)`` of 0/1.
            other_logits: ``(M, K)``, the other side of the pairs; ``logits`` by default.
            other_labels: ``(M, C)``, their labels.

        Returns:
            Scalar, the mean over all B x M pairs.

        Raises:
            ValueError: if the shapes do not fit.
        """
        if (other_logits is None) != (other_labels is None):
            msg = "other_logits and other_labels must be given together"
            raise ValueError(msg)
        if other_logits is None or other_labels is None:
            other_logits, other_labels = logits, labels
        for codes, rows in ((logits, labels), (other_logits, other_labels)):
            if codes.dim() != 2 or len(codes) != len(rows) or codes.shape[1] != logits.shape[1]:
                msg = (
                    "logits (B, K) and labels (B, C) must have one number of rows and one K, got "
                    f"{tuple(codes.shape)} and {tuple(rows.shape)}"
                )
                raise ValueError(msg)
        similarity = shares_label(labels, other_labels).to(logits.dtype) * 2 - 1
        products = torch.tanh(logits) @ torch.tanh(other_logits).T / logits.shape[1]
        return (products - similarity).square().mean()
