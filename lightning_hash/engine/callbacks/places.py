"""Places that a training writes to, tried before the work."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lightning_hash.utils.whole_file import ready_folder, warn_of_space

COPIES = 3  # of the parameters in a checkpoint: themselves, and what AdamW keeps of each


class Places(Callback):
    """Find out whether checkpoints and the run folder can be written to, before anything runs."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Try the folders, and remove what runs that were killed have left in them.

        Raises:
            OSError: if one cannot be written to.
        """
        run = trainer.log_dir  # all processes ask for it together
        if not trainer.is_global_zero:
            return
        if run is not None and trainer.loggers:
            ready_folder(Path(run), "run folder", "give another with --runs FOLDER")
        if stage != "fit":
            return
        for callback in trainer.checkpoint_callbacks:
            place = getattr(callback, "dirpath", None)
            if place is not None and "://" not in str(place):
                ready_folder(Path(place), "checkpoints", "give another with --checkpoints FOLDER")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn where the disk has less space than the checkpoints will need."""
        if not trainer.is_global_zero:
            return
        size = sum(part.numel() * part.element_size() for part in pl_module.parameters())
        for callback in trainer.checkpoint_callbacks:
            place = getattr(callback, "dirpath", None)
            if place is not None and "://" not in str(place):
                # best.ckpt and last.ckpt, and the one that is being written.
                needed = 3 * COPIES * size
                warn_of_space(Path(place), needed, "give another with --checkpoints FOLDER")
