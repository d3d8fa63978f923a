"""Targets as the authors of DHTA publish them: a row for each query."""

import numpy as np

from lightning_hash.utils.array_files import read_array, read_index
from lightning_hash.utils.label_values import same_columns, to_labels


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
