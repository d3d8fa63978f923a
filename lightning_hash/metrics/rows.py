"""Metric state keyed by item: order, batches, duplicates and processes cannot change a value."""

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_hash.utils.distributed import gather_objects


def joined(parts: list[Tensor] | Tensor) -> Tensor:
    """Join a list state, which is a single tensor after torchmetrics has synchronised it."""
    return parts if isinstance(parts, Tensor) else torch.cat(parts)


def alike_everywhere(parts: list[Tensor], device: torch.device) -> list[Tensor]:
    """Give a process without rows an empty part of the type and the shape that others have.

    Args:
        parts: rows ``(n, ...)`` of this process; all processes call it together.
        device: where an empty part is made.

    Returns:
        The parts; where no process has any, none.
    """
    first = (parts[0].dtype, parts[0].shape[1:]) if parts else None
    known = [kind for kind in gather_objects(first) if kind is not None]
    if parts or not known:
        return parts
    dtype, shape = known[0]
    return [torch.empty(0, *shape, dtype=dtype, device=device)]


def by_index(what: str, index: Tensor, *columns: Tensor) -> tuple[Tensor, ...]:
    """Sort rows by index and keep each index once, the first that came.

    The sampler of several processes repeats items, and in another batch rounding is another: there
    the floating values of one item may differ by a thousandth of its largest, and its code in an
    eighth of the bits.

    Args:
        what: what the rows are, for the message.
        index: ``(n,)`` int64.
        columns: tensors of n rows; codes are int8.

    Returns:
        The unique indices and the columns in their order.

    Raises:
        ValueError: if an index stands for rows that differ.
    """
    unique, inverse = torch.unique(index, return_inverse=True)
    first = torch.full_like(unique, len(index)).scatter_reduce(
        0, inverse, torch.arange(len(index), device=index.device), "amin"
    )
    if len(unique) < len(index):
        for column in columns:
            rows = _alike(column, column[first][inverse])
            if not rows.all():
                number = int(index[~rows][0])
                msg = (
                    f"{what} index {number} was given twice with different contents; "
                    "an index must belong to one item"
                )
                raise ValueError(msg)
    return unique, *(column[first] for column in columns)


def _alike(column: Tensor, other: Tensor) -> Tensor:
    """Return bool ``(n,)``, whether rows may be of one item."""
    column, other = column.reshape(len(column), -1), other.reshape(len(other), -1)
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    if several and column.is_floating_point():
        largest = other.abs().amax(dim=1, keepdim=True)
        return ((column - other).abs() <= 1e-3 * largest).all(dim=1)
    if several and column.dtype == torch.int8:
        return 8 * (column != other).sum(dim=1) <= column.shape[1]
    return (column == other).all(dim=1)
