"""BiHalf: codes of which every bit is +1 for one half of the batch, and a classifier on them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.losses.classes import ClassLoss, label_shares, mean_of_labelled
from lightning_hash.utils.numbers import check_weight


def bi_half_code(logits: Tensor) -> Tensor:
    """Make codes with as many +1 as -1 in every bit (Li and van Gemert, AAAI 2021, Eq. 5 and 6).

    The floor(B / 2) largest of a bit are +1, the others -1; of equal ones the first. The gradient
    with respect to H is that with respect to the code.

    Args:
        logits: ``(B, K)`` floating, H(x).

    Returns:
        ``(B, K)`` of -1/+1.

    Example:
        >>> bi_half_code(torch.tensor([[3.0, -5.0], [2.0, -1.0], [9.0, -2.0]]))
        tensor([[-1., -1.],
                [-1.,  1.],
                [ 1., -1.]])
    """
    order = logits.argsort(dim=0, descending=True, stable=True)
    codes = torch.full_like(logits, -1).scatter_(0, order[: len(logits) // 2], 1)
    # Adds an exact zero, through which the gradient passes.
    return codes + (logits - logits.detach())


class BiHalfLoss(ClassLoss):
    """Classification of bi-half codes (Li and van Gemert, AAAI 2021; supervised as in FIRe).

    L = cross entropy(W b + c, y) with b the bi-half code of H over the batch of all processes
    (:func:`bi_half_code`). What pulls H to its code, gamma / (B K) (H - b) (Eq. 7, and the bi-half
    layer of liyunqianggyn/Deep-Unsupervised-Image-Hashing), comes to the gradient of H and is not
    counted in L; whatever scales the loss scales it too. An item of several labels has the target y
    spread evenly over them; items without a label have no cross entropy. That is the supervised
    form of CISiPLab/cisip-FIRe (bihalf-supervised.yaml); the paper trains without labels, on the
    cosines of the features of pairs. Outside the training codes are sign(H): an image alone has no
    half.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        gamma: weight of the pull of H to its code, not negative; 6 in the authors' code.

    Attributes:
        classifier: W and c, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = BiHalfLoss()
        >>> loss.build(bits=1, num_classes=2)
        >>> loss.classifier.weight.data = torch.tensor([[1.0], [-1.0]])
        >>> loss.classifier.bias.data.zero_()
        tensor([0., 0.])
        >>> logits = torch.tensor([[3.0], [2.0]])  # codes 1 and -1, each right: log(1 + exp(-2))
        >>> loss(logits, torch.tensor([[1, 0], [0, 1]])).item()
        0.126...
    """

    classifier: nn.Linear

    def __init__(self, num_classes: int | None = None, gamma: float = 6.0) -> None:
        super().__init__(num_classes)
        check_weight("gamma", gamma)
        self.gamma = gamma

    def make(self, bits: int, num_classes: int) -> None:
        """Make the classifier."""
        self.classifier = nn.Linear(bits, num_classes)

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
        codes = bi_half_code(logits)
        entropy = F.cross_entropy(
            self.classifier(codes), label_shares(labels, logits.dtype), reduction="none"
        )
        pull = self.gamma / 2 * (logits - codes.detach()).square().mean()
        return mean_of_labelled(entropy, labels) + (pull - pull.detach())
