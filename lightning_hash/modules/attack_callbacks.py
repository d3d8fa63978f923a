"""What stands around the iterations of an attack: scores, logging, and a watch for NaN."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lightning_hash.utils.distributed import any_process, gather_objects


class Milestones(Callback):
    """Score an attack before some of its iterations.

    Args:
        iterations: which.
        score: takes the score of all processes together: an iteration to values by name.
    """

    def __init__(
        self, iterations: Collection[int], score: Callable[[int], dict[str, float]]
    ) -> None:
        self.iterations, self.score = iterations, score
        self._values: dict[str, float] = {}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take the score; on_train_epoch_start may be left out after a resumption."""
        if batch_idx == 0 and trainer.current_epoch in self.iterations:
            self._values = self.score(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        log_equal(pl_module, {f"attack/{k}": v for k, v in self._values.items()})
        self._values = {}


class IterationLog(Callback):
    """Log mean loss, Hamming distance and alpha, as often as the Trainer logs.

    Args:
        values: takes them of all processes together.
    """

    def __init__(self, values: Callable[[], dict[str, float]]) -> None:
        self.values = values

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log, if it is time."""
        if is_due(trainer):
            log_equal(pl_module, {f"attack/{name}": v for name, v in self.values().items()})


class WholeIterations(Callback):
    """Let whoever stops an attack stop it between two iterations: all queries have as many."""

    def __init__(self) -> None:
        self._asked = False

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Put the stop off to the last batch, where all processes agree on it."""
        self._asked |= trainer.should_stop
        last = batch_idx + 1 >= trainer.num_training_batches
        trainer.should_stop = last and any_process(self._asked)


class FiniteWatch(Callback):
    """Stop, and save, where the loss of a query is not finite.

    It looks as often as is logged, and before the attack is scored.

    Args:
        losses: index and losses ``(B,)`` of a local batch in the last iteration.
        repair: sets perturbations that are not finite to 0, before they are saved.
        milestones: iterations before which the attack is scored.
    """

    def __init__(
        self,
        losses: Callable[[int], tuple[Tensor, Tensor]],
        repair: Callable[[], None],
        milestones: Collection[int] = (),
    ) -> None:
        self.losses, self.repair, self.milestones = losses, repair, milestones
        self._seen: list[Tensor] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note losses that are not finite, without a wait for the device."""
        index, losses = self.losses(batch_idx)
        bad = torch.where(torch.isfinite(losses), -1, trainer.current_epoch)
        self._seen.append(torch.stack([index, bad]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look.

        Raises:
            ValueError: naming the iteration and the queries, on every process.
        """
        if is_due(trainer) or trainer.current_epoch + 1 in self.milestones:
            self._look(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the iterations since the last time, where the attack was stopped."""
        if any_process(bool(self._seen)):
            self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        local = torch.cat(self._seen, dim=1).cpu()
        self._seen = []
        index, since = torch.cat(gather_objects(local), dim=1)
        bad = since >= 0
        if not bad.any():
            return
        self.repair()
        saved, folder = "", trainer.log_dir
        if folder is not None and trainer.loggers:  # else it is the working directory
            path = Path(folder) / "checkpoints" / "not_finite.ckpt"
            trainer.save_checkpoint(path)
            saved = f"; the perturbations of the others are saved in {path}"
        msg = (
            f"the loss is not finite since iteration {int(since[bad].min())} for queries "
            f"{index[bad].unique().tolist()}{saved}; leave these queries out or lower the step"
        )
        raise ValueError(msg)


def is_due(trainer: pl.Trainer) -> bool:
    """Return whether the iteration that ends is logged: every few, and the last."""
    every = getattr(trainer, "log_every_n_steps", 0)
    iteration = trainer.current_epoch
    return iteration + 1 == trainer.max_epochs or bool(every and iteration % every == 0)


def log_equal(
    module: pl.LightningModule, values: dict[str, float], step: int | None = None
) -> None:
    """Log values that are the same on every process: there is nothing to average.

    Args:
        module: under its trainer, in a hook that may log.
        values: by name.
        step: the iteration; that of the Trainer by default.
    """
    at = module.current_epoch if step is None else step
    if values:
        module.log_dict({**values, "step": float(at)}, sync_dist=True, rank_zero_only=True)
