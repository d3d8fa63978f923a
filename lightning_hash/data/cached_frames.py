"""What a network gives of the frames of clips, kept in a file."""

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lightning_hash.data.base import Item
from lightning_hash.utils.whole_file import lock, part_of, ready_folder, write_whole

FEATURES, LENGTHS = "features.npy", "lengths.npy"


class CachedFrames(Dataset[Item]):
    """The items of a split with the features of their frames in place of these.

    Args:
        folder: what :class:`FrameFile` finished.
        labels: uint8 ``(N, C)``, the split's own.

    Raises:
        ValueError: if its files are damaged, or of other items.
    """

    vouched = True  # features are not in [0, 1]

    def __init__(self, folder: Path, labels: Tensor) -> None:
        self.folder, self.labels = folder, labels
        self._opened: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None
        try:
            features, lengths = self._open()
        except (OSError, ValueError, EOFError) as error:
            msg = f"feature_cache: {folder} is damaged ({error}); remove it and train again"
            raise ValueError(msg) from error
        fits = features.ndim == 3 and features.dtype == np.float32
        fits &= len(features) == len(lengths) == len(labels) and lengths.ndim == 1
        if not (fits and ((lengths >= 1) & (lengths <= features.shape[1])).all()):
            msg = (
                f"feature_cache: {folder} holds {features.dtype} {features.shape} and lengths "
                f"{lengths.shape} for {len(labels)} items; remove it and train again"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        if self._opened is None:
            self._opened = self._open()
        features, lengths = self._opened
        frames = torch.from_numpy(np.array(features[index]))
        return frames, self.labels[index], index, int(lengths[index])

    def _open(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        features = np.load(self.folder / FEATURES, mmap_mode="r", allow_pickle=False)
        return features, np.load(self.folder / LENGTHS, allow_pickle=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file out: a worker that gets it by pickling opens it itself."""
        return {**self.__dict__, "_opened": None}


class FrameFile:
    """A folder that is being filled with features, by several processes at once.

    Args:
        folder: the folder of all such files.
        made_with: what the features depend on, by name.

    Attributes:
        finished: where the features are once :meth:`finish` was called, by this run or another.
    """

    def __init__(self, folder: Path, made_with: dict[str, str]) -> None:
        text = json.dumps(made_with, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.finished = folder / f"{made_with['split']}-{digest[:16]}"
        self._text = text
        self._open: BinaryIO | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the features are there."""
        return self.finished.is_dir()

    def begin(self, shape: tuple[int, int, int]) -> Path:
        """Make room for ``(N, T, D)`` values of float32; by one process.

        Returns:
            The folder to fill, of this run alone.

        Raises:
            OSError: if there is no room.
        """
        folder = self.finished.parent
        ready_folder(folder, "feature_cache", "give another folder with --model.feature_cache")
        place = part_of(folder / f"{self.finished.name}-{uuid.uuid4().hex[:8]}")
        try:
            place.mkdir()
            np.lib.format.open_memmap(place / FEATURES, "w+", np.float32, shape)
            np.lib.format.open_memmap(place / LENGTHS, "w+", np.int64, shape[:1])
            self._open = (place / FEATURES).open("r+b")
            number = self._open.fileno()
            lock(number)  # as long as this process fills it
            if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
                os.posix_fallocate(number, 0, os.fstat(number).st_size)  # a full disk is an error
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise OSError(error.errno, error.strerror, str(folder)) from error
        return place

    def finish(self, place: Path) -> None:
        """Give the filled folder its name; by one process, after all have written.

        Raises:
            ValueError: if it is not filled.
        """
        missing = int((np.load(place / LENGTHS) < 1).sum())
        if missing:
            msg = (
                f"feature_cache: {missing} items were not passed; train without "
                "limit_predict_batches"
            )
            raise ValueError(msg)
        write_whole(place / "made_with.json", self._text.encode())
        try:
            place.rename(self.finished)
        except OSError:
            if not self.finished.exists():
                raise
            shutil.rmtree(place)  # another run was faster
        finally:
            if self._open is not None:
                self._open.close()


def write_rows(place: Path, index: Tensor, features: Tensor, lengths: Tensor) -> None:
    """Write the features of some items.

    Args:
        place: what :meth:`FrameFile.begin` returned.
        index: ``(B,)`` int.
        features: ``(B, T, D)``.
        lengths: ``(B,)`` int.
    """
    rows = index.cpu().numpy()
    np.load(place / FEATURES, mmap_mode="r+")[rows] = features.float().cpu().numpy()
    np.load(place / LENGTHS, mmap_mode="r+")[rows] = lengths.cpu().numpy()
