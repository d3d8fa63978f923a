"""Data that come as CSV tables."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from lightning_hash.data.group_labels import SAME_GROUP
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.table import Table
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.json_text import brief

UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*")  # what pandas calls a column without a name
SHOWN = 200  # letters of a header in a message
# Columns that say which row or which part of the data an item is; their 0 and 1 are no labels.
BOOKKEEPING = re.compile(
    r"(row_?)?(index|idx|id|no)|level_\d|(k_?)?fold|split|subset|partition"
    r"|(is|in)_(train|training|test|testing|val|valid|validation|query|database|gallery)",
    re.IGNORECASE,
)


class CSVDataModule(ImageDataModule):
    """Images and labels by CSV files with a header.

    A source NAME is ``NAME.csv``. Labels are columns of 0/1, or one column of label names; a table
    of paths alone has no labels. Columns without a name, pandas' index, are no labels.

    Args:
        folder: where the files lie.
        path_column: the column of paths.
        label_columns: the columns of 0/1, ``[]`` for none; by default those of ``class_names``, or
            all that have a name but ``path_column``. A single one must be named: it could hold
            class numbers; so must they where a column such as ``fold`` or ``is_train`` is among
            them. With ``relevance: group`` none by default, unless a split draws per class.
        names_column: the one column of label names instead; ``class_names`` gives the label columns
            and their order and is then needed.
        separator: what stands between label names.
        group_column: the column that names an item's recording, or the image that it is a copy of;
            it is no label, and stands in place of ``group``.
        options: as in :class:`ImageDataModule`.

    Raises:
        ValueError: if both kinds of label columns are given, names without ``class_names``, or a
            group twice.
    """

    def __init__(
        self,
        folder: str,
        path_column: str = "path",
        label_columns: list[str] | None = None,
        names_column: str | None = None,
        separator: str = ";",
        group_column: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        if names_column is not None and (label_columns is not None or self.given_names is None):
            msg = (
                "names_column goes with class_names and without label_columns, got class_names "
                f"{self.given_names} and label_columns {label_columns}"
            )
            raise ValueError(msg)
        self.path_column = path_column
        self.label_columns, self.names_column = label_columns, names_column
        self.separator, self.group_column = separator, group_column
        if group_column is not None and self.group is not None:
            msg = f"group {self.group!r} and group_column {group_column!r} are two ways; give one"
            raise ValueError(msg)

    def read(self, source: str) -> Table:
        """Read the table of a source."""
        return self._read(source, self.given_names, self.label_columns)

    def read_open(self, source: str) -> Table:
        """Read the table of the open set."""
        return self._read(source, self.given_open_names, None)

    def _read(self, source: str, names: list[str] | None, label_columns: list[str] | None) -> Table:
        file = self.folder / f"{source}.csv"
        check_file(file)
        if not file.is_file():
            there = sorted(path.name for path in self.folder.glob("*.csv"))
            msg = f"{file} does not exist; there is {', '.join(there) or 'no .csv file'}"
            raise FileNotFoundError(msg)
        paths, lines, labels, groups = [], [], [], []
        content = file.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            msg = f"{file}:{line}: the table is not UTF-8 ({error.reason}); save it as UTF-8"
            raise ValueError(msg) from error
        if not text.strip():
            msg = f"{file} is empty; a table must have a header and at least one item"
            raise ValueError(msg)
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            msg = f"{file}:{line}: a NUL byte, which no text has; save the table as UTF-8"
            raise ValueError(msg)
        with io.StringIO(text, newline="") as stream:
            reader = csv.DictReader(stream)
            try:
                header = list(reader.fieldnames or [])
                columns = self._columns(file, header, names, label_columns)
                for row in reader:
                    paths.append(row[self.path_column])
                    lines.append(reader.line_num)
                    where = f"{file}:{reader.line_num}"
                    own = self._labels(row, columns, where)
                    groups.append(self._group(row, where))
                    labels.append(np.array(own, np.uint8))  # a list is eight times as large
            except csv.Error as error:
                where = f"{file}:{reader.line_num + 1}"
                msg = f"{where}: {error}; is a quotation mark left open, or is this no table?"
                raise ValueError(msg) from error
        if not paths:
            msg = f"{file} is empty; a table must have at least one item"
            raise ValueError(msg)
        if len(columns) == 1 and label_columns is None and names is None:
            msg = (
                f"{file}: one column of 0/1, {columns[0]!r}, is a label or the class numbers 0 and "
                "1: give a column for each class, or label_columns if it is a label"
            )
            raise ValueError(msg)
        rows = np.array(labels, np.uint8).reshape(len(paths), len(columns))
        known = groups if self.group_column else None
        return Table(paths, rows, str(file), np.array(lines), columns, known)

    def _columns(
        self,
        file: Path,
        header: list[str],
        names: list[str] | None,
        label_columns: list[str] | None,
    ) -> list[str]:
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            msg = f"{file}:1: column {twice[0]!r} is there twice; a column must have its own name"
            raise ValueError(msg)
        own = [] if self.group_column is None else [self.group_column]
        if self.names_column is not None:
            columns = list(names or [])
            wanted = [self.path_column, self.names_column, *own]
        else:
            named = [name for name in header if name and not UNNAMED.fullmatch(name)]
            found = [name for name in named if name not in (self.path_column, *own)]
            listed = names if names is not None and {*names} <= {*found} else found
            columns = listed if label_columns is None else label_columns
            if label_columns is None and names is None and not self._needs_labels:
                columns = []
            doubtful = [name for name in found if BOOKKEEPING.fullmatch(name.strip())]
            if columns is found and doubtful:
                labels = [name for name in found if name not in doubtful]
                msg = (
                    f"{file}:1: is column {doubtful[0]!r} a label? Say which are: label_columns: "
                    f"[{', '.join(labels)}]"
                )
                raise ValueError(msg)
            wanted = [self.path_column, *columns, *own]
        missing = [column for column in wanted if column not in header]
        if missing and len(header) == 1 and re.search(r"[;\t|]", header[0]):
            msg = f"{file}:1: columns are parted by commas, got {brief(header[0])}"
            raise ValueError(msg)
        if missing:
            there = ", ".join(header)
            shown = there if len(there) <= SHOWN else f"{there[:SHOWN]} ..."
            msg = f"{file}:1: no column {missing[0]!r}; there is {shown or 'none'}"
            raise ValueError(msg)
        return columns

    @property
    def _needs_labels(self) -> bool:
        """Whether labels decide what is relevant, or what a split draws."""
        drawn = any(choice.per_class for choice in self.choices.values())
        return drawn or self.relevance != SAME_GROUP

    def _group(self, row: dict[str, str], where: str) -> str:
        group = "" if self.group_column is None else row[self.group_column].strip()
        if self.group_column is not None and not group:
            msg = f"{where}: {self.group_column} is empty; name the group, each its own where alone"
            raise ValueError(msg)
        return group

    def _labels(self, row: dict[str, str], columns: list[str], where: str) -> list[int]:
        if None in row or None in row.values():
            msg = f"{where}: the row must have as many cells as the header; is the file whole?"
            raise ValueError(msg)
        if self.names_column is not None:
            cell = row[self.names_column]
            names = [name.strip() for name in cell.split(self.separator) if name.strip()]
            unknown = [name for name in names if name not in columns]
            if unknown:
                shown = brief(unknown[0])
                msg = f"{where}: label {shown} is not in class_names ({', '.join(columns)})"
                raise ValueError(msg)
            return [int(column in names) for column in columns]
        for column in columns:
            if row[column].strip() not in ("0", "1"):
                msg = (
                    f"{where}: {column} must be 0 or 1, got {brief(row[column])}; if it is no "
                    "label, label_columns names those that are, [] for none"
                )
                raise ValueError(msg)
        return [int(row[column]) for column in columns]
