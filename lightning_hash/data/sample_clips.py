"""Short clips of the photographs inside scikit-image: pans and zooms."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_hash.data.augment import ColorJitter
from lightning_hash.data.sample_photos import Crop, Crops, SamplePhotos
from lightning_hash.data.validation import SelectedOn


class SampleClips(SamplePhotos):
    """Clips ``(T, 3, S, S)`` of ten photographs; the label of a clip is its photograph.

    In each clip a window moves and grows or shrinks steadily from one box of a cell to another.
    Cells and splits are those of :class:`SamplePhotos`: no pixel is in two splits.

    Args:
        n_train: training clips.
        n_query: query clips.
        n_database: database clips.
        frames: T, at least 2.
        size: side of a frame in pixels after resizing.
        jitter: strength of the colour jitter in training, the same for all frames of a clip, which
            is mirrored or not; ``None`` leaves training clips as they are.
        batch_size: clips per training batch.
        eval_batch_size: clips per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of the cells' splits, the clips and the order of training.
        selected_on: see :class:`lightning_hash.data.HashDataModule`.
        n_validation: see there.

    Raises:
        ValueError: if an argument is out of its range.
        FileNotFoundError: by ``setup``, if scikit-image lacks a photograph.

    Example:
        >>> data = SampleClips(n_train=20, n_query=10, n_database=20, frames=4, size=16)
        >>> data.setup("fit")
        >>> data.query_set[0][0].shape
        torch.Size([4, 3, 16, 16])
    """

    name = "sample-clips"
    SIDES = (24, 88)

    def __init__(
        self,
        n_train: int = 2000,
        n_query: int = 100,
        n_database: int = 1000,
        frames: int = 6,
        size: int = 32,
        jitter: float | None = 0.25,
        batch_size: int = 50,
        eval_batch_size: int = 100,
        num_workers: int = 0,
        seed: int = 0,
        selected_on: SelectedOn = "validation",
        n_validation: int | None = None,
    ) -> None:
        super().__init__(
            n_train, n_query, n_database, size, batch_size=batch_size,
            eval_batch_size=eval_batch_size, num_workers=num_workers, seed=seed,
            selected_on=selected_on, n_validation=n_validation,
        )  # fmt: skip
        if frames < 2:
            msg = f"frames must be at least 2, got {frames}"
            raise ValueError(msg)
        self.frames = frames
        self.train_transform = None if jitter is None else ClipJitter(jitter)

    def _crops(
        self,
        split: str,
        photographs: list[Image.Image],
        cells: list[dict[str, list[tuple[int, int]]]],
        random: np.random.Generator,
    ) -> Crops:
        count = self.counts[split]
        clips = np.empty((count, self.frames, self.size, self.size, 3), np.uint8)
        labels = torch.zeros(count, len(photographs), dtype=torch.uint8)
        sources: list[tuple[Crop, ...]] = []
        for place, draw in enumerate(random.permutation(count)):
            number = int(draw) % len(photographs)  # as many of each, in random order
            corner = [cells[number][split][random.integers(len(cells[number][split]))]]
            ends = (self._crop(number, corner, random), self._crop(number, corner, random))
            for frame, share in enumerate(np.linspace(0, 1, self.frames)):
                box = [
                    round((1 - share) * a + share * b)
                    for a, b in zip(_box(ends[0]), _box(ends[1]), strict=True)
                ]
                moved = Crop(number, box[0], box[1], box[2])
                clips[place, frame] = self._pixels(photographs[number], moved)
            labels[place, number] = 1
            sources.append(ends)
        frames = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).contiguous()
        return Crops(frames, labels, sources)


class ClipJitter(ColorJitter):
    """:class:`ColorJitter` with one draw for all frames of a clip ``(B, T, 3, H, W)``."""

    def __call__(self, images: Tensor) -> Tensor:
        """Jitter clips."""
        stacked = super().__call__(images.transpose(1, 2).flatten(2, 3))  # frames above each other
        batch, frames, channels, *sides = images.shape
        return stacked.reshape(batch, channels, frames, *sides).transpose(1, 2)


def _box(crop: Crop) -> tuple[int, int, int]:
    return crop.left, crop.top, crop.side
