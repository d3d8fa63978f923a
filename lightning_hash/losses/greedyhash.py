"""GreedyHash: a classifier on the codes themselves, whose gradient passes the sign unchanged."""

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.functional import sign_code
from lightning_hash.losses.classes import ClassLoss, label_shares, mean_of_labelled
from lightning_hash.utils.numbers import check_weight


class GreedyHashLoss(ClassLoss):
    """Classification of codes and a cubic penalty (Su et al., NeurIPS 2018, 3.2 and 3.3).

    L = cross entropy(W sign(H), y) + weight mean_k |H_k - sign(H_k)|^3, where the gradient with
    respect to H is that with respect to sign(H): the hash layer of the paper. An item of several
    labels has the target y spread evenly over them; items without a label have no cross entropy.
    For one label that is the loss of cifar1.py and imagenet.py of ssppp/GreedyHash.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        penalty_weight: alpha of the paper, not negative; the authors take 0.1 on CIFAR-10, 1 on
            ImageNet.

    Attributes:
        classifier: W, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> import torch
        >>> loss = GreedyHashLoss()
        >>> loss.build(bits=1, num_classes=2)
        >>> loss.classifier.weight.data = torch.tensor([[1.0], [-1.0]])
        >>> loss(torch.tensor([[3.0]]), torch.tensor([[1, 0]]))  # log(1 + exp(-2)) + 0.1 * 8
        tensor(0.9269, grad_fn=<AddBackward0>)
    """

    classifier: nn.Linear

    def __init__(self, num_classes: int | None = None, penalty_weight: float = 0.1) -> None:
        super().__init__(num_classes)
        check_weight("penalty_weight", penalty_weight)
        self.penalty_weight = penalty_weight

    def make(self, bits: int, num_classes: int) -> None:
        """Make the classifier."""
        self.classifier = nn.Linear(bits, num_classes, bias=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: ``(B, K)`` floating, H(x).
            labels: ``(B, C)`` of 0/1.

        Returns:
            Scalar; the cross entropy is a mean over the items that have a label.

        Raises:
            ValueError: if nothing was built yet, or a shape does not fit.
        """
        self.check(logits, labels)
        codes = sign_code(logits).to(logits.dtype)
        # Adds an exact zero, through which the gradient passes.
        classes = self.classifier(codes + (logits - logits.detach()))
        target = label_shares(labels, logits.dtype)
        entropy = F.cross_entropy(classes, target, reduction="none")
        penalty = (logits - codes).abs().pow(3).mean()
        return mean_of_labelled(entropy, labels) + self.penalty_weight * penalty
