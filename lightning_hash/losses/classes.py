"""What losses that keep something for each class have in common."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_hash.losses.hash_centers import CenterRule, check_center_rule, hash_centers
from lightning_hash.utils.numbers import check_seed


class ClassLoss(nn.Module, ABC):
    """Base of losses with parameters or buffers per class, made by :meth:`build`.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
    """

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.bits: int | None = None

    def build(self, bits: int, num_classes: int | None = None) -> None:
        """Make the parameters and buffers, once; HashModule does so before a training.

        Args:
            bits: K.
            num_classes: C of the data, where known.

        Raises:
            ValueError: if a number is missing, too small, or differs from what was said before.
        """
        name = type(self).__name__
        classes = self.num_classes if num_classes is None else num_classes
        if classes is None:
            msg = (
                f"{name} needs num_classes, which these data do not tell; give it, for instance "
                "--model.loss.num_classes 10"
            )
            raise ValueError(msg)
        for what, value, before in (
            ("bits", bits, self.bits),
            ("num_classes", classes, self.num_classes),
        ):
            if value < 1:
                msg = f"{what} must be at least 1, got {value}"
                raise ValueError(msg)
            if before not in (None, value):
                msg = f"{name} is for {what} = {before}, the model and the data have {value}"
                raise ValueError(msg)
        if self.bits is None:
            self.bits, self.num_classes = bits, classes
            self.make(bits, classes)

    @abstractmethod
    def make(self, bits: int, num_classes: int) -> None:
        """Make the parameters and buffers."""

    def check(self, logits: Tensor, labels: Tensor) -> None:
        """Check the inputs of a forward pass.

        Args:
            logits: ``(B, K)`` floating.
            labels: ``(B, C)`` of 0/1.

        Raises:
            ValueError: if nothing was built yet, or a shape does not fit.
        """
        if self.bits is None:
            msg = f"{type(self).__name__} knows no classes yet; call build(bits, num_classes)"
            raise ValueError(msg)
        fits = logits.dim() == 2 and logits.shape[1] == self.bits
        if not fits or labels.shape != (len(logits), self.num_classes):
            msg = (
                f"logits (B, {self.bits}) and labels (B, {self.num_classes}) must have one number "
                f"of rows, got {tuple(logits.shape)} and {tuple(labels.shape)}"
            )
            raise ValueError(msg)


class CenterLoss(ClassLoss):
    """Base of losses that draw codes to a fixed centre of each class.

    Args:
        num_classes: width C of the labels; ``None`` takes it from the data.
        center_rule: how the centres are chosen (:func:`lightning_hash.losses.hash_centers`).
        seed: seed of the centres that are drawn.

    Attributes:
        centers: ``(C, K)`` of -1/+1, after :meth:`build`.

    Raises:
        ValueError: if an argument is out of its range.
    """

    centers: Tensor

    def __init__(self, num_classes: int | None, center_rule: CenterRule, seed: int) -> None:
        super().__init__(num_classes)
        check_center_rule(center_rule)
        check_seed("seed", seed)
        self.center_rule: CenterRule = center_rule
        self.seed = seed

    def make(self, bits: int, num_classes: int) -> None:
        """Choose the centres."""
        centers = hash_centers(num_classes, bits, self.seed, self.center_rule)
        self.register_buffer("centers", centers)


def mean_of_labelled(values: Tensor, labels: Tensor) -> Tensor:
    """Average over the items that have a label; 0 if none has.

    Args:
        values: ``(B,)`` floating, finite.
        labels: ``(B, C)`` of 0/1.

    Returns:
        Scalar.
    """
    labelled = (labels > 0).any(dim=1)
    return (values * labelled).sum() / labelled.sum().clamp(min=1)


def label_shares(labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Spread a target of 1 evenly over the labels of each item.

    Args:
        labels: ``(B, C)`` of 0/1.
        dtype: floating type of the result.

    Returns:
        ``(B, C)``; the rows of items without a label are 0.
    """
    shares = labels.to(dtype)
    return shares / shares.sum(dim=1, keepdim=True).clamp(min=1)
