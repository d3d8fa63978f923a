"""Labels of others: rows of 0/1, or class numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_labels(values: NDArray[Any], source: str) -> NDArray[Any]:
    """Turn the values of a file into label rows or class numbers.

    Args:
        values: ``(N, C)`` of 0/1, or of -1/1 as HashNet's test leaves the queries' labels;
            ``(N,)`` or ``(N, 1)`` class numbers, unless these are bytes of 0/1, a column.
        source: where they come from, for the messages.

    Returns:
        uint8 ``(N, C)``, or class numbers int64 ``(N,)``.

    Raises:
        ValueError: if a value is no label.
    """
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "biuf":
        msg = f"{source} must hold a matrix of numbers, got {values.dtype} {values.shape}"
        raise ValueError(msg)
    column = values.ndim == 2 and values.dtype == np.uint8 and values.max() <= 1
    if values.ndim == 1 or (values.shape[1] == 1 and not column):
        return _class_numbers(values.reshape(-1), source)
    low = values.min()
    if low == -1 and np.isin(values, (-1, 1)).all():
        return (values > 0).astype(np.uint8)
    return zero_one(values, source)


def lie_down(labels: NDArray[Any]) -> bool:
    """Return whether labels look like ``(C, N)``: items are many more than classes."""
    return labels.ndim == 2 and labels.shape[1] >= 2 * len(labels)


def zero_one(values: NDArray[Any], source: str) -> NDArray[np.uint8]:
    """Check label rows.

    Args:
        values: ``(N, C)``.
        source: where they come from, for the message.

    Returns:
        uint8 ``(N, C)``.

    Raises:
        ValueError: naming row and column, if a value is neither 0 nor 1.
    """
    wrong = np.argwhere((values != 0) & (values != 1))
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"{source}: labels must be 0 or 1, got {values[row, column]} in row {row + 1}, column "
            f"{column + 1}"
        )
        raise ValueError(msg)
    return values.astype(np.uint8)


def _class_numbers(values: NDArray[Any], source: str) -> NDArray[np.int64]:
    wrong = np.flatnonzero((values < 0) | (values * 1 % 1 != 0))
    if len(wrong):
        msg = (
            f"{source}: class numbers must be whole and not negative, got {values[wrong[0]]} in "
            f"row {wrong[0] + 1}"
        )
        raise ValueError(msg)
    return values.astype(np.int64)


def same_columns(sets: Mapping[str, NDArray[Any]], columns: int | None = None) -> dict[str, Tensor]:
    """Turn the labels of several files into rows of the same columns.

    Where one has rows of 0/1, class number n is column n. Where all are class numbers, each that
    occurs is a column, in the order of the numbers.

    Args:
        sets: what :func:`to_labels` returned, by where it comes from.
        columns: C, where it is known without them.

    Returns:
        uint8 ``(N, C)`` of each.

    Raises:
        ValueError: if a class number has no column.
    """
    if columns is None:
        widths = [labels.shape[1] for labels in sets.values() if labels.ndim == 2]
        columns = widths[0] if widths else None
    numbers = [labels for labels in sets.values() if labels.ndim == 1]
    if columns is not None:
        classes: NDArray[np.int64] = np.arange(columns)
    elif numbers:
        classes = np.unique(np.concatenate(numbers))
    return {
        name: torch.from_numpy(labels if labels.ndim == 2 else _rows(labels, classes, name))
        for name, labels in sets.items()
    }


def _rows(labels: NDArray[np.int64], classes: NDArray[np.int64], name: str) -> NDArray[np.uint8]:
    wrong = np.flatnonzero(~np.isin(labels, classes))
    if len(wrong):
        msg = (
            f"{name}: class number {labels[wrong[0]]} in row {wrong[0] + 1}, but the labels that "
            f"it goes with have the columns 0 to {len(classes) - 1}; number the classes as these"
        )
        raise ValueError(msg)
    rows = np.zeros((len(labels), len(classes)), np.uint8)
    rows[np.arange(len(labels)), np.searchsorted(classes, labels)] = 1
    return rows
