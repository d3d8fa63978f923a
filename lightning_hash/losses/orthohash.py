"""OrthoHash: one cross entropy on the cosines between a code and the centres."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.losses.classes import CenterLoss, label_shares, mean_of_labelled
from lightning_hash.losses.hash_centers import CenterRule
from lightning_hash.utils.numbers import check_weight

MarginType = Literal["cosine", "arc"]
CLOSE = 0.99999  # the authors' bound of the cosine, beyond which arccos has no finite gradient


class OrthoHashLoss(CenterLoss):
    """Cross entropy of cosines with a margin (Hoe et al., NeurIPS 2021, Eq. 5 and 6).

    L = -mean over an item's labels of log softmax(s (cos(z, C) - m y)), C in {-1, +1}^(C x K) fixed
    centres, y the labels: what `OrthoHashLoss` of kamwoh/orthohash computes with its defaults. With
    the ``arc`` margin the cosine of a label is cos(theta + m). The authors' z is a batch norm of
    the hash layer without a bias: take the network
    :class:`lightning_hash.models.BatchNormNetwork`. Deliberate differences: items without a label
    are left out, no two centres are equal, and codes of length 0 have cosine 0.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        scale: s, positive.
        margin: m, not negative; the authors take 0.2, on CIFAR-10 0.3.
        margin_type: ``cosine`` (CosFace) or ``arc`` (ArcFace).
        seed: seed of the centres.
        center_rule: how the centres are chosen (:func:`lightning_hash.losses.hash_centers`).

    Attributes:
        centers: ``(C, K)`` of -1/+1, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = OrthoHashLoss(scale=1.0, margin=0.0, center_rule="csq")
        >>> loss.build(bits=2, num_classes=2)  # centres ++ and +-
        >>> loss(torch.tensor([[3.0, 3.0]]), torch.tensor([[1, 0]]))  # log(1 + exp(-1))
        tensor(0.3133)
    """

    def __init__(
        self,
        num_classes: int | None = None,
        scale: float = 8.0,
        margin: float = 0.2,
        margin_type: MarginType = "cosine",
        seed: int = 0,
        center_rule: CenterRule = "random",
    ) -> None:
        super().__init__(num_classes, center_rule, seed)
        check_weight("scale", scale, positive=True)
        check_weight("margin", margin)
        if margin_type not in get_args(MarginType):
            msg = f"margin_type must be cosine or arc, got {margin_type!r}"
            raise ValueError(msg)
        self.scale, self.margin, self.margin_type = scale, margin, margin_type

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, z.
            labels: ``(B, C)`` of 0/1.

        Returns:
            Scalar, a mean over the items that have a label; 0 if none has.

        Raises:
            ValueError: if nothing was built yet, or a shape does not fit.
        """
        self.check(logits, labels)
        target = labels.to(logits.dtype)
        centers = self.centers.to(logits.dtype)
        cosine = F.normalize(logits, dim=1) @ centers.T / logits.shape[1] ** 0.5
        if self.margin_type == "arc":
            angle = torch.acos(cosine.clamp(-CLOSE, CLOSE))
            cosine = torch.cos(angle + self.margin * target)
        else:
            cosine = cosine - self.margin * target
        shares = label_shares(labels, logits.dtype)
        each = -(shares * F.log_softmax(self.scale * cosine, dim=1)).sum(dim=1)
        return mean_of_labelled(each, labels)
