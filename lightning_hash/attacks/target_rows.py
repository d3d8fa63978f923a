"""Targets in files: those of a run, and a row for each query as the authors of DHTA have them."""

from pathlib import Path
from typing import Any

import numpy as np

from lightning_hash.utils.array_files import read_array, read_index
from lightning_hash.utils.json_text import brief, read_json
from lightning_hash.utils.label_values import same_columns, to_labels

OTHERWISE = "write it as targets.json of a run"


def read_target_json(path: Path, remedy: str = OTHERWISE) -> dict[str, dict[str, list[int]]]:
    """Read targets as a run writes them.

    Args:
        path: the file.
        remedy: what to do where it cannot be read.

    Returns:
        ``{"query index": {"target": [0, 1, ...], "anchor": [database index, ...]}}``; ``"anchor"``
        may be absent.

    Raises:
        ValueError: if there is no such file, it is none of targets, or a value is wrong; names the
            query.
    """
    try:
        content = read_json(path, f"file {path}", remedy)
    except OSError as error:
        msg = f"file {path}: cannot read the targets as JSON ({error.strerror}); {remedy}"
        raise ValueError(msg) from error
    if not isinstance(content, dict) or not all(
        isinstance(entry, dict) and "target" in entry for entry in content.values()
    ):
        msg = (
            f'file {path}: must be an object {{"query index": {{"target": [0, 1, ...]}}}}, got '
            f"{brief(content)}; {remedy}"
        )
        raise ValueError(msg)
    if not content:
        msg = f"file {path}: holds no targets; {remedy}"
        raise ValueError(msg)
    for query, entry in content.items():
        where = f"file {path}: query {query[:20]}"
        if not (query.isascii() and query.isdigit()):
            msg = f"{where}: a query is named by its index, from 0 on; {remedy}"
            raise ValueError(msg)
        if not _are_numbers(entry["target"]) or not {*entry["target"]} <= {0, 1}:
            shown = brief(entry["target"])
            msg = f"{where}: target must be labels of 0 and 1, got {shown}; {remedy}"
            raise ValueError(msg)
        if "anchor" in entry and not _are_numbers(entry["anchor"]):
            shown = brief(entry["anchor"])
            msg = f"{where}: anchor must be database indices, got {shown}; {remedy}"
            raise ValueError(msg)
    return content


def anchors_of(path: Path) -> int:
    """Return how many items the anchor set of each query has in a file of a run.

    Raises:
        ValueError: if the file cannot be read, or they are not as many for all queries.
    """
    remedy = "attack again, or remove it"
    entries = read_target_json(path, remedy)
    sizes = {query: len(entry.get("anchor", [])) for query, entry in entries.items()}
    first = next(iter(sizes.values()))
    other = next((query for query, size in sizes.items() if size != first or not size), None)
    if other is not None:
        msg = (
            f"file {path}: query {other} has {sizes[other]} items in its anchor set, the first has "
            f"{first}; {remedy}"
        )
        raise ValueError(msg)
    return first


def _are_numbers(values: Any) -> bool:
    """Return whether these are whole numbers that int64 holds, at least one."""
    return (
        isinstance(values, list)
        and bool(values)
        and all(type(each) is int and abs(each) < 2**62 for each in values)
    )


def read_target_rows(
    file: str, anchors: str | None, queries: list[int] | str | None, classes: int
) -> dict[str, dict[str, list[int]]]:
    """Read target labels and anchor sets that are a row for each query.

    Args:
        file: target labels, rows of 0/1 or class numbers.
        anchors: rows of database indices, or ``None``.
        queries: the queries that the rows are of; by default 0, 1, 2, ...
        classes: C, the columns of the database's labels.

    Returns:
        ``{"query index": {"target": [0, 1, ...], "anchor": [database index, ...]}}``.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a value is wrong, or the files are not of as many queries.
    """
    values = read_array(file)
    labels = same_columns({f"file {file}": to_labels(values, f"file {file}")}, classes)
    targets = labels[f"file {file}"].tolist()
    rows = range(len(targets)) if queries is None else read_index("queries", queries)
    entries = {str(row): {"target": target} for row, target in zip(rows, targets, strict=False)}
    counts = {"file": len(targets), "queries": len(rows)}
    if anchors is not None:
        items = read_array(anchors)
        if items.ndim != 2 or (items < 0).any() or (items % 1 != 0).any():
            msg = f"anchors {anchors} must hold a row of database indices for each query"
            raise ValueError(msg)
        counts["anchors"] = len(items)
        for entry, chosen in zip(entries.values(), items.astype(np.int64).tolist(), strict=False):
            entry["anchor"] = chosen
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        msg = f"file {file}: there must be a row for each query in all files, got {found} rows"
        raise ValueError(msg)
    return entries
