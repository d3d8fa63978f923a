"""Items and labels as a file names them."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Table:
    """N items with their labels.

    Attributes:
        paths: path of each item, as written.
        labels: uint8 ``(N, C)`` of 0/1; or int64 ``(N, 1)``, class numbers as a list has them, or
            with ``class_names`` the places of these.
        source: the file or folder that names them.
        lines: ``(N,)`` 1-based line of each item in ``source``; ``None`` where it has no lines.
        class_names: a name per label column, where the source has them.
        groups: the recording of each item, where that is known.
        files: the file that names each item, where ``source`` is one of several.
    """

    paths: list[str]
    labels: NDArray[np.integer[Any]]
    source: str
    lines: NDArray[np.int64] | None = None
    class_names: list[str] | None = None
    groups: list[str] | None = None
    files: list[str] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return the items at these rows, in this order."""
        return replace(
            self,
            paths=[self.paths[row] for row in rows],
            labels=self.labels[rows],
            lines=None if self.lines is None else self.lines[rows],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
            files=None if self.files is None else [self.files[row] for row in rows],
        )

    def grouped(self, pattern: str) -> "Table":
        """Say which items are of one recording: those whose paths match with equal groups.

        Args:
            pattern: a regular expression, searched in each path.

        Raises:
            ValueError: naming the item, if a path does not match.
        """
        groups = []
        for row, path in enumerate(self.paths):
            match = re.search(pattern, path)
            if match is None:
                msg = f"{self.where(row)}: group {pattern!r} does not match {path!r}"
                raise ValueError(msg)
            groups.append("/".join(match.groups("")) or match[0])
        return replace(self, groups=groups)

    def where(self, row: int) -> str:
        """Return ``file:line`` of an item, for messages."""
        source = self.source if self.files is None else self.files[row]
        return source if self.lines is None else f"{source}:{self.lines[row]}"
