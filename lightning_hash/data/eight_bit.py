"""Images that stay 8-bit integers on their way to the device."""

from abc import ABC, abstractmethod

from torch import Tensor
from torch.utils.data import Dataset

from lightning_hash.data.base import Item
from lightning_hash.functional import from_8bit


class EightBitImages(Dataset[Item], ABC):
    """Base of data sets whose last step is to scale an 8-bit image to [0, 1].

    Their uint8 images travel to a GPU, a quarter of the bytes, and ``scale`` is called there; see
    :mod:`lightning_hash.data.transfer`.

    Attributes:
        labels: uint8 ``(N, C)`` of 0/1.
        vouched: see :func:`lightning_hash.data.base.collate_of`.
    """

    labels: Tensor
    vouched = True

    @abstractmethod
    def __len__(self) -> int:
        """Return N."""

    @abstractmethod
    def image(self, index: int) -> Tensor:
        """Return the image of an item, uint8 ``(3, H, W)``."""

    def unscaled(self, index: int) -> Item:
        """Return an item with its image as uint8."""
        return self.image(index), self.labels[index], index

    def travelling(self) -> Dataset[Item]:
        """Return the same items with their images as uint8."""
        return Unscaled(self)

    def scale(self, images: Tensor) -> Tensor:
        """Turn uint8 ``(..., H, W)`` into float32 in [0, 1], with the same bits on every device."""
        return from_8bit(images)

    def __getitem__(self, index: int) -> Item:
        image, *rest = self.unscaled(index)
        return self.scale(image), *rest  # type: ignore[return-value]


class Unscaled(Dataset[Item]):
    """The items of a data set with their inputs as uint8.

    Args:
        images: the data set.
    """

    vouched = True

    def __init__(self, images: EightBitImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        return self.images.unscaled(index)
