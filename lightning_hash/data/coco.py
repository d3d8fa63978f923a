"""MS-COCO 2014 from its instances files."""

from pathlib import Path
from typing import Any

import numpy as np

from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table
from lightning_hash.utils.json_text import brief, read_json

PARTS = ("train2014", "val2014")
AGAIN = "is it truncated? unpack COCO's annotations_trainval2014 again"


class COCODataModule(ImageDataModule):
    """COCO's images with their object categories, as HAG IV-A takes them.

    The one source is ``all``: the images of ``annotations/instances_train2014.json`` and
    ``annotations/instances_val2014.json`` that have at least one category, in the order of the
    files. The columns are the 80 categories in the order of their ids.

    Args:
        folder: holds ``annotations``, ``train2014`` and ``val2014``.
        train: the training set; see :class:`ImageDataModule`.
        query: the query set.
        database: the database.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: by ``setup``, if a file is not what it should be.
    """

    def __init__(
        self,
        folder: str,
        train: str = "10000 from all",
        query: str = "200 from all",
        database: str = "rest of all",
        **options: Any,
    ) -> None:
        super().__init__(folder, train, query, database, **options)

    def read(self, source: str) -> Table:
        """Read both instances files."""
        self.check_source(source)
        paths: list[str] = []
        labels: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        names: list[str] = []
        for part in PARTS:
            file = self.folder / "annotations" / f"instances_{part}.json"
            content = self._load(file)
            categories = sorted(
                _entries(content, "categories", ("id", "name"), file), key=lambda each: each["id"]
            )
            images = _entries(content, "images", ("id", "file_name"), file)
            here = [category["name"] for category in categories]
            if names and here != names:
                msg = f"{file}: its categories are not those of {PARTS[0]}"
                raise ValueError(msg)
            names = here
            column = {category["id"]: place for place, category in enumerate(categories)}
            row = {image["id"]: place for place, image in enumerate(images)}
            hot = np.zeros((len(row), len(column)), np.uint8)
            for each in _entries(content, "annotations", ("image_id", "category_id"), file):
                image, category = each["image_id"], each["category_id"]
                if image not in row or category not in column:
                    msg = (
                        f"{file}: an annotation is of image {image} and category {category}, which "
                        f"are not both there; {AGAIN}"
                    )
                    raise ValueError(msg)
                hot[row[image], column[category]] = 1
            kept = np.flatnonzero(hot.any(axis=1))
            paths += [f"{part}/{images[place]['file_name']}" for place in kept]
            labels.append(hot[kept])
        return Table(paths, np.concatenate(labels), str(self.folder / "annotations"), None, names)

    def _load(self, file: Path) -> dict[str, Any]:
        if not file.is_file():
            msg = f"{file} does not exist; unpack COCO's annotations_trainval2014 in {self.folder}"
            raise FileNotFoundError(msg)
        content: Any = read_json(file, str(file), AGAIN)
        if not isinstance(content, dict):
            msg = f"{file} must hold a mapping, got {type(content).__name__}; {AGAIN}"
            raise ValueError(msg)
        missing = {"images", "annotations", "categories"} - set(content)
        if missing:
            msg = f"{file} has no {', '.join(sorted(missing))}; is it an instances file?"
            raise ValueError(msg)
        return content


def _entries(
    content: dict[str, Any], key: str, names: tuple[str, ...], file: Path
) -> list[dict[str, Any]]:
    """Return a list of the file, each of whose entries has some names.

    Raises:
        ValueError: naming the first that has not.
    """
    entries = content[key]
    if not isinstance(entries, list) or not entries:
        msg = f"{file}: {key} must be a list of at least one, got {brief(entries)}; {AGAIN}"
        raise ValueError(msg)
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or any(
            not isinstance(entry.get(name), int | str) for name in names
        ):
            msg = (
                f"{file}: {key}.{number} must have {' and '.join(names)}, got {brief(entry)}; "
                f"{AGAIN}"
            )
            raise ValueError(msg)
    return entries
