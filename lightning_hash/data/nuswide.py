"""NUS-WIDE from its ground-truth label files."""

from typing import Any

import numpy as np

from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table
from lightning_hash.utils.text_files import read_utf8


class NUSWideDataModule(ImageDataModule):
    """NUS-WIDE's images with their most frequent labels.

    The one source is ``all``: the images of ``image_list`` that have at least one of the labels
    kept, in the order of the list. ``label_folder`` holds a file ``Labels_NAME.txt`` per label with
    a 0 or 1 per image. The columns are the kept labels in the order of their names.

    Args:
        folder: what the other paths are relative to.
        labels: how many of the most frequent labels to keep: 10 (HAG), 20 (DHTA), 21 (most later
            work) or up to all 81. Ties go to the first name.
        image_list: file with an image path a line; backslashes are read as slashes.
        label_folder: folder of the label files.
        images: folder that the paths of the list are relative to.
        train: the training set; see :class:`ImageDataModule`.
        query: the query set.
        database: the database.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: if ``labels`` is below 1; by ``setup``, if a file is not what it should be.
    """

    def __init__(
        self,
        folder: str,
        labels: int = 21,
        image_list: str = "ImageList/Imagelist.txt",
        label_folder: str = "Groundtruth/AllLabels",
        images: str = "Flickr",
        train: str = "10500 from all",
        query: str = "2100 from all",
        database: str = "all but query of all",
        **options: Any,
    ) -> None:
        root = f"{folder}/{images}"
        super().__init__(folder, train, query, database, root=root, **options)
        if labels < 1:
            msg = f"labels must be at least 1, got {labels}"
            raise ValueError(msg)
        self.labels = labels
        self.image_list, self.label_folder = self.folder / image_list, self.folder / label_folder

    def read(self, source: str) -> Table:
        """Read the image list and the label files."""
        self.check_source(source)
        if not self.image_list.is_file():
            msg = f"{self.image_list} does not exist; image_list says where the list of images is"
            raise FileNotFoundError(msg)
        lines = read_utf8(self.image_list, str(self.image_list)).splitlines()
        paths = [line.strip().replace("\\", "/") for line in lines if line.strip()]
        files = sorted(self.label_folder.glob("Labels_*.txt"))
        if len(files) < self.labels:
            msg = f"{self.label_folder} has {len(files)} label files, {self.labels} are wanted"
            raise FileNotFoundError(msg)
        rows = np.zeros((len(paths), len(files)), np.uint8)
        for column, file in enumerate(files):
            values = np.array(read_utf8(file, str(file)).split())
            bad = np.flatnonzero((values != "0") & (values != "1"))
            if len(values) != len(paths) or len(bad):
                what = (
                    f"line {bad[0] + 1} is {str(values[bad[0]])!r}"
                    if len(bad)
                    else f"{len(values)}"
                )
                msg = f"{file} must hold a 0 or 1 for each of {len(paths)} images, got {what}"
                raise ValueError(msg)
            rows[:, column] = values == "1"
        frequent = np.argsort(-rows.sum(axis=0, dtype=np.int64), kind="stable")[: self.labels]
        columns = np.sort(frequent)
        kept = np.flatnonzero(rows[:, columns].any(axis=1))
        names = [files[column].stem.removeprefix("Labels_") for column in columns]
        table = Table(
            paths, rows[:, columns], str(self.image_list), np.arange(len(paths)) + 1, names
        )
        return table.take(kept)
