"""Progress bars of passes over data, and of attacks, whose unit is the iteration."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import Progress

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.progress import make_bar, shows_bars
from lightning_hash.utils.volume import Volume, volume

REFRESH_SECONDS = 0.25


class PassProgress(ProgressBar):
    """Show the batches of a pass over data, encoded or scored, with the time that is left.

    Nothing is shown where stderr is no terminal.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None

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

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch that is encoded."""
        self._count(trainer, "encoding", batch_idx, trainer.num_predict_batches[dataloader_idx])

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch that is scored."""
        self._count(trainer, "scoring", batch_idx, trainer.num_test_batches[dataloader_idx])

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
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

    def _count(self, trainer: pl.Trainer, what: str, number: int, total: int | float) -> None:
        if number == 0:
            self._close()  # that of the loader before
            self._open(trainer, what, total, unit="batches")
        if self._bar is not None:
            self._bar.update(self._task, completed=number + 1)

    def _open(
        self,
        trainer: pl.Trainer,
        what: str,
        total: int | float | None,
        *,
        unit: str,
        more: str = "",
        completed: int = 0,
    ) -> None:
        """Open a bar, if anybody sees it."""
        if self._enabled and trainer.is_global_zero and shows_bars():
            self._bar = make_bar(unit=unit, more=more)
            fields: dict[str, Any] = {more: ""} if more else {}
            self._task = self._bar.add_task(
                visible(what), total=total, completed=completed, **fields
            )
            self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class IterationProgress(PassProgress):
    """Show the iterations of an attack with mean loss and Hamming distance, and its passes.

    The distance is that to the clean code or, of targeted attacks, to the goal.

    Values are read from the device at most four times a second. Where stderr is no terminal, a line
    is printed at every tenth of the attack instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if isinstance(pl_module, AttackModule):
            self._open(
                trainer, pl_module.attack_name, trainer.max_epochs, unit="iterations",
                more="values", completed=trainer.current_epoch,
            )  # fmt: skip

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refresh, if it is time."""
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        if self._bar is None:
            tenth = max(1, total // 10)
            due = (done % tenth == 0 or done == total) and trainer.is_global_zero
            due = due and self._enabled and volume() is not Volume.QUIET
            if due and isinstance(pl_module, AttackModule):
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

    def _values(self, module: pl.LightningModule) -> str:
        if not isinstance(module, AttackModule):
            return ""
        values = module.tally.here()
        moved = f", Hamming {values['hamming']:.1f}" if "hamming" in values else ""
        return f"loss {values['loss']:.4f}{moved}"
