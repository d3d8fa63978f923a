"""Which array of another program's file is what, and where in a row the code begins."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_hash.utils.label_values import lie_down

Side = Literal["query", "database"]
# Words in the names of arrays, such as qB, rL, tst_label, B_trn, dataset_L.
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
LABELS = {"l", "label", "labels", "target", "targets", "y", "cls", "class", "classes"}
SIDES: dict[Side, set[str]] = {
    "query": {"q", "query", "queries", "test", "tst", "te", "val", "validation"},
    "database": {
        "r", "retrieval", "db", "database", "gallery", "train", "trn", "tr", "dataset", "base",
    },
}  # fmt: skip


def pick_array(
    arrays: Mapping[str, NDArray[Any]],
    path: Path,
    name: str | None,
    side: Side | None,
    *,
    labels: bool,
) -> NDArray[Any]:
    """Choose an array of a file.

    Args:
        arrays: all that it holds, by name.
        path: the file, for the messages.
        name: which was asked for; ``None`` leaves it to the names.
        side: whether the queries' or the database's is meant, where it holds both.
        labels: whether labels are meant; otherwise codes.

    Returns:
        The array.

    Raises:
        ValueError: if there is none, or several may be meant; names all.
    """
    there = ", ".join(f"{key} {value.shape}" for key, value in arrays.items()) or "none"
    if name is not None:
        if name not in arrays:
            msg = f"{path} has no array {name!r}; there is {there}"
            raise ValueError(msg)
        return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    fits = {
        key: value
        for key, value in arrays.items()
        if (value.ndim in (1, 2) if labels else value.ndim == 2)
        and bool(_words(key) & LABELS) == labels
    }
    found = _of_side(fits, side)
    if len(found) == 1:
        return next(iter(found.values()))
    what = "labels" if labels else "codes"
    first = next(iter(found or arrays), "NAME")
    msg = f"{path}: which array are the {what}? There is {there}; name one, such as {path}:{first}"
    raise ValueError(msg)


def pick_labels(arrays: Mapping[str, NDArray[Any]], side: Side | None) -> NDArray[Any] | None:
    """Return the labels that stand beside the codes in one file, or ``None``.

    Args:
        arrays: all that it holds, by name.
        side: whether the queries' or the database's are meant.
    """
    fits = {key: value for key, value in arrays.items() if _words(key) & LABELS}
    found = _of_side(fits, side)
    return next(iter(found.values())) if len(found) == 1 else None


def _words(name: str) -> set[str]:
    return {word.lower() for word in WORDS.findall(name)}


def _of_side(arrays: dict[str, NDArray[Any]], side: Side | None) -> dict[str, NDArray[Any]]:
    if len(arrays) <= 1 or side is None:
        return arrays
    return {key: value for key, value in arrays.items() if _words(key) & SIDES[side]}


def upright(
    codes: NDArray[Any], labels: NDArray[Any], source: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Turn codes ``(K, N)`` and labels ``(C, N)`` over, as their common N tells, and say so.

    Args:
        codes: ``(N, K)`` or ``(K, N)``.
        labels: ``(N,)``, ``(N, C)`` or ``(C, N)``.
        source: where the codes come from, for the warning.

    Returns:
        Both, an item a row; as they are where no side of the one is a side of the other.
    """
    if codes.ndim != 2 or labels.ndim not in (1, 2) or len(codes) == len(labels):
        return codes, labels
    codes_lie = codes.shape[1] > len(codes)
    ways = {  # of which never two fit
        "codes": (codes.T, labels, codes_lie),
        "labels": (codes, labels.T, lie_down(labels)),
        "codes and labels": (codes.T, labels.T, codes_lie and lie_down(labels)),
    }
    for what, (first, second, lie) in ways.items():
        if lie and len(first) == len(second):
            warnings.warn(
                f"{source}: {what} are turned over, so that a row is an item", stacklevel=2
            )
            return first, second
    return codes, labels


def label_width(values: NDArray[Any], path: str, bits: int | None, *, known: bool) -> int:
    """Find where the labels of a text's rows end and the code begins: 0 is a label's, -1 a bit's.

    Args:
        values: ``(N, C + K)``.
        path: the file, for the messages.
        bits: K, where it is known.
        known: whether the labels are known otherwise, so that there may be none.

    Returns:
        C; 0 where the codes stand alone.

    Raises:
        ValueError: if it may be at several places, or a value is neither a label nor a bit.
    """
    if bits is not None:
        return max(int(values.shape[1]) - bits, 0)
    zero = (values == 0).any(axis=0)
    if not zero.any():
        return 0
    wrong = np.argwhere(~np.isin(values, (-1, 0, 1)))
    if len(wrong):
        if known:
            return 0
        row, column = wrong[0]
        msg = (
            f"codes {path}: a row must be labels of 0/1 and bits of -1/1, got "
            f"{values[row, column]} in row {row + 1}, column {column + 1}; say how many bits it "
            "has, or name the file of labels"
        )
        raise ValueError(msg)
    first = int(np.flatnonzero(zero)[-1]) + 1
    signed = np.flatnonzero((values < 0).any(axis=0))
    last = int(signed[0]) if len(signed) else first
    if len(signed) and last == first:
        return first
    if known and (not len(signed) or last < first):
        return 0
    msg = (
        f"codes {path}: labels end behind column {first} or later, the code begins at or before "
        f"column {last + 1}; say how many bits it has"
    )
    raise ValueError(msg)
