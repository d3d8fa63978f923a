"""Which frames of each clip an attack on some of them may change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.distributed import gather_to_zero
from lightning_hash.functional import largest_frames

if TYPE_CHECKING:
    from lightning_hash.modules.attack_loop import AttackLoop


def choose_frames(module: "AttackLoop", count: int) -> None:
    """Choose the frames in which the loss of the clean query has the largest gradient.

    Args:
        module: the attack, whose references are computed and whose kernels are chosen.
        count: frames of each clip.
    """
    for number, batch in enumerate(module.batches):
        clean = module.clean(number)
        if batch.live is None:
            batch.live = torch.ones(clean.shape[:2], dtype=torch.bool, device=clean.device)
        for row in range(len(clean)):  # one at a time: memory holds a pass of one clip
            gradient = module.clean_gradient(number, slice(row, row + 1))
            live = batch.live[row : row + 1]
            batch.live[row : row + 1] = largest_frames(gradient, count, live)


def pack_frames(batches: Sequence[QueryBatch]) -> dict[str, Tensor] | None:
    """Gather the chosen frames of all processes, on rank 0.

    Args:
        batches: this process's batches, whose frames are chosen.

    Returns:
        ``index`` (Q,) and ``live`` bool (Q, T), or ``None`` on the other ranks.
    """
    local = [(b.index.cpu(), b.live.cpu()) for b in batches if b.live is not None]
    parts = gather_to_zero(local)
    if parts is None:
        return None
    rows = [rows for part in parts for rows in part]
    index, live = (torch.cat(column) for column in zip(*rows, strict=True))
    order = torch.argsort(index)
    return {"index": index[order], "live": live[order]}


def unpack_frames(packed: dict[str, Any], batches: Sequence[QueryBatch]) -> None:
    """Give the batches of a run the frames that were chosen before.

    Args:
        packed: what :func:`pack_frames` returned.
        batches: this process's batches.
    """
    for batch in batches:
        batch.live = packed["live"][torch.searchsorted(packed["index"], batch.index.cpu())]
        batch.live = batch.live.to(batch.index.device)
