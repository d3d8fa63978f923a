"""Data that come as list files."""

from typing import Any

from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.list_sources import check_sources, read_source
from lightning_hash.data.lists import ListFormat, find_list, read_list
from lightning_hash.data.table import Table


class ListDataModule(ImageDataModule):
    """Images and labels by list files, in the layouts of the hashing repositories.

    A source NAME is ``NAME.txt`` with ``path l1 ... lC`` or ``path class_number`` a line, or
    ``NAME_img.txt`` with a path a line beside ``NAME_label.txt`` or ``NAME_label_onehot.txt`` with
    a label row a line. ``query`` is looked for as ``test`` too. A source in ``sources`` has the
    files that it names.

    Args:
        folder: where the lists lie.
        format: ``"labelled"``, ``"pair"``, or ``"auto"``: what is there.
        sources: files of sources, below ``folder``: ``{test: list.txt}``; the parts of a list, as a
            pattern ``{test: test/test*.txt}`` or one by one; or ``{all: {images: img_tc10.txt,
            labels: targets_onehot_tc10.txt}}``, also arrays (``.npy``, ``.mat``, ...).
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: if ``format`` is unknown, or ``sources`` no files; see :class:`ImageDataModule`.

    Example:
        >>> ListDataModule("lists/nuswide", query="200 from test").choices["query"].count
        200
    """

    def __init__(
        self,
        folder: str,
        format: ListFormat = "auto",
        sources: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        if format not in ("auto", "labelled", "pair"):
            msg = f"format must be 'auto', 'labelled' or 'pair', got {format!r}"
            raise ValueError(msg)
        check_sources(sources or {})
        self.format, self.sources = format, dict(sources or {})

    def read(self, source: str) -> Table:
        """Read the list of a source."""
        if source in self.sources:
            return read_source(source, self.sources[source], self.folder)
        return read_list(find_list(self.folder, source, self.format))
