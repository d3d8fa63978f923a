"""Checkpoints of an attack."""

import time
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities import rank_zero_warn

from lightning_hash.engine.signals import StopRequest
from lightning_hash.utils.distributed import any_process
from lightning_hash.utils.whole_file import reason_of

SECONDS = 60.0


class AttackCheckpoint(Checkpoint):
    """Save an attack once a minute, at its end, and when a signal asks it to stop.

    The file is ``checkpoints/last.ckpt`` in the run folder. Where it cannot be written the attack
    goes on; run_attack then ends with an error. After SIGTERM or Ctrl-C, and on SLURM after
    the signal that announces the end of the job, the iteration is finished, the attack is saved,
    SLURM is asked to requeue the job where Lightning's environment says so, and the program ends
    with the status 128 + signal.

    Args:
        every: iterations between two checkpoints; ``None`` for a minute, which costs a fast attack
            no more than a slow one.
        remedy: how an attack goes on that was stopped, for the message.

    Attributes:
        failed: what went wrong with the last checkpoint that was tried, if anything.

    Raises:
        ValueError: if ``every`` is below 1.
    """

    def __init__(self, every: int | None = None, remedy: str | None = None) -> None:
        if every is not None and every < 1:
            msg = f"checkpoint_every must be at least 1, got {every}"
            raise ValueError(msg)
        self.every, self.remedy = every, remedy
        self.failed: str | None = None
        self._stop = StopRequest()
        self._path: Path | None = None
        self._saved_at = 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the place of the file."""
        folder = trainer.log_dir  # all processes ask for it together
        self._path = None if folder is None else Path(folder) / "checkpoints" / "last.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals."""
        self._stop.listen(trainer)
        self._saved_at = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if it is time; stop, if that was asked for."""
        done = trainer.current_epoch + 1
        stop = self._stop.agreed()
        ends = stop or trainer.should_stop or done == trainer.max_epochs
        if self._is_due(done) or ends:
            self._save(trainer, done)
        if stop:
            self._leave(trainer, done)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave, if that was asked for while the end was saved, and leave the signals alone."""
        if self._stop.agreed():
            self._leave(trainer, trainer.current_epoch)
        self._stop.forget()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the signals alone again."""
        self._stop.forget()

    def _is_due(self, done: int) -> bool:
        """Return whether it is time; all processes ask together, whose clocks differ."""
        if self.every is not None:
            return done % self.every == 0
        return any_process(time.monotonic() - self._saved_at >= SECONDS)

    def _save(self, trainer: pl.Trainer, done: int) -> None:
        if self._path is None:
            return
        try:
            trainer.save_checkpoint(self._path, weights_only=False)
        except OSError as error:
            reason = reason_of(error, self._path.parent)
            self.failed = f"iteration {done} could not be saved in {self._path} ({reason})"
            rank_zero_warn(f"{self.failed}; the attack goes on")
        else:
            self.failed = None
        self._saved_at = time.monotonic()

    def _leave(self, trainer: pl.Trainer, done: int) -> None:
        saved = self._path is not None and self.failed is None
        remedy = self.remedy or f"go on with --ckpt_path {self._path}" if saved else ""
        self._stop.leave(trainer, f"after iteration {done}", remedy)
