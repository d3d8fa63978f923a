"""HyP2: learnt proxies of the classes, and pairs of items with several labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.functional import shares_label
from lightning_hash.losses.classes import ClassLoss
from lightning_hash.losses.code_distances import code_threshold
from lightning_hash.utils.numbers import check_weight


class HyP2Loss(ClassLoss):
    """Proxy loss and loss of irrelevant pairs (Xu et al., ACM MM 2022, Eq. 8).

    L = mean over labels an item has of 1 - cos(H, p_c) + mean over those it has not of
    relu(cos(H, p_c) - zeta) + beta mean over pairs without a shared label of
    relu(cos(H_i, H_j) - zeta), the last over the items with at least two labels alone. The p_c are
    learnt. That is `HyP` of model.py of JerryXu0129/HyP2-Loss; a mean over nothing is 0, theirs of
    the first two is not a number.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        beta: weight of the pairs, not negative.
        threshold: zeta, a cosine in [-1, 1]; ``None`` is the authors': two codes as far apart as
            those of the best known linear code of K bits and at least C words.

    Attributes:
        proxies: ``(C, K)``, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = HyP2Loss(threshold=0.0)
        >>> loss.build(bits=2, num_classes=2)
        >>> loss.proxies.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> loss(torch.tensor([[2.0, 2.0]]), torch.tensor([[1, 0]])).item()  # 1 - c + c
        1.0
    """

    proxies: nn.Parameter

    def __init__(
        self, num_classes: int | None = None, beta: float = 0.5, threshold: float | None = None
    ) -> None:
        super().__init__(num_classes)
        check_weight("beta", beta)
        if threshold is not None and not -1 <= threshold <= 1:
            msg = f"threshold must be a cosine in [-1, 1], got {threshold}"
            raise ValueError(msg)
        self.beta, self.threshold = beta, threshold
        self._zeta = threshold

    def make(self, bits: int, num_classes: int) -> None:
        """Make the proxies, and find the threshold."""
        if self._zeta is None:
            self._zeta = code_threshold(bits, num_classes)
        self.proxies = nn.Parameter(torch.empty(num_classes, bits))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, H(x).
            labels: ``(B, C)`` of 0/1.

        Returns:
            Scalar.

        Raises:
            ValueError: if nothing was built yet, or a shape does not fit.
        """
        self.check(logits, labels)
        codes, own = F.normalize(logits, dim=1), labels > 0
        cosine = codes @ F.normalize(self.proxies, dim=1).T
        loss = _mean_where(1 - cosine, own) + _mean_where(self._above(cosine), ~own)
        several = own.sum(dim=1) > 1
        apart = ~shares_label(labels, labels) & several & several[:, None]
        return loss + self.beta * _mean_where(self._above(codes @ codes.T), apart)

    def _above(self, cosine: Tensor) -> Tensor:
        """Return how far cosines are above the threshold."""
        assert self._zeta is not None  # since build
        return torch.relu(cosine - self._zeta)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Average the values that are marked; 0 if none is."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
