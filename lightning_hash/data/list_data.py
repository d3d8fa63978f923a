"""Data that come as list files."""

from typing import Any

from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.lists import ListFormat, find_list, read_list
from lightning_hash.data.table import Table


class ListDataModule(ImageDataModule):
    """Images and labels by list files, in the layouts of the hashing repositories.

    A source NAME is ``NAME.txt`` with ``path l1 ... lC`` or ``path class_number`` a line, or
    ``NAME_img.txt`` with a path a line beside ``NAME_label.txt`` or ``NAME_label_onehot.txt`` with
    a label row a line. ``query`` is looked for as ``test`` too.

    Args:
        folder: where the lists lie.
        format: ``"labelled"``, ``"pair"``, or ``"auto"``: what is there.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: if ``format`` is unknown; see :class:`ImageDataModule`.

    Example:
        >>> ListDataModule("lists/nuswide", query="200 from test").choices["query"].count
        200
    """

    def __init__(
        self,
        folder: str,
        format: ListFormat = "auto",
        **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        if format not in ("auto", "labelled", "pair"):
            msg = f"format must be 'auto', 'labelled' or 'pair', got {format!r}"
            raise ValueError(msg)
        self.format = format

    def read(self, source: str) -> Table:
        """Read the list of a source."""
        return read_list(find_list(self.folder, source, self.format))
