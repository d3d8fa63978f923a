"""Which training items are the queries of the validation."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SelectedOn = Literal["validation", "test"]
SHARE, MOST = 0.05, 200  # of the training items, by default
LEFT = 2  # items that each label keeps in training: the fewest that make a pair


def draw_validation(
    labels: NDArray[np.uint8],
    count: int | None = None,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    names: Sequence[object] | None = None,
) -> NDArray[np.int64]:
    """Draw training items, each by its place in an order that the seed alone decides.

    An item without a label is no query, and no label is left with fewer than two items. Items of
    one recording are drawn together, and so is an item that is there twice, so that none is on both
    sides.

    Args:
        labels: ``(N, C)`` of 0/1, of the training items.
        count: how many are drawn; 5 % of them, at most 200, by default, and none where there are no
            labels. Of recordings and repeated items as many as it takes.
        seed: of the order: that of an item is a function of seed and index, or recording.
        groups: the recording of each item, where that is known.
        names: what identifies each item, where that is known.

    Returns:
        Their rows, ascending.

    Raises:
        ValueError: if there are not as many; says how many there are and what to give.

    Example:
        >>> labels = np.tile(np.eye(2, dtype=np.uint8), (10, 1))
        >>> draw_validation(labels).shape, draw_validation(labels, 16).shape
        ((1,), (16,))
    """
    if labels.shape[1] == 0:
        if count is not None:
            msg = f"n_validation: {count} queries are wanted of data without labels; leave it out"
            raise ValueError(msg)
        return np.empty(0, np.int64)
    wanted = min(MOST, int(np.ceil(SHARE * len(labels)))) if count is None else count
    first: dict[object, int] = {}  # a row stands for its name: paths are others elsewhere
    rows_of = [first.setdefault(name, row) for row, name in enumerate(names or range(len(labels)))]
    members: dict[object, list[int]] = {}
    for row, name in enumerate(rows_of if groups is None else groups):
        members.setdefault(name, []).append(row)
    left = labels.sum(axis=0, dtype=np.int64)
    chosen: list[int] = []
    for name in sorted(members, key=lambda name: _place(seed, name)):
        if len(chosen) >= wanted:
            break
        rows = members[name]
        lost = labels[rows].sum(axis=0, dtype=np.int64)
        fits = len(chosen) + len(rows) <= max(wanted, MOST)
        if fits and lost.any() and (left[lost > 0] - lost[lost > 0] >= LEFT).all():
            left -= lost
            chosen += rows
    if not chosen or (count is not None and len(chosen) < count):
        what = "items" if groups is None else "items of whole recordings"
        less = "fewer, more training items" if chosen else "more training items of each label"
        msg = (
            f"n_validation: {wanted} of {len(labels)} training items are wanted as queries of the "
            f"validation, {len(chosen)} {what} can leave so that each label, or group, keeps "
            f"{LEFT}; give {less}, or selected_on: test, which validates on the test queries"
        )
        raise ValueError(msg)
    return np.sort(np.array(chosen, np.int64))


def _place(seed: int, name: object) -> bytes:
    return hashlib.sha256(f"{seed} validation {name}".encode()).digest()
