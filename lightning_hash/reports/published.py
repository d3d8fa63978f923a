"""The values that the papers give.

Of DHTA Table 3 three lines are legible in our copy, of Table 1 nothing: what stands there of
ImageNet is what Tables 3 and 5 repeat of it.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.results.rows import ResultRow

PUBLISHED_DATA = {
    "coco": "MS-COCO", "mscoco": "MS-COCO", "flickr": "FLICKR25K", "mirflickr": "FLICKR25K",
    "nuswide": "NUS-WIDE", "imagenet": "ImageNet", "jhmdb": "JHMDB", "ucf101": "UCF-101",
}  # fmt: skip


@cache
def published(name: str) -> dict[str, dict[tuple[str, str], float]]:
    """Return the values that a paper gives.

    Args:
        name: of the experiment.

    Returns:
        By data and then by line and column, as printed; empty where no value is legible.
    """
    path = files("lightning_hash.reports") / "published" / f"{name}.csv"
    found: dict[str, dict[tuple[str, str], float]] = {}
    if path.is_file():
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            data, line = row.pop("data"), row.pop("line")
            for column, value in row.items():
                if value:
                    found.setdefault(data, {})[line, column] = float(value)
    return found


def published_data(row: ResultRow) -> str | None:
    """Return the papers' name of the data of a row, or ``None`` where it is none of theirs."""
    name = "".join(filter(str.isalnum, str(row.get("data.dataset") or "").lower()))
    found = next((PUBLISHED_DATA[key] for key in PUBLISHED_DATA if name.startswith(key)), None)
    return f"{found}, HashNet" if found and row.get("victim.loss") == "HashNetLoss" else found


def published_line(
    known: Mapping[tuple[str, str], float], label: str, headings: Sequence[str], scale: float
) -> Line:
    """Return a line of published values.

    Args:
        known: by line and column, as printed.
        label: the line.
        headings: the columns.
        scale: factor that the table shows its numbers with.
    """
    values = [known.get((label, heading)) for heading in headings]
    cells = tuple(None if value is None else Cell((value / scale,)) for value in values)
    return Line(label, cells, published=True)


def published_grid(
    name: str, data: str, title: str, corner: str, scale: float = 1.0, digits: int = 4
) -> Grid:
    """Return a published table of data that nothing was measured on.

    Args:
        name: of the experiment.
        data: the papers' name of the data.
        title: of the table.
        corner: what the lines are.
        scale: factor of the numbers.
        digits: behind the point.
    """
    known = published(name)[data]
    columns = tuple(dict.fromkeys(column for _, column in known))
    labels = dict.fromkeys(label for label, _ in known)
    star = " A star is 64 bits, 32 without." if any("*" in column for column in columns) else ""
    return Grid(
        title=title, about=data, caption=f"Published values.{star}", corner=corner,
        columns=columns, scale=scale, digits=digits,
        lines=tuple(published_line(known, label, columns, scale) for label in labels),
    )  # fmt: skip
