"""The values that the papers give.

Of DHTA Table 3 three lines are legible in our copy, of Table 1 nothing: what stands there of
ImageNet is what Tables 3 and 5 repeat of it.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.lines import close_to, in_order
from lightning_hash.reports.papers import EPSILON
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import format_epsilon

PUBLISHED_DATA = {
    "coco": "MS-COCO", "mscoco": "MS-COCO", "flickr": "FLICKR25K", "mirflickr": "FLICKR25K",
    "nuswide": "NUS-WIDE", "imagenet": "ImageNet", "jhmdb": "JHMDB", "ucf101": "UCF-101",
}  # fmt: skip


# The protocols of the published values, as far as the papers give them (HAG IV-A, IV-B; DHTA 4.1 to
# 4.3 and appendix). What a paper leaves open, or a table varies, is not compared.
QUERIES, DATABASE, BACKBONE = "data.n_query", "data.n_database", "victim.backbone"
TOP_K, SHAPE, ITERATIONS = "ranking.top_k", "data.input_shape", "attack.iterations"
_HAG = {
    QUERIES: 200, TOP_K: 1000, BACKBONE: "vgg16", SHAPE: [3, 224, 224], EPSILON: 10 / 255,
    ITERATIONS: 2000,
}  # fmt: skip
_DHTA = {
    QUERIES: 100, TOP_K: 1000, BACKBONE: "vgg11", SHAPE: [3, 224, 224], EPSILON: 0.032,
    ITERATIONS: 2000,
}  # fmt: skip
_CLIPS = {QUERIES: 100, TOP_K: None, EPSILON: 0.032, ITERATIONS: 500}
PROTOCOLS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "hag": {
        "MS-COCO": {**_HAG, DATABASE: 122_018}, "FLICKR25K": {**_HAG, DATABASE: 24_800},
        "NUS-WIDE": _HAG,
    },
    "dhta": {
        "ImageNet": _DHTA, "NUS-WIDE": {**_DHTA, TOP_K: 5000},
        "NUS-WIDE, HashNet": {**_DHTA, TOP_K: 5000, BACKBONE: "resnet50"},
        "JHMDB": {**_CLIPS, DATABASE: 508}, "UCF-101": {**_CLIPS, DATABASE: 7260},
    },
}  # fmt: skip
_NAMES = {
    QUERIES: "{} queries", DATABASE: "{} database items", BACKBONE: "{}", SHAPE: "inputs of {}",
    ITERATIONS: "{} iterations", EPSILON: "ε {}", TOP_K: "AP over {}",
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


def compare_protocols(
    name: str, data: str, rows: Sequence[ResultRow], varied: Sequence[str | None] = ()
) -> str:
    """Say how the protocol of published values differs from that of the numbers beside them.

    Args:
        name: of the experiment.
        data: the papers' name of the data.
        rows: the numbers.
        varied: dotted paths that the table's lines or columns are of.

    Returns:
        A sentence with both values of each difference.
    """
    said = []
    for path, value in PROTOCOLS[name.partition("_")[0]].get(data, {}).items():
        asked = [row for row in rows if not path.startswith("attack.") or _is_run(row)]
        if path in varied or not asked:
            continue
        here = list({canonical(row.get(path)): row.get(path) for row in asked}.values())
        if any(not _equal(each, value) for each in here):
            others = " and ".join(_written(path, each) for each in sorted(here, key=in_order))
            said.append(f"{_NAMES[path].format(_written(path, value))} (here {others})")
    same = "the same protocol, as far as the paper gives it; victims of its own"
    both = f"{data} (here {rows[0].get('data.dataset')})"
    return f"Published values, {both}: {', '.join(said) or same}."


def describe_protocol(name: str, data: str, varied: Sequence[str | None] = ()) -> str:
    """Say under which protocol the values of a paper were measured.

    Args:
        name: of the experiment, or of the paper.
        data: the papers' name of the data.
        varied: dotted paths that the table's lines or columns are of.
    """
    known = PROTOCOLS[name.partition("_")[0]].get(data, {})
    return ", ".join(
        _NAMES[path].format(_written(path, value))
        for path, value in known.items()
        if path not in varied
    )


def _is_run(row: ResultRow) -> bool:
    """Return whether an attack has steps, which noise and clean queries have not."""
    return row.is_attack and bool(row.get(ITERATIONS))


def _equal(found: Any, wanted: Any) -> bool:
    return close_to(found, wanted) if isinstance(wanted, float) else found == wanted


def _written(path: str, value: Any) -> str:
    if path == EPSILON:
        return format_epsilon(value, None) or "none"
    if path == TOP_K:
        return "the whole database" if value is None else f"the first {value}"
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


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
    name: str,
    data: str,
    title: str,
    corner: str,
    scale: float = 1.0,
    digits: int = 4,
    varied: Sequence[str | None] = (),
) -> Grid:
    """Return a published table of data that nothing was measured on.

    Args:
        name: of the experiment.
        data: the papers' name of the data.
        title: of the table.
        corner: what the lines are.
        scale: factor of the numbers.
        digits: behind the point.
        varied: dotted paths that its lines or columns are of.
    """
    known = published(name)[data]
    columns = tuple(dict.fromkeys(column for _, column in known))
    labels = dict.fromkeys(label for label, _ in known)
    star = " A star is 64 bits, 32 without." if any("*" in column for column in columns) else ""
    protocol = describe_protocol(name, data, varied)
    return Grid(
        title=title, about=data, caption=f"Published values: {protocol}.{star}", corner=corner,
        columns=columns, scale=scale, digits=digits,
        lines=tuple(published_line(known, label, columns, scale) for label in labels),
    )  # fmt: skip
