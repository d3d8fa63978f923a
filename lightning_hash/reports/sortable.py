"""A table that a page sorts by a click on a heading."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line of a sortable table.

    Attributes:
        cells: what each shows, and the number that it is sorted by; ``None`` of texts.
        address: where the first cell leads; empty where it leads nowhere.
    """

    cells: Sequence[tuple[str, float | None]]
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A sortable table.

    Attributes:
        name: its anchor.
        heading: what it shows.
        columns: their names.
        lines: its lines.
    """

    name: str
    heading: str
    columns: Sequence[str]
    lines: Sequence[Line]

    def holds_text(self, column: int) -> bool:
        """Return whether a column holds no numbers."""
        return all(line.cells[column][1] is None for line in self.lines)


def counted(value: int) -> tuple[str, float]:
    """Return a cell with a count.

    Example:
        >>> counted(1000)
        ('1,000', 1000)
    """
    return f"{value:,}", value


def rounded(value: float | None, how: str) -> tuple[str, float | None]:
    """Return a cell with a number, as a format says; an empty one without.

    Example:
        >>> rounded(0.97, ".1f"), rounded(None, ".1f")
        (('1.0', 0.97), ('', None))
    """
    return ("", None) if value is None else (format(value, how), value)
