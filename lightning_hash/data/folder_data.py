"""Data that come as a folder per class."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.utilities import rank_zero_warn
from torchvision.datasets.folder import IMG_EXTENSIONS

from lightning_hash.data.clips import ARRAY, VIDEO_EXTENSIONS, find_clips, is_clip
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.pictures import picture_extensions
from lightning_hash.data.table import Table

# Names of folders that hold a split, not a class: Test, test_images, train2017, "Training Set".
SPLIT_FOLDER = re.compile(
    r"(train|training|query|queries|test|testing|val|valid|validation|database|gallery)"
    r"([\W_]*(images?|imgs?|sets?|data|split|\d+))*",
    re.IGNORECASE,
)
NO_ITEMS = ("@eaDir", "__MACOSX")  # Synology's thumbnails, and what macOS puts into archives
KINDS = ("train", ("query", "queries", "test", "val"), ("database", "gallery"))
PER_CLASS = ("100 per class from all", "10 per class from all", "rest of all")
FLAT = ("all", "all", "rest of all")


class FolderDataModule(ImageDataModule):
    """Images in a folder per class, the layout of torchvision's ImageFolder; or all in one folder.

    Images that lie in no class folder have no labels, which ``encode`` and ``attack`` work without.
    Hidden files and folders are left out; so are, with a warning, images beside class folders and
    files that Pillow reads no picture from.
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
        splits = [name for name in names if SPLIT_FOLDER.fullmatch(name)]
        if source == "all" and wanted is None and (len(splits) > 1 or splits == names != []):
            raise ValueError(_splits_message(top, splits))
        if not names:
            return self._flat(top)
        beside = [path for path in self._in(top)[0] if not path.is_dir()]
        if beside and wanted is None:
            rank_zero_warn(
                f"{top}: {len(beside)} items beside the class folders, such as {beside[0].name}, "
                f"have no class and are left out; the class folders are {', '.join(names)}"
            )
        numbers = {name: number for number, name in enumerate(names)}
        items, others = self._items(top, numbers)
        _check_folders(Path(path).parent for path, _ in items)
        labels = np.zeros((len(items), len(names)), np.uint8)
        labels[np.arange(len(items)), [number for _, number in items]] = 1
        empty = [name for name, count in zip(names, labels.sum(axis=0), strict=True) if not count]
        if empty:
            kinds = _kinds([path for path in others if top / empty[0] in path.parents])
            msg = f"{top / empty[0]} has no {self._what}; is {top} a folder of class folders?"
            msg += kinds
            raise ValueError(msg)
        self._tell_left_out(top, others)
        paths = [str(Path(path).relative_to(self.folder)) for path, _ in items]
        return Table(paths, labels, str(top), None, names)

    @property
    def _what(self) -> str:
        if self.reading is None:
            return f"images ({', '.join(IMG_EXTENSIONS)}, ...; for clips give frames)"
        return f"clips ({', '.join(VIDEO_EXTENSIONS)}, {ARRAY} or folders of images)"

    def _flat(self, top: Path) -> Table:
        """List what lies in one folder, without labels."""
        found, others = self._in(top)
        if not found:
            msg = f"{top} has neither class folders nor {self._what}{_kinds(others)}"
            raise ValueError(msg)
        self._tell_left_out(top, others)
        paths = [str(path.relative_to(self.folder)) for path in found]
        return Table(paths, np.zeros((len(paths), 0), np.uint8), str(top), None, [])

    def _in(self, top: Path) -> tuple[list[Path], list[Path]]:
        """Return the items that lie in a folder itself, and the files that are none."""
        paths = [path for path in sorted(top.iterdir()) if not _is_hidden(path.name)]
        found = [path for path in paths if self._is_item(path)]
        return found, [path for path in paths if path.is_file() and not self._is_item(path)]

    def _is_item(self, path: Path) -> bool:
        if self.reading is None:
            return path.suffix.lower() in picture_extensions()
        return is_clip(path)

    def _items(
        self, top: Path, numbers: dict[str, int]
    ) -> tuple[list[tuple[str, int]], list[Path]]:
        """Return path and class number of each item, and the files that are no items."""
        items: list[tuple[str, int]] = []
        others: list[Path] = []
        images = self.reading is None
        find = _find_files if images else find_clips
        for name in sorted(numbers) if images else numbers:
            found, none = find(top / name)
            shown = [path for path in found if _is_shown(path, top)]
            others += [path for path in none if _is_shown(path, top)]
            others += [path for path in shown if not self._is_item(path)]
            items += [(str(path), numbers[name]) for path in shown if self._is_item(path)]
        return items, others

    def _tell_left_out(self, top: Path, others: list[Path]) -> None:
        if others:
            rank_zero_warn(
                f"{top}: {len(others)} files are no {self._what.split(' ')[0]} that can be read "
                f"here and are left out{_kinds(others)}; the first is {others[0]}"
            )


def _find_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return all files below a folder, links followed, as torchvision's ImageFolder orders them."""
    found = [
        Path(root) / name
        for root, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
    ]
    return found, []


def _is_shown(path: Path, top: Path) -> bool:
    return not any(map(_is_hidden, path.relative_to(top).parts))


def _kinds(files: list[Path]) -> str:
    """Return how many files there are of each ending, in brackets; nothing of none."""
    counts = Counter(path.suffix.lower() or "no ending" for path in files)
    return f" ({', '.join(f'{n} {kind}' for kind, n in counts.most_common())})" if counts else ""


def _is_hidden(name: str) -> bool:
    """Return whether a file or folder is a program's own: copies, previews."""
    return name.startswith(".") or name in NO_ITEMS


def _class_folders(top: Path, clips: bool) -> list[str]:
    """Return the folders in a folder; none where all are clips, folders of frames."""
    folders = [path for path in top.iterdir() if path.is_dir() and not _is_hidden(path.name)]
    if clips and all(is_clip(path) for path in folders):
        return []
    return sorted(path.name for path in folders)


def _check_folders(folders: Iterable[Path]) -> None:
    """Refuse folders that links make one: their items would be there twice."""
    known: dict[str, Path] = {}
    for folder in dict.fromkeys(folders):
        other = known.setdefault(os.path.realpath(folder), folder)
        if other != folder:
            msg = (
                f"{folder} is {other} again, by a link, and its items would be there twice; "
                "remove the link, or name the other class folders in class_names"
            )
            raise ValueError(msg)


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
