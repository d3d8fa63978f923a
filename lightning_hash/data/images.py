"""Image files as a retrieval data set."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.pictures import one_line, read_picture
from lightning_hash.data.table import Table

READERS = 8
Interpolation = Literal["bilinear", "bicubic", "nearest"]
_LEVELS = v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)


def image_transform(
    size: int = 224,
    resize: int | None = None,
    keep_aspect: bool = False,
    interpolation: Interpolation = "bilinear",
) -> v2.Compose:
    """Make the transform from a picture to a network's input.

    Args:
        size: side of the input in pixels.
        resize: pixels to resize to before a centre crop of ``size``; ``None`` resizes to ``size``
            itself (HAG; DHTA's image lists: 256, then 224).
        keep_aspect: ``resize`` is the shorter side; otherwise both sides are resized to it.
        interpolation: Pillow's filter of that name: ``"bilinear"`` (torchvision's ``Resize``, so
            DeepHash-pytorch, CgAT and SAAT), ``"bicubic"`` (``Image.resize`` since Pillow 7, so
            HashNet and DHTA) or ``"nearest"`` (``Image.resize`` before).

    Returns:
        From an RGB picture to float32 ``(3, size, size)`` in [0, 1]; uint8 up to its last step.

    Raises:
        ValueError: if ``size`` is below 8 or above ``resize``, or ``interpolation`` is unknown.
    """
    first = size if resize is None else resize
    if size < 8 or first < size:
        msg = f"size must be at least 8 and at most resize, got size {size}, resize {resize}"
        raise ValueError(msg)
    sides = first if keep_aspect else (first, first)
    resize_by = v2.Resize(sides, interpolation_mode(interpolation))
    return v2.Compose([resize_by, v2.CenterCrop(size), *_LEVELS])


def interpolation_mode(interpolation: Interpolation) -> InterpolationMode:
    """Return torchvision's name of an interpolation.

    Raises:
        ValueError: if it is unknown.
    """
    if interpolation not in get_args(Interpolation):
        known = ", ".join(get_args(Interpolation))
        msg = f"interpolation must be one of {known}, got {interpolation!r}"
        raise ValueError(msg)
    return InterpolationMode(interpolation)


def real_paths(paths: Iterable[Path]) -> list[str]:
    """Return where files really lie: two paths of one file, by links or ``..``, are equal then.

    Args:
        paths: of files, which need not exist.
    """
    known: dict[str, tuple[str, set[str]]] = {}
    found = []
    for path in paths:
        parent, name = os.path.split(path)
        if parent not in known:
            known[parent] = os.path.realpath(parent), _links(parent)
        folder, links = known[parent]
        place = os.path.join(folder, name)
        found.append(os.path.realpath(place) if name in links else place)
    return found


def _links(folder: str) -> set[str]:
    """Return the links in a folder, by one listing: a look at each file takes long on a network."""
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_symlink()}
    except OSError:
        return set()


class ImageFiles(EightBitImages):
    """The images of a table.

    Args:
        table: paths and labels.
        root: folder that the paths are relative to.
        transform: from an RGB picture to float32 in [0, 1]; its last step scales uint8.
        strip_prefix: taken off the front of the paths that have it.

    Raises:
        ValueError: if there is a ``strip_prefix`` and no path begins with it.
    """

    kind = "image"

    def __init__(
        self,
        table: Table,
        root: Path,
        transform: v2.Compose,
        strip_prefix: str = "",
    ) -> None:
        self.table, self.root, self.transform = table, root, transform
        *steps, self._scale = transform.transforms
        self._resize = v2.Compose(steps)
        self.strip_prefix = strip_prefix
        self.labels = torch.from_numpy(table.labels)
        if strip_prefix and not any(path.startswith(strip_prefix) for path in table.paths):
            msg = (
                f"strip_prefix: no path of {table.source} begins with {strip_prefix!r}; the first "
                f"is {table.paths[0]!r}"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.table)

    def image(self, index: int) -> Tensor:
        """Return a picture as the transform resizes it, uint8 ``(3, size, size)``."""
        resized: Tensor = self._resize(self.picture(index))
        return resized

    def scale(self, images: Tensor) -> Tensor:
        """Apply the transform's last step: a product, of the same bits on every device."""
        scaled: Tensor = self._scale(images)
        return scaled

    def path(self, index: int) -> Path:
        """Return where the file of an item lies."""
        path = self.table.paths[index].removeprefix(self.strip_prefix)
        return self.root / (path.lstrip("/") if self.strip_prefix else path)

    def picture(self, index: int) -> Any:
        """Decode a file: a picture, upright as its EXIF orientation says, as RGB.

        Raises:
            FileNotFoundError: naming list, line and path, if there is no such file.
            ValueError: if the file is no image, or truncated.
        """
        path = self.path(index)
        try:
            return self._read(path)
        except FileNotFoundError as error:
            raise self._missing(index) from error
        except Exception as error:  # decoders of broken files raise whatever their parts do
            msg = (
                f"{self.table.where(index)}: {self.kind} {path} cannot be read "
                f"({one_line(error)}); mend it, or leave such items out with on_bad_image: skip"
            )
            raise ValueError(msg) from error

    def bad_images(self) -> list[tuple[int, str]]:
        """Decode every file; return index and message of those that cannot be read."""

        def problem(index: int) -> tuple[int, str] | None:
            try:
                self.picture(index)
            except (FileNotFoundError, ValueError) as error:
                return index, str(error)
            return None

        with ThreadPoolExecutor(READERS) as pool:
            return [found for found in pool.map(problem, range(len(self))) if found is not None]

    def sizes_sha256(self) -> str:
        """Return a sha256 of the files' sizes: a file that was replaced rarely has the old size.

        Raises:
            FileNotFoundError: if a file is missing.
        """
        digest = hashlib.sha256()
        with ThreadPoolExecutor(READERS) as pool:
            for size in pool.map(self._size, range(len(self))):
                digest.update(f"{size} ".encode())
        return digest.hexdigest()

    def _size(self, index: int) -> int:
        try:
            return self._bytes(self.path(index))
        except FileNotFoundError as error:
            raise self._missing(index) from error
        except (OSError, ValueError) as error:  # a path that no system takes
            what = f"{self.kind} {self.path(index)}"
            msg = f"{self.table.where(index)}: {what} cannot be read ({one_line(error)})"
            raise ValueError(msg) from error

    def _missing(self, index: int) -> FileNotFoundError:
        msg = (
            f"{self.table.where(index)}: {self.kind} {self.path(index)} does not exist; root and "
            "strip_prefix say where the paths of a list begin"
        )
        return FileNotFoundError(msg)

    def as_saved(self) -> "ImageFiles":
        """Return the set with images of their own size: neither resized nor cropped."""
        return ImageFiles(self.table, self.root, v2.Compose(_LEVELS), self.strip_prefix)

    def without(self, indices: Sequence[int]) -> "ImageFiles":
        """Return the set without some items; the others are counted anew."""
        rows = np.setdiff1d(np.arange(len(self)), np.asarray(indices))
        return self._like(self.table.take(rows))

    def _read(self, path: Path) -> Any:
        return read_picture(path)

    def _bytes(self, path: Path) -> int:
        return path.stat().st_size

    def _like(self, table: Table) -> "ImageFiles":
        return ImageFiles(table, self.root, self.transform, self.strip_prefix)
