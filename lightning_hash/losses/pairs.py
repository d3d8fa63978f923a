"""What losses over pairs of items have in common."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.functional import shares_label


class PairLoss(nn.Module, ABC):
    """Base of losses over pairs: those of the batch, or of the batch with other items."""

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
            other_logits: ``(M, K)``, the other side of the pairs; ``logits`` by default, which
                pairs each item with itself too.
            other_labels: ``(M, C)``, their labels.

        Returns:
            Scalar, a mean over all B x M pairs.

        Raises:
            ValueError: if the shapes do not fit.
        """
        if (other_logits is None) != (other_labels is None):
            msg = "other_logits and other_labels must be given together"
            raise ValueError(msg)
        if other_logits is None or other_labels is None:
            other_logits, other_labels = logits, labels
        check_rows(logits, labels)
        check_rows(other_logits, other_labels, logits.shape[1])
        return self.of_pairs(logits, other_logits, self.similarity(labels, other_labels))

    def similarity(self, labels: Tensor, other_labels: Tensor) -> Tensor:
        """Return what :meth:`of_pairs` hears of each pair's labels: whether one is shared.

        Args:
            labels: ``(B, C)`` of 0/1.
            other_labels: ``(M, C)`` of 0/1.

        Returns:
            bool ``(B, M)``.
        """
        return shares_label(labels, other_labels)

    @abstractmethod
    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute the loss of logits ``(B, K)`` with others ``(M, K)``; similar is (B, M)."""


def check_rows(logits: Tensor, labels: Tensor, bits: int | None = None) -> None:
    """Check the shapes of a batch.

    Args:
        logits: ``(B, K)``.
        labels: ``(B, C)``.
        bits: K, where it is known.

    Raises:
        ValueError: if they do not fit.
    """
    fits = logits.dim() == 2 and len(logits) == len(labels)
    if not fits or (bits is not None and logits.shape[1] != bits):
        msg = (
            "logits (B, K) and labels (B, C) must have one number of rows and one K, got "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}"
        )
        raise ValueError(msg)


def pair_likelihood(logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
    """Return the negative log likelihood of pairs that DPSH introduced, a mean over the pairs.

    log(1 + exp(Theta_ij)) - s_ij Theta_ij with Theta_ij = u_i u_j / 2, u = H.

    Args:
        logits: ``(B, K)`` floating.
        others: ``(M, K)`` floating.
        similar: bool ``(B, M)``, s.

    Returns:
        Scalar.
    """
    theta = logits @ others.T / 2
    return (F.softplus(theta) - theta * similar).mean()


def balanced_mean(values: Tensor, similar: Tensor) -> Tensor:
    """Average over pairs so that similar and dissimilar ones weigh the same (HashNet, DCH Eq. 2).

    The mean of w v with w = |S| / |S_1| for similar and |S| / |S_0| for dissimilar pairs, which is
    the mean over the similar plus the mean over the dissimilar pairs; of a kind that does not
    occur there is no mean.

    Args:
        values: ``(B, M)`` floating, finite.
        similar: bool ``(B, M)``.

    Returns:
        Scalar.

    Example:
        >>> import torch
        >>> values = torch.tensor([[1.0, 2.0], [4.0, 5.0]])
        >>> balanced_mean(values, torch.tensor([[True, False], [False, False]]))
        tensor(4.6667)
    """
    total = values.new_zeros(())
    for pairs in (similar, ~similar):
        total = total + (values * pairs).sum() / pairs.sum().clamp(min=1)
    return total
