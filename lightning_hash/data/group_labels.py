"""Groups in place of labels: relevant is what has one source, as the copies of one photograph."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lightning_hash.data.table import Table
from lightning_hash.utils.foreign_files import check_size

SAME_GROUP = "same group"  # what result rows say of such data


def with_group_labels(splits: Mapping[str, Table]) -> tuple[dict[str, Table], list[str]]:
    """Give each item its group as its one label.

    Args:
        splits: items whose groups are known, by split.

    Returns:
        The same with a label column for each group that has at least two items, an item of several
        splits counted once; items that are alone in their group have no label. And the names of
        the groups, sorted.

    Raises:
        ValueError: if the groups are not known, or none has two items.
    """
    members: dict[str, set[str]] = {}
    for split, table in splits.items():
        if table.groups is None:
            msg = (
                f"relevance: group needs the group of each item of {split}; give group, a regular "
                "expression for its path, or group_column of a CSV"
            )
            raise ValueError(msg)
        for path, group in zip(table.paths, table.groups, strict=True):
            members.setdefault(group, set()).add(path)
    names = sorted(group for group, paths in members.items() if len(paths) > 1)
    if not names:
        msg = (
            f"relevance: group: each of the {len(members)} groups has one item alone, so that "
            "nothing is relevant; does group match what the copies of an image share?"
        )
        raise ValueError(msg)
    column = {name: number for number, name in enumerate(names)}
    done = {}
    for split, table in splits.items():
        check_size(len(table) * len(names), f"{split}: {len(table)} items of {len(names)} groups")
        labels = np.zeros((len(table), len(names)), np.uint8)
        for row, group in enumerate(table.groups or ()):
            if group in column:
                labels[row, column[group]] = 1
        done[split] = replace(table, labels=labels, class_names=names)
    return done, names
