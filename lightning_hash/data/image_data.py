"""What all data of image files have in common."""

import hashlib
from abc import abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
from pytorch_lightning.utilities import rank_zero_warn

from lightning_hash.data.augment import FlipShift
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.images import ImageFiles, image_transform
from lightning_hash.data.lists import one_hot
from lightning_hash.data.splits import SPLITS, choose, parse_choice
from lightning_hash.data.table import Table

OnBadImage = Literal["error", "skip"]


class ImageDataModule(HashDataModule):
    """Base of data that name image files and their labels.

    A split is all of a source (``"test"``), a seeded draw from one (``"200 from test"``, ``"10 per
    class from test"``), what the draws leave (``"rest of test"``) or what the queries leave (``"all
    but query of test"``). Draws never share an item.

    Args:
        folder: where the sources lie.
        train: the training set.
        query: the query set.
        database: the database.
        root: folder that the paths of images are relative to; ``folder`` by default.
        strip_prefix: taken off the front of paths that have it.
        name: name of the data set in tables; that of the folder by default.
        class_names: a name per label column; what the source says, or numbers, by default.
        size: side of the network's input in pixels.
        resize: pixels to resize to before the centre crop; ``None`` resizes to ``size``.
        keep_aspect: resize the shorter side and keep the aspect ratio.
        augment: flip and shift the images in training.
        on_bad_image: ``"error"`` stops at the first file that cannot be read; ``"skip"`` decodes
            all files at set-up and leaves such items out.
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of the draws and the order of training.

    Attributes:
        skipped: the messages of the items left out, by split.

    Raises:
        ValueError: if an argument is out of its range, or by ``setup`` if a source is not as it
            should be; names file and line.
        FileNotFoundError: by ``setup``, if a source does not exist.
    """

    train_set: ImageFiles
    query_set: ImageFiles
    database_set: ImageFiles

    def __init__(
        self,
        folder: str,
        train: str = "train",
        query: str = "query",
        database: str = "database",
        root: str | None = None,
        strip_prefix: str = "",
        name: str | None = None,
        class_names: list[str] | None = None,
        size: int = 224,
        resize: int | None = None,
        keep_aspect: bool = False,
        augment: bool = False,
        on_bad_image: OnBadImage = "error",
        batch_size: int = 24,
        eval_batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if on_bad_image not in ("error", "skip"):
            msg = f"on_bad_image must be 'error' or 'skip', got {on_bad_image!r}"
            raise ValueError(msg)
        texts = {"train": train, "query": query, "database": database}
        self.choices = {split: parse_choice(split, text) for split, text in texts.items()}
        self.folder, self.strip_prefix = Path(folder), strip_prefix
        self.root = self.folder if root is None else Path(root)
        self.name = self.folder.resolve().name if name is None else name
        self.given_names = class_names
        self.transform = image_transform(size, resize, keep_aspect)
        self.on_bad_image = on_bad_image
        self.skipped: dict[str, list[str]] = {}
        if augment:
            self.train_transform = FlipShift()

    @abstractmethod
    def read(self, source: str) -> Table:
        """Read a source that a split names."""

    def check_source(self, source: str) -> None:
        """Refuse any source but ``all``, where the data set has only that one.

        Raises:
            ValueError: naming the source that was asked for.
        """
        if source != "all":
            msg = f"{type(self).__name__} has one source, all; got {source!r}"
            raise ValueError(msg)

    def setup(self, stage: str) -> None:
        """Read the sources and draw the splits, once."""
        if hasattr(self, "train_set"):
            return
        sources = dict.fromkeys(choice.source for choice in self.choices.values())
        tables = {name: self.read(name) for name in sources}
        tables, names = self._with_columns(tables)
        splits = choose(self.choices, tables, self.seed)
        self.class_names = names
        sets = {
            split: ImageFiles(table, self.root, self.transform, self.strip_prefix)
            for split, table in splits.items()
        }
        if self.on_bad_image == "skip":
            sets = {split: self._readable(split, images) for split, images in sets.items()}
        self.train_set, self.query_set, self.database_set = (sets[split] for split in SPLITS)
        known = {self.database_set.path(i) for i in range(len(self.database_set))}
        self.n_leaked = sum(self.query_set.path(i) in known for i in range(len(self.query_set)))

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each split's paths and labels."""
        digests = {}
        for split in SPLITS:
            images: ImageFiles = getattr(self, f"{split}_set")
            digest = hashlib.sha256(str(images.table.labels.shape).encode())
            for path in images.table.paths:
                digest.update(path.removeprefix(self.strip_prefix).encode() + b"\n")
            digest.update(images.table.labels.tobytes())
            digests[split] = digest.hexdigest()
        return digests

    def _with_columns(self, tables: dict[str, Table]) -> tuple[dict[str, Table], list[str]]:
        """Turn class numbers into columns, and hold the sources' labels against each other."""
        named = self.given_names or next(
            (table.class_names for table in tables.values() if table.class_names), None
        )
        numbered = [t for t in tables.values() if t.labels.dtype != np.uint8]
        highest = max((int(t.labels.max()) for t in numbered), default=0)
        classes = len(named) if named else highest + 1
        done = {
            name: Table(t.paths, one_hot(t, classes), t.source, t.lines, t.class_names)
            for name, t in tables.items()
        }
        first, *others = done.values()
        for other in others:
            if other.labels.shape[1] != first.labels.shape[1]:
                msg = (
                    f"labels must be as wide in all splits: {first.source} has "
                    f"{first.labels.shape[1]} columns, {other.source} has {other.labels.shape[1]}"
                )
                raise ValueError(msg)
            if first.class_names != other.class_names and self.given_names is None:
                msg = f"{first.source} and {other.source} name different classes"
                raise ValueError(msg)
        width = first.labels.shape[1]
        if named and len(named) != width:
            msg = (
                f"class_names has {len(named)} names, the labels of {first.source} {width} columns"
            )
            raise ValueError(msg)
        return done, list(named) if named else [str(column) for column in range(width)]

    def _readable(self, split: str, images: ImageFiles) -> ImageFiles:
        bad = images.bad_images()
        if not bad:
            return images
        self.skipped[split] = [message for _, message in bad]
        if len(bad) == len(images):
            msg = f"{split}: none of its {len(images)} images can be read; first: {bad[0][1]}"
            raise ValueError(msg)
        rank_zero_warn(f"{split}: {len(bad)} of {len(images)} items left out; first: {bad[0][1]}")
        return images.without([index for index, _ in bad])
