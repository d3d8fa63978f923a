"""Files of clips as a retrieval data set: videos, folders of frames, arrays."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from lightning_hash.data.base import Item
from lightning_hash.data.images import ImageFiles
from lightning_hash.data.pictures import picture_extensions, read_picture
from lightning_hash.data.table import Table
from lightning_hash.utils.array_names import natural_order
from lightning_hash.utils.foreign_files import check_file, check_pixels

VIDEO_EXTENSIONS = (
    ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv",
)  # fmt: skip
ARRAY = ".npy"
# A file that ends before this share of the frames that its header promises is truncated; headers
# of whole files are off by a frame or two.
WHOLE = 0.9
ALONE = {"protocol_whitelist": "none"}  # of FFmpeg: nothing but the file is opened

Short = Literal["pad", "repeat"]


@dataclass(frozen=True)
class ClipReading:
    """Which frames of a file make a clip.

    Attributes:
        frames: T, the most that are taken.
        stride: every which frame is taken, from the first on.
        short: clips of fewer than T frames are ``"pad"``ded, and have a length, or begin anew until
            there are T (``"repeat"``), for networks that take no lengths.

    Raises:
        ValueError: if a value is out of its range.
    """

    frames: int
    stride: int = 1
    short: Short = "pad"

    def __post_init__(self) -> None:
        if self.frames < 1 or self.stride < 1:
            msg = f"frames and stride must be at least 1, got {self.frames} and {self.stride}"
            raise ValueError(msg)
        if self.short not in ("pad", "repeat"):
            msg = f"short must be 'pad' or 'repeat', got {self.short!r}"
            raise ValueError(msg)

    @property
    def chosen(self) -> slice:
        """Which of all frames are taken."""
        return slice(0, self.frames * self.stride, self.stride)


class ClipFiles(ImageFiles):
    """The clips of a table, each a video file, a folder of frames or a ``.npy`` array.

    Frames of a folder are its image files, ordered by the numbers in their names. An array is uint8
    ``(T, H, W, 3)``, RGB. Items are ``(clip (T, 3, S, S), labels, index, length)``; they have no
    length where short clips are repeated.

    Args:
        table: paths and labels.
        root: folder that the paths are relative to.
        transform: from a frame to float32 in [0, 1]; its last step scales uint8.
        strip_prefix: taken off the front of the paths that have it.
        reading: which frames.

    Raises:
        ValueError: see :class:`ImageFiles`.
    """

    kind = "clip"

    def __init__(
        self,
        table: Table,
        root: Path,
        transform: v2.Compose,
        strip_prefix: str,
        reading: ClipReading,
    ) -> None:
        super().__init__(table, root, transform, strip_prefix)
        self.reading = reading

    def clip(self, index: int) -> tuple[Tensor, int]:
        """Return a clip, uint8 ``(T, 3, size, size)``, and how many frames it has.

        Raises:
            FileNotFoundError: naming list, line and path, if there is no such file.
            ValueError: if the file is no clip, or is truncated and its header says how many frames
                there should be, as those of .avi, .mp4 and .mov do.
        """
        frames = torch.stack([self._resize(frame) for frame in self.picture(index)])
        count, most = len(frames), self.reading.frames
        if self.reading.short == "repeat":
            return frames[torch.arange(most) % count], most
        return torch.cat([frames, frames.new_zeros(most - count, *frames.shape[1:])]), count

    def image(self, index: int) -> Tensor:
        """Return a clip, uint8 ``(T, 3, size, size)``."""
        return self.clip(index)[0]

    def unscaled(self, index: int) -> Item:
        """Return an item with its clip as uint8."""
        clip, length = self.clip(index)
        if self.reading.short == "repeat":
            return clip, self.labels[index], index
        return clip, self.labels[index], index, length

    def content_sha256(self, index: int) -> str:
        """Return the sha256 of a file, or of all frames of a folder."""
        path, digest = self.path(index), hashlib.sha256()
        for file in frame_files(path) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def _read(self, path: Path) -> list[Any]:
        """Return the chosen frames as pictures."""
        if path.is_dir():
            frames = [read_picture(file) for file in frame_files(path)[self.reading.chosen]]
        elif path.suffix.lower() == ARRAY:
            frames = _array(path, self.reading)
        else:
            frames = _video(path, self.reading)
        if not frames:
            msg = "it has no frame"
            raise ValueError(msg)
        return frames

    def _bytes(self, path: Path) -> int:
        if path.is_dir():
            return sum(file.stat().st_size for file in frame_files(path))
        return super()._bytes(path)

    def _like(self, table: Table) -> "ClipFiles":
        return ClipFiles(table, self.root, self.transform, self.strip_prefix, self.reading)


def is_clip(path: Path) -> bool:
    """Return whether a path is a video file, an array or a folder of frames, by its names."""
    if path.is_dir():
        return any(file.suffix.lower() in picture_extensions() for file in path.iterdir())
    return path.suffix.lower() in (*VIDEO_EXTENSIONS, ARRAY)


def find_clips(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the clips below a folder, at any depth, ordered by path, and the files that are none.

    What lies beside the frames of a folder is not looked at.
    """
    found: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.iterdir()):
        if is_clip(path):
            found.append(path)
        elif path.is_dir():
            inner, none = find_clips(path)
            found, others = found + inner, others + none
        else:
            others.append(path)
    return found, others


def frame_files(folder: Path) -> list[Path]:
    """Return the images in a folder, ``2.png`` before ``10.png``."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in picture_extensions()]
    return sorted(files, key=lambda file: natural_order(file.name))


def _array(path: Path, reading: ClipReading) -> list[Any]:
    check_file(path, "it", whole=False)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        msg = f"an array must be uint8 (T, H, W, 3), got {array.dtype} {array.shape}"
        raise ValueError(msg)
    return [Image.fromarray(frame) for frame in np.array(array[reading.chosen])]


def _video(path: Path, reading: ClipReading) -> list[Any]:
    check_file(path, "it", whole=False)
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        import av
    except ImportError as error:
        msg = "PyAV is missing, which reads videos: pip install 'lightning-hash[video]'"
        raise ValueError(msg) from error
    seen = 0

    def decoded(container: Any) -> Iterator[Any]:
        nonlocal seen
        for frame in container.decode(video=0):
            seen += 1
            check_pixels(frame.width, frame.height)
            yield frame

    try:
        # An open file: a playlist that poses as a video cannot name other files or addresses.
        with path.open("rb") as file, av.open(file, options=ALONE) as container:
            if not container.streams.video:
                msg = "it has no video stream"
                raise ValueError(msg)
            check_pixels(container.streams.video[0].width, container.streams.video[0].height)
            promised = container.streams.video[0].frames
            places = reading.chosen
            chosen = itertools.islice(decoded(container), 0, places.stop, places.step)
            frames = [_upright(frame) for frame in chosen]
    except av.FFmpegError as error:
        msg = f"FFmpeg: {error}"
        raise ValueError(msg) from error
    if len(frames) < reading.frames and seen < WHOLE * promised:
        msg = f"it ends after {seen} of {promised} frames: truncated?"
        raise ValueError(msg)
    return frames


def _upright(frame: Any) -> Image.Image:
    """Return a frame as its display matrix, which telephones write, turns it."""
    picture: Image.Image = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
