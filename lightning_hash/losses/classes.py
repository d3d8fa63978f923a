"""What losses that keep something for each class have in common."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


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
