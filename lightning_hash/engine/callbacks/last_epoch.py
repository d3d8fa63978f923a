"""The checkpoint from which a training goes on."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_hash.engine.stops import out_of_time
from lightning_hash.utils.distributed import any_process


class LastEpoch(Checkpoint):
    """Save every epoch that is finished, whatever is monitored, and validate the last one.

    The weights with which a training ends are validated where no validation has looked at them, and
    before they are saved: the best epoch may be the last, and a training that is killed here goes
    on to the same end. Half an epoch is saved only where the training ends with it, such as at
    ``max_steps``; where time ran out, the epoch before stays.

    Args:
        folder: where ``last.ckpt`` goes.

    Attributes:
        path: the file.
        saved: whether this run has written it.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.saved = folder / "last.ckpt", False
        self._validated = -1  # the step at which the last validation looked

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which weights have been validated."""
        if not trainer.sanity_checking:
            self._validated = trainer.global_step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate, if the training ends here, and save."""
        if getattr(trainer, "fast_dev_run", False):
            return
        ends = _ends(trainer)
        if not trainer.is_last_batch and (not ends or any_process(out_of_time(trainer))):
            return
        if ends and trainer.enable_validation and self._validated != trainer.global_step:
            _validate(trainer)
        trainer.save_checkpoint(self.path, weights_only=False)
        self.saved = True


def _ends(trainer: pl.Trainer) -> bool:
    """Return whether the epoch that ends is the last one of the training."""
    done, steps = trainer.current_epoch + 1, trainer.global_step
    if done == trainer.max_epochs or steps == trainer.max_steps:
        return True
    enough = done >= (trainer.min_epochs or 0) and steps >= (trainer.min_steps or 0)
    return trainer.should_stop and enough


def _validate(trainer: pl.Trainer) -> None:
    """Validate as Lightning does at the end of an epoch, of which the training epoch knows none."""
    connector = trainer._logger_connector
    first = connector._first_loop_iter
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True
    connector._first_loop_iter = first
    connector.epoch_end_reached()
