"""Single image files as a network's inputs, read as those of a data set or of a file of codes."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from lightning_hash.data.base import HashDataModule
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.images import Interpolation, image_transform
from lightning_hash.data.pictures import one_line, picture_extensions, read_picture
from lightning_hash.functional import from_8bit

ImageKind = Literal["file", "input"]
_RESIZED = re.compile(
    r"Resize\(size=\[(\d+)(, \d+)?\], interpolation=InterpolationMode\.(\w+),.*"
    r"CenterCrop\(size=\((\d+), "
)
_SQUARE = re.compile(r"\w+ \(3, (\d+), \1\)(?: (\w+))?")


@dataclass(frozen=True)
class ImageReading:
    """How an image file becomes a network's input.

    Args:
        size: side of the input in pixels.
        resize: pixels to resize to before the centre crop; ``None`` resizes to ``size``.
        keep_aspect: resize the shorter side and keep the aspect ratio.
        interpolation: see :func:`lightning_hash.data.images.image_transform`.

    Raises:
        ValueError: as ``image_transform``.
    """

    size: int
    resize: int | None = None
    keep_aspect: bool = False
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        self.transform()

    def transform(self) -> v2.Compose:
        """Return what turns an RGB picture into float32 ``(3, size, size)`` in [0, 1]."""
        return image_transform(self.size, self.resize, self.keep_aspect, self.interpolation)

    @property
    def text(self) -> str:
        """What a file of codes says of it."""
        return " ".join(repr(self.transform()).split())

    def read(self, path: Path, kind: ImageKind | None = None) -> Tensor:
        """Read an image.

        Args:
            path: of the file.
            kind: of an image that has the input's size: ``"file"``, which is resized and cropped as
                those of the data are, or ``"input"``, which is taken as it is, such as what an
                attack on inputs saves. Needed only where both differ.

        Returns:
            float32 ``(3, size, size)`` in [0, 1].

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no image, or truncated, or of no one kind.
        """
        try:
            picture = read_picture(path)
        except FileNotFoundError as error:
            msg = f"image {path} does not exist"
            raise FileNotFoundError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"image {path} cannot be read ({one_line(error)}); leave it out, or save it anew"
            raise ValueError(msg) from error
        if picture.size == (self.size, self.size) and self.resize not in (None, self.size):
            if kind is None:
                msg = (
                    f"image {path} has the size of the network's input, {self.size}x{self.size}, "
                    f"and files are resized to {self.resize} and cropped: say which of the two it "
                    "is with images_are: file, or input (what an attack on inputs saved)"
                )
                raise ValueError(msg)
            if kind == "input":
                return from_8bit(torch.from_numpy(np.array(picture)).movedim(-1, 0))
        found: Tensor = self.transform()(picture)
        return found


def reading_of_codes(made_with: Mapping[str, str]) -> ImageReading | None:
    """Return how the images of a file of codes were read, as it says.

    Args:
        made_with: what the codes were made with.

    Returns:
        The reading; ``None`` where the file does not say it, or in another way than ours.

    Raises:
        ValueError: if the codes are those of clips.
    """
    if "reading" in made_with:
        msg = f"codes are those of clips ({made_with['reading']}), and images are searched with"
        raise ValueError(msg)
    resized = _RESIZED.search(made_with.get("transform", ""))
    square = _SQUARE.fullmatch(made_with.get("inputs", ""))
    try:
        if resized is not None:
            first, second, kind, size = resized.groups()
            found = ImageReading(int(size), int(first), second is None, _interpolation(kind))
            return found if found.text == made_with["transform"] else None
        if square is not None:
            return ImageReading(int(square[1]), interpolation=_interpolation(square[2]))
    except ValueError:  # no sizes of ours
        return None
    return None


def reading_of_data(data: HashDataModule) -> ImageReading | None:
    """Return how a data module, set up, reads its images; ``None`` where inputs are no squares."""
    if isinstance(data, ImageDataModule):
        text = " ".join(repr(data.transform).split())
        return None if data.reading is not None else reading_of_codes({"transform": text})
    return reading_of_codes(data.input_fingerprints("query"))


def find_images(given: Sequence[str | Path]) -> list[Path]:
    """List image files: those that are named, and those in folders that are, sorted.

    Hidden files and folders, and what has no ending of an image, are left out of folders.

    Args:
        given: files and folders.

    Returns:
        The files.

    Raises:
        FileNotFoundError: if one does not exist.
        ValueError: if a folder holds no image, or none is given.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            inside = [
                Path(root) / name
                for root, _, names in sorted(os.walk(path))
                for name in sorted(names)
                if not any(
                    part.startswith(".") for part in (Path(root) / name).relative_to(path).parts
                )
                and Path(name).suffix.lower() in picture_extensions()
            ]
            if not inside:
                msg = f"image folder {path} holds no images; give another, or files"
                raise ValueError(msg)
            found += inside
        elif not path.exists():
            msg = f"image {path} does not exist"
            raise FileNotFoundError(msg)
        else:
            found.append(path)
    if not found:
        msg = "images must be at least one file or folder, got none"
        raise ValueError(msg)
    return found


def _interpolation(name: str | None) -> Any:
    return (name or "bilinear").lower()
