"""What an attack does when a loss is not finite."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.utils.distributed import gather_objects


def check_finite(
    batches: Sequence[QueryBatch],
    perturbations: nn.ParameterList,
    trainer: pl.Trainer,
    run_folder: Path | None,
) -> None:
    """Stop, and save, if the loss of a query was not finite.

    Args:
        batches: this process's batches.
        perturbations: theirs; those that are not finite are set to 0 before they are saved.
        trainer: saves the checkpoint.
        run_folder: where to, if anywhere.

    Raises:
        ValueError: naming the iteration and the queries, on every process.
    """
    local = [torch.stack([b.index, b.bad_since]) for b in batches]
    index, bad_since = torch.cat(gather_objects(torch.cat(local, dim=1).cpu()), dim=1)
    bad = bad_since >= 0
    if not bad.any():
        return
    for perturbation in perturbations:
        with torch.no_grad():
            finite = torch.isfinite(perturbation).flatten(1).all(dim=1)
            perturbation[~finite] = 0
    saved = ""
    if run_folder is not None:
        path = run_folder / "checkpoints" / "not_finite.ckpt"
        trainer.save_checkpoint(path)
        saved = f"; the perturbations of the others are saved in {path}"
    msg = (
        f"the loss is not finite since iteration {int(bad_since[bad].min())} for queries "
        f"{index[bad].tolist()}{saved}; leave these queries out or lower the step"
    )
    raise ValueError(msg)
