"""Checkpoints that are either whole or not there."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_hash.utils.plain_load import made_anew
from lightning_hash.utils.whole_file import write_whole


class WholeCheckpointIO(TorchCheckpointIO):
    """Write a local checkpoint beside its place and put it there in one move.

    Lightning writes into the system's temporary folder first; where that is another disk, the move
    is a copy, and a kill or a full disk in its midst leaves neither the old checkpoint nor the new.
    """

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint; where weights alone are asked for, of plain containers.

        Args:
            args: as in Lightning's TorchCheckpointIO.
            kwargs: the same.
        """
        found = super().load_checkpoint(*args, **kwargs)
        if kwargs.get("weights_only"):
            made: dict[str, Any] = made_anew(found)
            return made
        return found

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        """Save a checkpoint; the one that was there before stays if anything fails.

        Args:
            checkpoint: what to save.
            path: where; addresses such as ``s3://...`` are left to Lightning.
            storage_options: not supported.

        Raises:
            OSError: if the file cannot be written.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()  # torch.save turns a full disk into a RuntimeError without its cause
        torch.save(checkpoint, buffer)
        write_whole(Path(path), buffer.getbuffer())
