"""Data that come as a folder per class."""

from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from lightning_hash.data.clips import ARRAY, VIDEO_EXTENSIONS, find_clips
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table


class FolderDataModule(ImageDataModule):
    """Images in a folder per class, the layout of torchvision's ImageFolder.

    With ``frames`` the items are clips: video files, arrays, and the folders that hold images. A
    source is a folder of class folders below ``folder`` (``train``, ``test``), or ``all``: the
    class folders of ``folder`` itself. ``class_names`` says which class folders are taken, and in
    which order; all of them, sorted, by default.

    Args:
        folder: the top folder.
        train: the training set; see :class:`ImageDataModule`.
        query: the query set.
        database: the database.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: see :class:`ImageDataModule`.

    Example:
        >>> data = FolderDataModule("photos", query="10 per class from all", size=64)
        >>> data.choices["query"].per_class
        True
    """

    def __init__(
        self,
        folder: str,
        train: str = "100 per class from all",
        query: str = "10 per class from all",
        database: str = "rest of all",
        **options: Any,
    ) -> None:
        super().__init__(folder, train, query, database, **options)

    def read(self, source: str) -> Table:
        """List the images of a source."""
        return self._read(source, self.given_names)

    def read_open(self, source: str) -> Table:
        """List the images of the open set."""
        return self._read(source, self.given_open_names)

    def _read(self, source: str, wanted: list[str] | None) -> Table:
        top = self.folder if source == "all" else self.folder / source
        if not top.is_dir():
            there = sorted(p.name for p in self.folder.glob("*") if p.is_dir())
            msg = f"{top} is no folder; below {self.folder} there is {', '.join(there) or 'none'}"
            raise FileNotFoundError(msg)
        names = sorted(path.name for path in top.iterdir() if path.is_dir())
        absent = [name for name in wanted or [] if name not in names]
        if absent:
            msg = f"class {absent[0]!r} of the list of classes has no folder in {top}"
            raise FileNotFoundError(msg)
        names = names if wanted is None else wanted
        numbers = {name: number for number, name in enumerate(names)}
        if not names:
            msg = f"{top} has no class folders; a source must have a folder of images per class"
            raise ValueError(msg)
        items = self._items(top, numbers)
        labels = np.zeros((len(items), len(names)), np.uint8)
        labels[np.arange(len(items)), [number for _, number in items]] = 1
        empty = [name for name, count in zip(names, labels.sum(axis=0), strict=True) if not count]
        if empty:
            what = f"images ({', '.join(IMG_EXTENSIONS)}; for clips give frames)"
            if self.reading is not None:
                what = f"clips ({', '.join(VIDEO_EXTENSIONS)}, {ARRAY} or folders of images)"
            msg = f"{top / empty[0]} has no {what}; is {top} a folder of class folders?"
            raise ValueError(msg)
        paths = [str(Path(path).relative_to(self.folder)) for path, _ in items]
        return Table(paths, labels, str(top), None, names)

    def _items(self, top: Path, numbers: dict[str, int]) -> list[tuple[str, int]]:
        """Return path and class number of each item."""
        if self.reading is None:
            found: list[tuple[str, int]] = make_dataset(
                str(top), numbers, extensions=IMG_EXTENSIONS, allow_empty=True
            )
            return found
        return [
            (str(p), number) for name, number in numbers.items() for p in find_clips(top / name)
        ]
