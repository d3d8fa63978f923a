"""Lightning's progress bar, with the loss of a training."""

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

REFRESH_SECONDS = 0.25


class TrainingProgress(RichProgressBar):
    """Show the last loss; it is read from the device at most four times a second.

    Values that are logged with ``prog_bar`` are read at every step, and the host waits for each.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._next, self._loss = 0.0, ""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what Lightning shows, and the loss."""
        shown = super().get_metrics(trainer, pl_module)
        now, loss = time.monotonic(), trainer.callback_metrics.get("train/loss")
        if loss is not None and now >= self._next:
            self._next, self._loss = now + REFRESH_SECONDS, f"{float(loss):.3f}"
        return {**shown, "train/loss": self._loss} if self._loss else shown
