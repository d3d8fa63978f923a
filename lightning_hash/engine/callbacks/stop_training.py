"""A training that a signal asks to stop."""

import signal
import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lightning_hash.engine.callbacks.stop_request import StopRequest


class StopTraining(Callback):
    """End a training with the status 128 + signal after SIGTERM or Ctrl-C.

    All processes leave behind the same batch. The checkpoint of the last validated epoch is what
    there is to go on from: a training repeats from the beginning of an epoch only. The signal by
    which SLURM announces the end of a job is left to Lightning, which saves and requeues.
    """

    def __init__(self) -> None:
        self._stop = StopRequest(announced=False)

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
        if not self._stop.agreed():
            return
        signum = self._stop.received or signal.SIGTERM
        if trainer.is_global_zero:
            text = (
                f"stopped by {signal.Signals(signum).name} in epoch {trainer.current_epoch + 1}; "
                "go on from last.ckpt, if there is one, with --ckpt_path"
            )
            print(text, file=sys.stderr)
        raise SystemExit(128 + signum)
