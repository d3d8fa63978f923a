"""What all data of files have in common: images, or clips."""

import hashlib
import re
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_hash.data.augment import FlipShift
from lightning_hash.data.base import OPEN_SET, SPLITS, HashDataModule
from lightning_hash.data.clips import ClipFiles, ClipReading, Short
from lightning_hash.data.group_labels import SAME_GROUP, with_group_labels
from lightning_hash.data.images import ImageFiles, Interpolation, image_transform, real_paths
from lightning_hash.data.list_sources import one_naming
from lightning_hash.data.lists import one_hot, read_names
from lightning_hash.data.splits import Choice, choose, parse_choice
from lightning_hash.data.table import Table
from lightning_hash.data.validation import SelectedOn
from lightning_hash.data.views import ResizeAndCrop

# Columns from which on class numbers of which most are not used get none.
COLUMNS = 10_000
OnBadImage = Literal["error", "skip"]
RelevantBy = Literal["label", "group"]


class ImageDataModule(HashDataModule):
    """Base of data that name files and their labels: images, or clips where ``frames`` is given.

    A split is all of a source (``"test"``), a seeded draw from one (``"200 from test"``, ``"10 per
    class from test"``), what the draws leave (``"rest of test"``) or what the queries leave (``"all
    but query of test"``). Draws never share an item. With ``group``, ``"6 groups per class from
    test"`` draws recordings and takes all clips of each.

    Args:
        folder: where the sources lie.
        train: the training set.
        query: the query set.
        database: the database.
        root: folder that the paths of images are relative to; ``folder`` by default.
        strip_prefix: taken off the front of paths that have it.
        name: name of the data set in tables; that of the folder by default.
        class_names: a name per label column, or a text file with one a line; what the source says,
            or numbers, by default.
        open_set: a second database, of classes that the victim never saw, whose items vote for
            targets and are ranked for t-MAP (DHTA 4.5); its labels are its own.
        open_class_names: as ``class_names``, for the open set.
        frames: the most frames of a clip; items are then video files, folders of frames or ``.npy``
            arrays, see :class:`lightning_hash.data.clips.ClipFiles`.
        stride: every which frame of a clip is taken.
        short: what becomes of clips of fewer frames, ``"pad"`` or ``"repeat"``.
        group: regular expression for paths: items for which its groups match the same were cut from
            one recording, or are copies of one image.
        relevance: ``"label"``, or ``"group"``: relevant to a query are the other items of its
            group, whatever the labels say, as in a search for near-duplicates. Single items then
            leave for the validation, where the others of their group are to be found; two stay in
            the training.
        size: side of the network's input in pixels.
        resize: pixels to resize to before the centre crop; ``None`` resizes to ``size``.
        keep_aspect: resize the shorter side and keep the aspect ratio.
        interpolation: Pillow's filter for resizing: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``;
            see :func:`lightning_hash.data.images.image_transform` for who uses which.
        augment: flip and shift the images in training.
        on_bad_image: ``"error"`` stops at the first file that cannot be read; ``"skip"`` decodes
            all files at set-up and leaves such items out.
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of the draws and the order of training.
        selected_on: see :class:`lightning_hash.data.HashDataModule`.
        n_validation: see there.

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
        class_names: list[str] | str | None = None,
        open_set: str | None = None,
        open_class_names: list[str] | str | None = None,
        frames: int | None = None,
        stride: int = 1,
        short: Short = "pad",
        group: str | None = None,
        relevance: RelevantBy = "label",
        size: int = 224,
        resize: int | None = None,
        keep_aspect: bool = False,
        interpolation: Interpolation = "bilinear",
        augment: bool = False,
        on_bad_image: OnBadImage = "error",
        batch_size: int = 24,
        eval_batch_size: int = 64,
        num_workers: int = 0,
        seed: int = 0,
        selected_on: SelectedOn = "validation",
        n_validation: int | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, selected_on, n_validation)
        if on_bad_image not in ("error", "skip"):
            msg = f"on_bad_image must be 'error' or 'skip', got {on_bad_image!r}"
            raise ValueError(msg)
        if relevance not in ("label", "group"):
            msg = f"relevance must be 'label' or 'group', got {relevance!r}"
            raise ValueError(msg)
        if relevance == "group":
            if open_set is not None:
                msg = f"relevance: group has no open set of other classes, got open_set {open_set}"
                raise ValueError(msg)
            self.relevance = SAME_GROUP
        texts = {"train": train, "query": query, "database": database}
        self.choices = {split: parse_choice(split, text) for split, text in texts.items()}
        self.folder, self.strip_prefix = Path(folder), strip_prefix
        self.root = self.folder if root is None else Path(root)
        self.name = self.folder.resolve().name if name is None else name
        self.given_names = read_names("class_names", class_names)
        self.given_open_names = read_names("open_class_names", open_class_names)
        self.open_choice = None if open_set is None else parse_choice(OPEN_SET, open_set)
        if frames is None and (stride, short) != (1, "pad"):
            msg = f"stride and short go with frames, the frames of a clip; got {stride} and {short}"
            raise ValueError(msg)
        self.reading = None if frames is None else ClipReading(frames, stride, short)
        self.group = group
        try:
            re.compile(group or "")
        except re.error as error:
            msg = f"group must be a regular expression, got {group!r} ({error})"
            raise ValueError(msg) from error
        self.transform = image_transform(size, resize, keep_aspect, interpolation)
        self.interpolation = interpolation
        self.on_bad_image = on_bad_image
        if augment:
            self.train_transform = FlipShift()

    @abstractmethod
    def read(self, source: str) -> Table:
        """Read a source that a split names."""

    def read_open(self, source: str) -> Table:
        """Read the source of the open set."""
        return self.read(source)

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
        if self.group is not None:
            tables = {name: table.grouped(self.group) for name, table in tables.items()}
        tables, self.class_names = _with_columns(tables, self.given_names)
        splits = choose(self.choices, tables, self.seed)
        if self.relevance == SAME_GROUP:
            splits, self.class_names = with_group_labels(splits)
        if self.open_choice is not None:
            splits[OPEN_SET] = self._open_table(self.open_choice)
        sets = {split: self._files(table) for split, table in splits.items()}
        if self.on_bad_image == "skip":
            sets = {split: self._readable(split, images) for split, images in sets.items()}
        self.train_set, self.query_set, self.database_set = (sets[split] for split in SPLITS)
        self.open_set = sets.get(OPEN_SET)
        known = set(self.names_of("database"))
        self.n_leaked = sum(name in known for name in self.names_of("query"))

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each split's paths and labels."""
        digests = {}
        for split in self.splits:
            images = self.dataset(split)
            digest = hashlib.sha256(str(images.table.labels.shape).encode())
            for path in images.table.paths:
                name = path.removeprefix(self.strip_prefix)
                digest.update(name.encode(errors="surrogateescape") + b"\n")
            digest.update(images.table.labels.tobytes())
            digests[split] = digest.hexdigest()
        return digests

    def dataset(self, split: str) -> ImageFiles:
        """Return the images of a split.

        Raises:
            ValueError: if there is no such split.
        """
        return cast(ImageFiles, super().dataset(split))

    def originals(self, split: str) -> tuple[ImageFiles, ResizeAndCrop]:
        """Return the images of a split in their own sizes, and what makes inputs of them.

        Args:
            split: its name.

        Raises:
            ValueError: if there is no such split, or items are clips.
        """
        if self.reading is not None:
            msg = f"resolution: original is for images, and the items of {self.name} are clips"
            raise ValueError(msg)
        return self.dataset(split).as_saved(), ResizeAndCrop(self.transform)

    def input_fingerprints(self, split: str) -> dict[str, str]:
        """Return the transform and a sha256 of the sizes of the files."""
        transform = " ".join(repr(self.transform).split())
        clips = {} if self.reading is None else {"reading": str(self.reading)}
        sizes = self.dataset(split).sizes_sha256()
        return {"transform": transform, **clips, "file_sizes_sha256": sizes}

    def paths_of(self, split: str) -> tuple[str, ...]:
        """Return the path of each item of a split, as its list has it."""
        return tuple(self.dataset(split).table.paths)

    def names_of(self, split: str) -> list[str]:
        """Return where the file of each item of a split lies, links followed."""
        images = self.dataset(split)
        return real_paths(images.path(row) for row in range(len(images)))

    def groups_of(self, split: str) -> list[str] | None:
        """Return the recording of each item, where ``group`` tells it."""
        return self.dataset(split).table.groups

    def _files(self, table: Table) -> ImageFiles:
        if self.reading is None:
            return ImageFiles(table, self.root, self.transform, self.strip_prefix)
        return ClipFiles(table, self.root, self.transform, self.strip_prefix, self.reading)

    def _open_table(self, choice: Choice) -> Table:
        table = self.read_open(choice.source)
        if self.group is not None:
            table = table.grouped(self.group)
        tables, names = _with_columns({choice.source: table}, self.given_open_names)
        shared = [] if table.class_names is None else sorted({*names} & {*self.class_names})
        if shared:
            msg = f"open_set: {table.source} has class {shared[0]!r}, as the other splits have"
            raise ValueError(msg)
        self.open_class_names = names
        return choose({OPEN_SET: choice}, tables, self.seed)[OPEN_SET]

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


def _with_columns(
    tables: dict[str, Table], given: list[str] | None
) -> tuple[dict[str, Table], list[str]]:
    """Turn class numbers into columns, and hold the sources' labels against each other."""
    alike, _ = one_naming(list(tables.values()), given)
    tables = dict(zip(tables, alike, strict=True))
    named = given or next(
        (table.class_names for table in tables.values() if table.class_names), None
    )
    used = {
        int(number)
        for table in tables.values()
        if table.labels.dtype != np.uint8
        for number in np.unique(table.labels)
    }
    if named is None:
        _check_first_class(tables)
        tables, named = _without_gaps(tables, used)
        used = set(range(len(named))) if named else used
    lowest, classes = _class_numbers(used, named)
    done = {name: replace(t, labels=one_hot(t, classes, lowest)) for name, t in tables.items()}
    first, *others = done.values()
    for other in others:
        if other.labels.shape[1] != first.labels.shape[1]:
            msg = (
                f"labels must be as wide in all splits: {first.source} has "
                f"{first.labels.shape[1]} columns, {other.source} has {other.labels.shape[1]}"
            )
            raise ValueError(msg)
        if first.class_names != other.class_names:
            msg = (
                f"{first.source} and {other.source} name different classes, or in another order: "
                f"{first.class_names} and {other.class_names}; give class_names"
            )
            raise ValueError(msg)
    width = first.labels.shape[1]
    if named and len(named) != width:
        msg = f"class_names has {len(named)} names, the labels of {first.source} {width} columns"
        raise ValueError(msg)
    return done, list(named) if named else [str(lowest + column) for column in range(width)]


def _check_first_class(tables: dict[str, Table]) -> None:
    """Refuse sources of which one counts n classes from 0 and another n from 1."""
    from_zero: dict[int, Table] = {}
    from_one: dict[int, Table] = {}
    for table in tables.values():
        if table.labels.dtype != np.uint8:
            used = set(np.unique(table.labels).tolist())
            from_zero.update({len(used): table} if used == {*range(len(used))} else {})
            from_one.update({len(used): table} if used == {*range(1, len(used) + 1)} else {})
    for count in sorted(from_zero.keys() & from_one.keys()):
        if count > 1:
            msg = (
                f"{from_zero[count].source} has the class numbers 0..{count - 1}, "
                f"{from_one[count].source} 1..{count}: is each class one number? give class_names, "
                f"{count + 1} if both count from 0, or let both lists count from the same number"
            )
            raise ValueError(msg)


def _class_numbers(used: set[int], named: list[str] | None) -> tuple[int, int]:
    """Return the number of the first class, 0 or 1, and how many classes there are.

    Lists that count from 1 have every number from 1 to that of the last class, and no 0.
    """
    highest = max(used, default=0)
    from_one = bool(used) and min(used) == 1 and len(used) == highest
    if named:
        return int(from_one and highest == len(named)), len(named)
    return (1, highest) if from_one else (0, highest + 1)


def _without_gaps(
    tables: dict[str, Table], used: set[int]
) -> tuple[dict[str, Table], list[str] | None]:
    """Number the classes anew where numbers are far apart, such as dates or identities.

    Returns:
        The tables, and the old number of each class as its name; ``None`` where nothing changes.
    """
    highest = max(used, default=0)
    if highest < COLUMNS or 2 * len(used) > highest:
        return tables, None
    known = np.array(sorted(used), np.int64)
    rank_zero_info(
        f"class numbers {known[0]}..{highest}: a label column for each of the {len(known)} that "
        "are used; class_names gives others"
    )
    found = {
        name: table
        if table.labels.dtype == np.uint8
        else replace(table, labels=np.searchsorted(known, table.labels))
        for name, table in tables.items()
    }
    return found, [str(number) for number in known]
