"""Collectives; with one process each of them returns what it was given."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


def several_processes() -> bool:
    """Return whether there is a process group of more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_objects(local: Any) -> list[Any]:
    """Return every process's object, in the order of the ranks."""
    if not several_processes():
        return [local]
    parts = [None] * dist.get_world_size()
    dist.all_gather_object(parts, local)
    return parts


def gather_to_zero(local: Any) -> list[Any] | None:
    """Return every process's object on rank 0, ``None`` elsewhere."""
    if not several_processes():
        return [local]
    parts = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(local, parts)
    return parts


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows ``(n, ...)`` of all processes, which may differ in n."""
    return torch.cat(gather_all_tensors(rows)) if several_processes() else rows


def gather_equal_rows(rows: Tensor) -> Tensor:
    """Join the rows ``(n, ...)`` of all processes, as many of each, without a wait for the device.

    :func:`gather_rows` first asks each process how many it has.
    """
    if not several_processes():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gather_rows_with_grad(rows: Tensor) -> Tensor:
    """Join the rows ``(n, ...)`` of all processes, as many of each.

    The gradient that reaches a process's own rows is the sum of those of all processes.
    """
    if not several_processes():
        return rows
    joined: Tensor = _GatherRows.apply(rows)
    return joined


class _GatherRows(torch.autograd.Function):
    """All-gather whose backward pass sums the gradients of all processes."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        return gather_equal_rows(rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    if several_processes():
        values = values.clone()
        dist.all_reduce(values)
    return values


def any_process(flag: bool) -> bool:
    """Return whether the flag is set on any process.

    On a host that has GPUs the processes agree through CPU memory where the process group can
    (``query_parallel``), so that nobody waits for a device.
    """
    if not several_processes():
        return flag
    cpu = "gloo" in str(dist.get_backend_config())
    count = torch.tensor(int(flag), device="cpu" if cpu else "cuda")
    dist.all_reduce(count)
    return bool(count)
