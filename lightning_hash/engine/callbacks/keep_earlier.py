"""What an earlier training of the same name has left."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.utils.versions import take_version

KEPT = ("best.ckpt", "last.ckpt")


class KeepEarlier(Callback):
    """Keep the checkpoints of an earlier training, before this one's first takes their place.

    They go to ``version_N`` in their folder. A training that goes on from a checkpoint in the
    folder moves nothing.

    Args:
        folder: the checkpoints' folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._looked = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look anew in a further training."""
        self._looked = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before the best epoch is saved."""
        if not trainer.sanity_checking:
            self.look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before an epoch is saved that was not validated."""
        self.look(trainer)

    def look(self, trainer: pl.Trainer) -> None:
        """Move what is there, once, before the first checkpoint of this training is saved."""
        if self._looked or not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        self._looked = True
        found = [self.folder / name for name in KEPT if (self.folder / name).is_file()]
        resumed = trainer.ckpt_path
        if resumed and Path(resumed).resolve().parent == self.folder.resolve():
            return
        if not found:
            return
        place = take_version(self.folder)
        for path in found:
            path.rename(place / path.name)
        rank_zero_info(
            f"{self.folder}: the checkpoints of an earlier training of this name are kept in "
            f"{place}; --ckpt_path would have gone on from them"
        )
