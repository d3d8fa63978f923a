"""A training that a signal asks to stop."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lightning_hash.engine.signals import StopRequest


class StopTraining(Callback):
    """End a training with the status 128 + signal after SIGTERM, Ctrl-C or SLURM's announcement.

    All processes leave behind the same batch. The checkpoint of the last finished epoch is what
    there is to go on from: a training repeats from the beginning of an epoch only.
    """

    def __init__(self) -> None:
        self._stop = StopRequest()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals."""
        self._stop.listen(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Leave, if that was asked for."""
        self._leave(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **options: Any) -> None:
        """Leave, if that was asked for."""
        if not trainer.sanity_checking:
            self._leave(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave, if that was asked for, and leave the signals alone again."""
        self._leave(trainer)
        self._stop.forget()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the signals alone again."""
        self._stop.forget()

    def _leave(self, trainer: pl.Trainer) -> None:
        if self._stop.agreed():
            where = f"in epoch {trainer.current_epoch + 1}"
            self._stop.leave(trainer, where, "go on from the epoch before with --ckpt_path last")
