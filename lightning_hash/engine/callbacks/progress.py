"""A progress bar whose unit is the iteration."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.utils.escapes import visible

REFRESH_SECONDS = 0.25


class IterationProgress(ProgressBar):
    """Show the iterations of an attack with mean loss and Hamming distance.

    The distance is that to the clean code or, of targeted attacks, to the goal.

    Values are read from the device at most four times a second. Where stderr is no terminal, a line
    is printed at every tenth of the attack instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None
        self._next = 0.0

    def enable(self) -> None:
        """Show progress."""
        self._enabled = True

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        if self._bar is not None:
            self._bar.console.print(*args, **kwargs)
        else:
            print(*args, **kwargs)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if not (self._enabled and trainer.is_global_zero and isinstance(pl_module, AttackModule)):
            return
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TextColumn("iterations"), TimeRemainingColumn(),
                TextColumn("{task.fields[values]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(
                visible(pl_module.attack_name), total=trainer.max_epochs, values="",
                completed=trainer.current_epoch,
            )  # fmt: skip
            self._bar.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refresh, if it is time."""
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        if self._bar is None:
            tenth = max(1, total // 10)
            due = (done % tenth == 0 or done == total) and trainer.is_global_zero
            if self._enabled and due and isinstance(pl_module, AttackModule):
                name = pl_module.attack_name
                line = f"{name}: iteration {done}/{total}, {self._values(pl_module)}"
                print(visible(line), file=sys.stderr)
            return
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + REFRESH_SECONDS
            self._bar.update(self._task, completed=done, values=self._values(pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        exception: BaseException,
    ) -> None:
        """Close the bar, so that the message stands by itself."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _values(self, module: pl.LightningModule) -> str:
        if not isinstance(module, AttackModule):
            return ""
        values = module.tally.here()
        moved = f", Hamming {values['hamming']:.1f}" if "hamming" in values else ""
        return f"loss {values['loss']:.4f}{moved}"
