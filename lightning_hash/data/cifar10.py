"""CIFAR-10 in the three splits of the hashing literature."""

import hashlib
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import datasets
from torchvision.transforms import v2

from lightning_hash.data.augment import FlipShift
from lightning_hash.data.base import SPLITS, HashDataModule
from lightning_hash.data.cifar_files import NAMES, read_cifar10
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.images import Interpolation, image_transform, interpolation_mode
from lightning_hash.data.splits import choose, parse_choice
from lightning_hash.data.table import Table
from lightning_hash.data.validation import SelectedOn

Protocol = Literal["cifar10", "cifar10-1", "cifar10-2"]
# DeepHash-pytorch's names: training, query, database.
PROTOCOLS = {
    "cifar10": ("500 per class from all", "100 per class from all", "rest of all"),
    "cifar10-1": ("500 per class from all", "100 per class from all", "all but query of all"),
    "cifar10-2": ("5000 per class from all", "1000 per class from all", "all but query of all"),
}


class ArrayImages(EightBitImages):
    """Images held in memory as uint8 ``(N, H, W, 3)``, resized when they are taken."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        size: int,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        self.images, self.labels, self.size = images, torch.from_numpy(labels), size
        *steps, _ = image_transform(size, interpolation=interpolation).transforms
        self._resize = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Tensor:
        """Return an image, uint8 ``(3, size, size)``."""
        if self.images.shape[1] == self.size:
            return torch.from_numpy(self.images[index]).permute(2, 0, 1)
        resized: Tensor = self._resize(Image.fromarray(self.images[index]))
        return resized


class CIFAR10DataModule(HashDataModule):
    """CIFAR-10 from torchvision's own files, or others of the same images.

    All 60,000 images are one pool. Per class, ``cifar10`` draws 500 for training and 100 queries,
    the other 54,000 are the database; ``cifar10-1`` keeps the training items in the database
    (59,000); ``cifar10-2`` draws 5,000 and 1,000, so that the training set is the database.

    Args:
        folder: where torchvision's ``cifar-10-batches-py`` lies, or what else
            :func:`lightning_hash.data.cifar_files.read_cifar10` reads.
        protocol: the split.
        download: let torchvision fetch the files.
        size: side of the network's input in pixels.
        interpolation: Pillow's filter for resizing from 32 pixels, as in
            :class:`lightning_hash.data.ImageDataModule`.
        augment: flip and shift the images in training.
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of the draws and the order of training.
        selected_on: see :class:`lightning_hash.data.HashDataModule`.
        n_validation: see there.

    Raises:
        ValueError: if an argument is out of its range.
        FileNotFoundError: by ``setup``, if the files are not there.
    """

    def __init__(
        self,
        folder: str,
        protocol: Protocol = "cifar10",
        download: bool = False,
        size: int = 32,
        interpolation: Interpolation = "bilinear",
        augment: bool = False,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        selected_on: SelectedOn = "validation",
        n_validation: int | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, selected_on, n_validation)
        if protocol not in PROTOCOLS:
            msg = f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}"
            raise ValueError(msg)
        if size < 8:
            msg = f"size must be at least 8, got {size}"
            raise ValueError(msg)
        interpolation_mode(interpolation)
        self.interpolation: Interpolation = interpolation
        self.folder, self.name, self.download, self.size = folder, protocol, download, size
        if augment:
            self.train_transform = FlipShift()

    def prepare_data(self) -> None:
        """Download, where that was asked for."""
        if self.download:
            datasets.CIFAR10(self.folder, download=True)

    def setup(self, stage: str) -> None:
        """Read the files and draw the splits, once."""
        if hasattr(self, "train_set"):
            return
        images, numbers = read_cifar10(self.folder)
        self.class_names = list(NAMES)
        labels = np.eye(len(self.class_names), dtype=np.uint8)[numbers]
        pool = Table([str(i) for i in range(len(images))], labels, "CIFAR-10", None)
        texts = dict(zip(("train", "query", "database"), PROTOCOLS[self.name], strict=True))
        choices = {split: parse_choice(split, text) for split, text in texts.items()}
        splits = choose(choices, {"all": pool}, self.seed)
        self._names = {split: splits[split].paths for split in SPLITS}
        for split in SPLITS:
            rows = np.array([int(path) for path in self._names[split]])
            setattr(self, f"{split}_set", self._images(images[rows], labels[rows]))
        self.n_leaked = len(set(splits["query"].paths) & set(splits["database"].paths))

    def names_of(self, split: str) -> list[str]:
        """Return the number of each image of a split among all 60,000."""
        return self._names[split]

    def _images(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> ArrayImages:
        return ArrayImages(images, labels, self.size, self.interpolation)

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each split's images and labels."""
        return {
            split: hashlib.sha256(
                getattr(self, f"{split}_set").images.tobytes()
                + getattr(self, f"{split}_set").labels.numpy().tobytes()
            ).hexdigest()
            for split in SPLITS
        }
