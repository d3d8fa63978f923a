"""The values that the papers give.

Of DHTA Table 3 three lines are legible in our copy, of Table 1 nothing: what stands there of
ImageNet is what Tables 3 and 5 repeat of it.
"""

import csv
from functools import cache
from importlib.resources import files

from lightning_hash.reports.results import ResultRow

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
    name = "".join(filter(str.isalnum, (row.dataset or "").lower()))
    found = next((PUBLISHED_DATA[key] for key in PUBLISHED_DATA if name.startswith(key)), None)
    return f"{found}, HashNet" if found and row.loss == "HashNetLoss" else found
