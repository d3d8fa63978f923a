"""Data that come as a folder per class."""

from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from lightning_hash.data.clips import ARRAY, VIDEO_EXTENSIONS, find_clips, is_clip
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table

# Names of folders that hold a split, not a class.
SPLIT_FOLDERS = (
    "train", "training", "query", "queries", "test", "testing", "val", "valid", "validation",
    "database", "gallery",
)  # fmt: skip
KINDS = ("train", ("query", "queries", "test", "val"), ("database", "gallery"))
PER_CLASS = ("100 per class from all", "10 per class from all", "rest of all")
FLAT = ("all", "all", "rest of all")


class FolderDataModule(ImageDataModule):
    """Images in a folder per class, the layout of torchvision's ImageFolder; or all in one folder.

    Images that lie in no class folder have no labels, which ``encode`` and ``attack`` work without.
    With ``frames`` the items are clips: video files, arrays, and the folders that hold images. A
    source is a folder of class folders below ``folder`` (``train``, ``test``), or ``all``: the
    class folders of ``folder`` itself. ``class_names`` says which class folders are taken, and in
    which order; all of them, sorted, by default.

    Args:
        folder: the top folder.
        train: the training set; see :class:`ImageDataModule`. By default 100 per class, or all of a
            folder without class folders.
        query: the query set; 10 per class, or all.
        database: the database; the rest, or all.
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
        train: str | None = None,
        query: str | None = None,
        database: str | None = None,
        **options: Any,
    ) -> None:
        clips, top = options.get("frames") is not None, Path(folder)
        usual = FLAT if top.is_dir() and not _class_folders(top, clips) else PER_CLASS
        super().__init__(
            folder, train or usual[0], query or usual[1], database or usual[2], **options
        )

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
        names = _class_folders(top, self.reading is not None)
        absent = [name for name in wanted or [] if name not in names]
        if absent:
            msg = f"class {absent[0]!r} of the list of classes has no folder in {top}"
            raise FileNotFoundError(msg)
        names = names if wanted is None else wanted
        splits = [name for name in names if name.lower() in SPLIT_FOLDERS]
        if source == "all" and wanted is None and (len(splits) > 1 or splits == names != []):
            raise ValueError(_splits_message(top, splits))
        if not names:
            return self._flat(top)
        numbers = {name: number for number, name in enumerate(names)}
        items = self._items(top, numbers)
        labels = np.zeros((len(items), len(names)), np.uint8)
        labels[np.arange(len(items)), [number for _, number in items]] = 1
        empty = [name for name, count in zip(names, labels.sum(axis=0), strict=True) if not count]
        if empty:
            msg = f"{top / empty[0]} has no {self._what}; is {top} a folder of class folders?"
            raise ValueError(msg)
        paths = [str(Path(path).relative_to(self.folder)) for path, _ in items]
        return Table(paths, labels, str(top), None, names)

    @property
    def _what(self) -> str:
        if self.reading is None:
            return f"images ({', '.join(IMG_EXTENSIONS)}; for clips give frames)"
        return f"clips ({', '.join(VIDEO_EXTENSIONS)}, {ARRAY} or folders of images)"

    def _flat(self, top: Path) -> Table:
        """List what lies in one folder, without labels."""
        if self.reading is None:
            found = [p for p in sorted(top.iterdir()) if p.suffix.lower() in IMG_EXTENSIONS]
        else:
            found = [path for path in sorted(top.iterdir()) if is_clip(path)]
        if not found:
            msg = f"{top} has neither class folders nor {self._what}"
            raise ValueError(msg)
        paths = [str(path.relative_to(self.folder)) for path in found]
        return Table(paths, np.zeros((len(paths), 0), np.uint8), str(top), None, [])

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


def _class_folders(top: Path, clips: bool) -> list[str]:
    """Return the folders in a folder; none where all are clips, folders of frames."""
    folders = [p for p in top.iterdir() if p.is_dir() and not p.name.startswith(".")]
    if clips and all(is_clip(path) for path in folders):
        return []
    return sorted(path.name for path in folders)


def _splits_message(top: Path, splits: list[str]) -> str:
    """Say that folders are splits, and how to give them."""
    by_kind = [[name for name in splits if name.lower().startswith(k)] for k in KINDS]
    train, query, database = (next(iter(found), None) for found in by_kind)
    held = query or train
    ranked = database or f"rest of {held}"
    queries = query if database and query else f"10 per class from {held}"
    return (
        f"{top} holds {', '.join(splits)}, which are splits, not classes; give train: "
        f"{train or held}, query: {queries}, database: {ranked} (or class_names: "
        f"[{', '.join(splits)}], if they are classes)"
    )
