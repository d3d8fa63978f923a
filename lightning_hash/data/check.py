"""What is wrong with a data set of image files, before it spoils a number."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lightning_hash.data.base import OPEN_SET, SPLITS
from lightning_hash.data.clips import ClipFiles
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.images import READERS, ImageFiles
from lightning_hash.data.pictures import look_at_picture, read_content
from lightning_hash.utils.progress import tracked

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """Something that was found in a split.

    Attributes:
        split: the split.
        what: what was found.
        count: how many items.
        wrong: whether it spoils a number; otherwise it is only worth knowing.
        examples: the first of them: path and reason, of a list behind ``list:line``.
    """

    split: str
    what: str
    count: int
    wrong: bool
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DataCheck:
    """All that a check of a data set says.

    Attributes:
        name: the data set.
        items: items per split.
        labels: items per label and split, ``{split: {class name: count}}``.
        findings: what was found.
    """

    name: str
    items: dict[str, int]
    labels: dict[str, dict[str, int]]
    findings: list[Finding]

    @property
    def wrong(self) -> bool:
        """Whether anything spoils a number."""
        return any(finding.wrong for finding in self.findings)

    def verdict(self) -> str:
        """Say in one line what spoils a number: the first finding, and how many more there are."""
        first, *others = [finding for finding in self.findings if finding.wrong]
        more = f", and {len(others)} more" if others else ""
        items = "item" if first.count == 1 else "items"
        return (
            f"{self.name}: {first.split}: {first.count} {items} {first.what}, such as "
            f"{first.examples[0]}{more}; mend or remove them, and check again"
        )


@dataclass(frozen=True)
class _Look:
    """What one file is like: its sha256, whether it can be read, its mode, its EXIF, its length."""

    sha256: str | None
    problem: str | None
    mode: str | None = None
    turned: bool = False
    short: bool = False


def check_data(data: ImageDataModule) -> DataCheck:
    """Look at every list row and every file of a data set.

    Args:
        data: the data; ``on_bad_image`` must be ``"error"``, so that nothing was left out before.

    Returns:
        Counts and findings. Wrong are: files that cannot be read, or whose pixels have no one
        meaning in 8 bits; rows without a label, where others have one; an item
        twice in a split (by path or by content), and queries that are in the database or in the
        training set, and items of the open set that are in any other. Training items that are in
        the database are usual, grey and rotated images are converted when they are loaded: these
        are only told.

    Raises:
        ValueError: if items are skipped, or the lists cannot be read.
        FileNotFoundError: if a list does not exist.
    """
    if data.on_bad_image != "error":
        msg = f"on_bad_image must be 'error' for a check, got {data.on_bad_image!r}"
        raise ValueError(msg)
    data.setup("fit")
    seen = {split: _Seen(split, data.dataset(split)) for split in data.splits}
    findings = [finding for one in seen.values() for finding in _within(one)]
    ranked = data.num_classes > 0  # without labels nothing is relevant, and no number is spoilt
    findings += _between(seen["query"], seen["database"], wrong=ranked)
    findings += _between(seen["query"], seen["train"], wrong=ranked)
    findings += _between(seen["train"], seen["database"], wrong=False)
    if OPEN_SET in seen:  # of classes that the victim never saw
        for split in SPLITS:
            findings += _between(seen[OPEN_SET], seen[split], wrong=True)
    return DataCheck(
        data.name,
        {split: len(one.paths) for split, one in seen.items()},
        {
            split: dict(
                zip(
                    data.open_class_names if split == OPEN_SET else data.class_names,
                    one.images.labels.sum(dim=0).tolist(),
                    strict=True,
                )
            )
            for split, one in seen.items()
        },
        [finding for finding in findings if finding.count],
    )


class _Seen:
    """A split with a look at each of its files."""

    def __init__(self, split: str, images: ImageFiles) -> None:
        self.split, self.images = split, images
        self.paths = [str(images.path(index)) for index in range(len(images))]
        with ThreadPoolExecutor(READERS) as pool:
            looks = pool.map(lambda index: _look(images, index), range(len(images)))
            self.looks = list(tracked(looks, len(images), f"looking at {split}"))
        self.contents = [look.sha256 for look in self.looks]

    def finding(self, what: str, rows: list[int], wrong: bool) -> Finding:
        examples = []
        for row in rows[:EXAMPLES]:
            problem = self.looks[row].problem
            path, source = self.paths[row], self.images.table.where(row)
            # A folder, which is no list, stands in the path already.
            where = path if Path(path).is_relative_to(source) else f"{source} {path}"
            examples.append(where if problem is None else f"{where} {problem}")
        return Finding(self.split, what, len(rows), wrong, examples)


def _look(images: ImageFiles, index: int) -> _Look:
    if isinstance(images, ClipFiles):
        return _look_at_clip(images, index)
    path = images.path(index)
    try:
        content = read_content(path)
        mode, turned = look_at_picture(content)
    except FileNotFoundError:
        return _Look(None, "does not exist")
    except (OSError, ValueError) as error:
        return _Look(None, f"cannot be read: {error}")
    return _Look(hashlib.sha256(content).hexdigest(), None, mode, turned)


def _look_at_clip(clips: ClipFiles, index: int) -> _Look:
    try:
        frames = len(clips.picture(index))
    except FileNotFoundError:
        return _Look(None, "does not exist")
    except ValueError as error:
        return _Look(None, str(error.__cause__ or error))
    return _Look(clips.content_sha256(index), None, short=frames < clips.reading.frames)


def _within(seen: _Seen) -> list[Finding]:
    looks = list(enumerate(seen.looks))
    labels = seen.images.table.labels
    unlabelled = np.flatnonzero(~labels.any(axis=1)).tolist() if labels.shape[1] else []
    copies = _again(seen.contents, unless=seen.paths)
    return [
        seen.finding("cannot be read", [i for i, look in looks if look.problem], wrong=True),
        seen.finding("without a label", unlabelled, wrong=True),
        seen.finding("path twice", _again(seen.paths), wrong=True),
        seen.finding("content twice, under another path", copies, wrong=True),
        seen.finding("not RGB", [i for i, k in looks if k.mode not in (None, "RGB")], wrong=False),
        seen.finding("fewer frames than asked for", [i for i, k in looks if k.short], wrong=False),
        seen.finding("turned by EXIF", [i for i, look in looks if look.turned], wrong=False),
    ]


def _again(values: list[Any], unless: list[Any] | None = None) -> list[int]:
    """Return the rows whose value came before; with ``unless``, those whose other value did not."""
    seen: dict[Any, set[Any]] = {}
    rows = []
    for row, value in enumerate(values):
        other = None if unless is None else unless[row]
        before = seen.setdefault(value, set())
        if value is not None and before and (unless is None or other not in before):
            rows.append(row)
        before.add(other)
    return rows


def _between(seen: _Seen, other: _Seen, *, wrong: bool) -> list[Finding]:
    paths, contents = set(other.paths), set(other.contents) - {None}
    same = [i for i, path in enumerate(seen.paths) if path in paths]
    known = set(same)
    copies = [i for i, digest in enumerate(seen.contents) if digest in contents and i not in known]
    where = f"in the {other.split} set too"
    groups = seen.images.table.groups
    recordings = set(other.images.table.groups or ())
    shared = [i for i, group in enumerate(groups or ()) if group in recordings]
    return [
        seen.finding(where, same, wrong),
        seen.finding(f"of a recording that is {where}", shared, wrong=False),
        seen.finding(f"content {where}, under another path", copies, wrong),
    ]
