"""Lightning's progress bar, with the loss of a training."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from lightning_hash.utils.volume import Volume, volume

REFRESH_SECONDS = 0.25


class TrainingProgress(RichProgressBar):
    """Show the last loss; it is read from the device at most four times a second.

    Values that are logged with ``prog_bar`` are read at every step, and the host waits for each.
    Where stdout is no terminal, a line is printed at every validation instead.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._next, self._loss = 0.0, ""
        self._lines = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Draw no bar where nobody sees it move."""
        super().setup(trainer, pl_module, stage)
        quiet = volume() is Volume.QUIET
        self._lines = not (sys.stdout.isatty() or quiet) and trainer.is_global_zero
        if quiet or self._lines:
            self.disable()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar of the validation, or print a line."""
        super().on_validation_end(trainer, pl_module)
        if self._lines and not trainer.sanity_checking:
            names = [name for name in ("train/loss", "val/map") if name in trainer.callback_metrics]
            said = [f"{name} {float(trainer.callback_metrics[name]):.4f}" for name in names]
            done = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            print(", ".join([f"fit: {done}", *said]), file=sys.stderr)

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what Lightning shows, and the loss."""
        shown = super().get_metrics(trainer, pl_module)
        now, loss = time.monotonic(), trainer.callback_metrics.get("train/loss")
        if loss is not None and now >= self._next:
            self._next, self._loss = now + REFRESH_SECONDS, f"{float(loss):.3f}"
        return {**shown, "train/loss": self._loss} if self._loss else shown
