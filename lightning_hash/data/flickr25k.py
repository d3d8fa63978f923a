"""MIRFLICKR-25K from its annotation files."""

from typing import Any

import numpy as np
from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table
from lightning_hash.utils.text_files import read_utf8

IMAGES = 25_000


class Flickr25KDataModule(ImageDataModule):
    """MIRFLICKR's 25,000 images, as HAG IV-A takes them.

    The one source is ``all``: the images ``im1.jpg`` to ``im25000.jpg``. An annotation file holds
    the 1-based numbers of the images of one label; the columns are the files in the order of their
    names.

    Args:
        folder: where the images lie.
        annotations: folder of the annotation files, below ``folder``.
        labels: 24, or 38 with the 14 ``*_r1`` files.
        drop_unlabelled: leave out images without a label, which are relevant to no query and
            queries of which nothing is relevant. HAG counts them: 25,000.
        n_images: images there are.
        train: the training set; see :class:`ImageDataModule`.
        query: the query set.
        database: the database.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: if ``labels`` is neither; by ``setup``, if there are other files or numbers.
    """

    def __init__(
        self,
        folder: str,
        annotations: str = "annotations",
        labels: int = 24,
        drop_unlabelled: bool = False,
        n_images: int = IMAGES,
        train: str = "5000 from all",
        query: str = "200 from all",
        database: str = "rest of all",
        **options: Any,
    ) -> None:
        super().__init__(folder, train, query, database, **options)
        if labels not in (24, 38):
            msg = f"labels must be 24 or 38, got {labels}"
            raise ValueError(msg)
        self.annotations, self.labels = self.folder / annotations, labels
        self.drop_unlabelled, self.n_images = drop_unlabelled, n_images

    def read(self, source: str) -> Table:
        """Read the annotation files."""
        self.check_source(source)
        files = sorted(f for f in self.annotations.glob("*.txt") if f.stem.lower() != "readme")
        if self.labels == 24:
            files = [file for file in files if not file.stem.endswith("_r1")]
        if len(files) != self.labels:
            msg = f"{self.annotations} has {len(files)} label files, {self.labels} are wanted"
            raise FileNotFoundError(msg)
        rows = np.zeros((self.n_images, self.labels), np.uint8)
        for column, file in enumerate(files):
            for line, text in enumerate(read_utf8(file, str(file)).splitlines(), 1):
                if not text.strip():
                    continue
                number = text.strip()
                whole = number.isascii() and number.isdigit()
                if not (whole and 1 <= int(number) <= self.n_images):
                    rule = f"must be an image number in 1..{self.n_images}"
                    msg = f"{file}:{line}: {rule}, got {text!r}"
                    raise ValueError(msg)
                rows[int(number) - 1, column] = 1
        kept = np.arange(self.n_images)
        unlabelled = int((~rows.any(axis=1)).sum())
        if self.drop_unlabelled:
            kept = np.flatnonzero(rows.any(axis=1))
        elif unlabelled:
            rank_zero_info(
                f"{self.name}: {unlabelled} of {self.n_images} images have none of the "
                f"{self.labels} labels and stay in; drop_unlabelled: true leaves them out"
            )
        names = [file.stem for file in files]
        paths = [f"im{number + 1}.jpg" for number in kept]
        return Table(paths, rows[kept], str(self.annotations), None, names)
