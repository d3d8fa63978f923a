"""A retrieval data set out of the photographs that scikit-image ships."""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from torch import Tensor

from lightning_hash.data.augment import ColorJitter
from lightning_hash.data.base import OPEN_SET, SPLITS, HashDataModule
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.validation import SelectedOn

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}
# Whose turn it is as the cells of one block of 2 x 2 after the other are dealt.
DEAL = ("train", "query", "train", "database", "train", "train", "database", "train")
OPEN_PHOTOGRAPHS = 2  # how many an open set takes


@dataclass(frozen=True)
class Crop:
    """Where a crop comes from: a photograph and a box in it, in pixels after its resizing."""

    photograph: int
    left: int
    top: int
    side: int


class Crops(EightBitImages):
    """Crops held in memory as 8-bit images.

    Args:
        images: uint8 ``(N, 3, S, S)``.
        labels: uint8 ``(N, C)`` of 0/1.
        sources: the boxes that each image was cut from.
    """

    def __init__(self, images: Tensor, labels: Tensor, sources: list[tuple[Crop, ...]]) -> None:
        self.images, self.labels, self.sources = images, labels, sources

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Tensor:
        """Return a crop, uint8 ``(3, S, S)``."""
        return self.images[index]


class SamplePhotos(HashDataModule):
    """Crops of ten photographs; the label of a crop is its photograph.

    The photographs lie inside the scikit-image wheel, nothing is downloaded. Each is resized to a
    short side of ``SHORT_SIDE`` pixels and cut into cells; every cell belongs to one split, with a
    gap between cells, so that no pixel of a photograph is in two splits.

    Args:
        n_train: training crops.
        n_query: query crops.
        n_database: database crops.
        size: side of a crop in pixels after resizing.
        multi_label: half of the crops straddle a composite of two photographs side by side and
            carry both labels.
        n_open: crops of the last two photographs, which are then in no other split: the open set.
        jitter: strength of the colour jitter in training, see :class:`ColorJitter`; ``None``
            leaves the images as they are.
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of the cells' splits, the crops and the order of training.
        selected_on: see :class:`lightning_hash.data.HashDataModule`.
        n_validation: see there.

    Raises:
        ValueError: if an argument is out of its range.
        FileNotFoundError: by ``setup``, if scikit-image lacks a photograph.

    Example:
        >>> data = SamplePhotos(n_train=20, n_query=10, n_database=20)
        >>> data.setup("fit")
        >>> image, labels, index = data.query_set[0]
        >>> image.shape, labels.sum(), index
        (torch.Size([3, 64, 64]), tensor(1), 0)
    """

    name = "sample-photos"
    interpolation = "bilinear"
    SHORT_SIDE = 384
    CELL = 96
    GAP = 8
    SIDES = (72, 88)

    def __init__(
        self,
        n_train: int = 3000,
        n_query: int = 200,
        n_database: int = 3000,
        size: int = 64,
        multi_label: bool = False,
        n_open: int = 0,
        jitter: float | None = 0.25,
        batch_size: int = 100,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        selected_on: SelectedOn = "validation",
        n_validation: int | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, selected_on, n_validation)
        self.counts = {"train": n_train, "query": n_query, "database": n_database}
        for split, count in self.counts.items():
            if count < 1:
                msg = f"n_{split} must be at least 1, got {count}"
                raise ValueError(msg)
        if n_open < 0:
            msg = f"n_open must not be negative, got {n_open}"
            raise ValueError(msg)
        if jitter is not None and not 0 <= jitter <= 1:
            msg = f"jitter must be in [0, 1], got {jitter}"
            raise ValueError(msg)
        if size < 8:
            msg = f"size must be at least 8, got {size}"
            raise ValueError(msg)
        self.size, self.multi_label = size, multi_label
        self.train_transform = None if jitter is None else ColorJitter(jitter)
        names = list(PHOTOGRAPHS)
        self.class_names = names[:-OPEN_PHOTOGRAPHS] if n_open else names
        self.open_class_names = names[len(self.class_names) :]
        self.counts[OPEN_SET] = n_open
        if multi_label:
            self.name = "sample-photos-multi"

    def setup(self, stage: str) -> None:
        """Cut the crops, once."""
        if hasattr(self, "train_set"):
            return
        photographs = [self._photograph(file) for file in PHOTOGRAPHS.values()]
        random = np.random.default_rng(self.seed)
        cells = [self._cells(photograph, random) for photograph in photographs]
        known = len(self.class_names)
        sets = {
            split: self._crops(split, photographs[:known], cells[:known], random)
            for split in SPLITS
        }
        if photographs[known:]:
            unseen = [{OPEN_SET: [*dealt["database"], *dealt["query"]]} for dealt in cells[known:]]
            sets[OPEN_SET] = self._crops(OPEN_SET, photographs[known:], unseen, random)
            self.open_set = sets[OPEN_SET]
        self.train_set, self.query_set, self.database_set = (sets[split] for split in SPLITS)
        self._fingerprints = {
            split: hashlib.sha256(crops.images.numpy().tobytes() + crops.labels.numpy().tobytes())
            for split, crops in sets.items()
        }
        database = {image.numpy().tobytes() for image in sets["database"].images}
        self.n_leaked = sum(image.numpy().tobytes() in database for image in sets["query"].images)

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each split's images and labels."""
        return {split: digest.hexdigest() for split, digest in self._fingerprints.items()}

    def _photograph(self, file: str) -> Image.Image:
        path = Path(skimage.__file__).parent / "data" / file
        if not path.is_file():
            msg = f"{path} is missing; it is part of the scikit-image wheel, install that again"
            raise FileNotFoundError(msg)
        with Image.open(path) as image:
            photograph = image.convert("RGB")
        scale = self.SHORT_SIDE / min(photograph.size)
        width, height = (round(side * scale) for side in photograph.size)
        return photograph.resize((width, height), Image.Resampling.LANCZOS)

    def _cells(
        self, photograph: Image.Image, random: np.random.Generator
    ) -> dict[str, list[tuple[int, int]]]:
        """Deal the cells block by block of 2 x 2, so that every split sees every part."""
        columns, rows = (side // self.CELL for side in photograph.size)
        dealt: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
        turns = itertools.cycle(DEAL)
        for block in itertools.product(range(0, columns, 2), range(0, rows, 2)):
            cells = [
                (self.CELL * x, self.CELL * y)
                for x in range(block[0], min(block[0] + 2, columns))
                for y in range(block[1], min(block[1] + 2, rows))
            ]
            for place in random.permutation(len(cells)):
                dealt[next(turns)].append(cells[place])
        return dealt

    def _crops(
        self,
        split: str,
        photographs: list[Image.Image],
        cells: list[dict[str, list[tuple[int, int]]]],
        random: np.random.Generator,
    ) -> Crops:
        count = self.counts[split]
        images = np.empty((count, self.size, self.size, 3), np.uint8)
        labels = torch.zeros(count, len(photographs), dtype=torch.uint8)
        sources: list[tuple[Crop, ...]] = []
        order = random.permutation(count)
        for place in range(count):
            first = int(order[place]) % len(photographs)  # as many of each, in random order
            chosen = [first]
            if self.multi_label and random.random() < 0.5:
                others = [i for i in range(len(photographs)) if i != first]
                chosen.append(int(random.choice(others)))
            crops = tuple(self._crop(number, cells[number][split], random) for number in chosen)
            parts = [self._pixels(photographs[crop.photograph], crop) for crop in crops]
            images[place] = parts[0]
            if len(parts) == 2:
                seam = round(self.size * random.uniform(0.35, 0.65))
                images[place, :, seam:] = parts[1][:, seam:]
            labels[place, chosen] = 1
            sources.append(crops)
        return Crops(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels, sources)

    def _crop(
        self, number: int, corners: list[tuple[int, int]], random: np.random.Generator
    ) -> Crop:
        left, top = corners[random.integers(len(corners))]
        side = int(random.integers(self.SIDES[0], self.SIDES[1] + 1))
        free = self.CELL - self.GAP - side
        shift_x, shift_y = random.integers(0, free + 1, size=2)
        margin = self.GAP // 2
        return Crop(number, left + margin + int(shift_x), top + margin + int(shift_y), side)

    def _pixels(self, photograph: Image.Image, crop: Crop) -> np.ndarray:
        box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
        size = (self.size, self.size)
        return np.asarray(photograph.crop(box).resize(size, Image.Resampling.BILINEAR))
