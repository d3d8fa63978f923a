"""What travels to the device, and what becomes of it there."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators import CUDAAccelerator
from torch import Tensor
from torch.utils.data import Subset


def is_copied(trainer: pl.Trainer | None) -> bool:
    """Return whether a trainer copies batches to a GPU, which it does faster from pinned memory."""
    return trainer is not None and isinstance(trainer.accelerator, CUDAAccelerator)


def travelling(items: Any) -> Any:
    """Return what stands for items on their way to a device: 8-bit images as uint8.

    Args:
        items: a data set, or a subset of one; ``travelling()`` of it gives the other data set.
    """
    if isinstance(items, Subset):
        return Subset(travelling(items.dataset), items.indices)
    return items.travelling() if hasattr(items, "travelling") else items


def arrived(inputs: Tensor, images: Any, trainer: pl.Trainer | None) -> Tensor:
    """Scale inputs that travelled as uint8, on the device.

    Args:
        inputs: ``(B, ...)`` uint8.
        images: the data set that they are of.
        trainer: in whose precision they are wanted; Lightning converts a batch to one such as
            64-true before its transfer, and passes over integers.
    """
    scaled: Tensor = images.scale(inputs)
    return scaled if trainer is None else trainer.precision_plugin.convert_input(scaled)
