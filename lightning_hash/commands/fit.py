"""``python -m lightning_hash fit``: train a hash model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from pytorch_lightning.utilities import rank_zero_warn

from lightning_hash.commands.run_place import merge_callbacks, place_of_run
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.callbacks import Places, StopTraining, SummaryTable
from lightning_hash.modules.frame_encoder import cache_frames
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.victims.checkpoints import GO_ON, read_checkpoint

FOUND = re.compile(r"best|last|hpc|registry.*|.*://.*")  # by Lightning


def run_fit(
    trainer: pl.Trainer,
    model: HashModule,
    datamodule: HashDataModule,
    ckpt_path: str | None = None,
) -> None:
    """Train a hash model, and test its best checkpoint where the trainer kept one.

    Where the model caches the features of frames, they are computed first and trained on.

    Args:
        trainer: runs the training.
        model: the model.
        datamodule: the data.
        ckpt_path: checkpoint to go on from.

    Raises:
        ValueError: if the features of frames cannot be kept, see
            :func:`lightning_hash.modules.frame_encoder.cache_frames`, or the checkpoint is of no
            training, or of one with other settings.
    """
    if ckpt_path is not None and not FOUND.fullmatch(str(ckpt_path)):
        maker = "python -m lightning_hash fit"
        read_checkpoint(Path(ckpt_path), "victim", maker, prefix="ckpt_path: ", needs=GO_ON)
    datamodule.cached = cache_frames(model, datamodule, trainer)
    try:
        trainer.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    finally:
        datamodule.cached = {}
    if getattr(trainer.checkpoint_callback, "best_model_path", ""):
        trainer.test(
            model, datamodule=datamodule, ckpt_path="best", verbose=False, weights_only=True
        )
    elif trainer.checkpoint_callback is not None and not getattr(trainer, "fast_dev_run", False):
        rank_zero_warn(
            "the training has no best checkpoint, since none of its epochs was validated; a "
            "best.ckpt of this name, where there is one, is of another training"
        )


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return what the trainer gets beside the user's options."""
    given = options["trainer"]
    checkpoint = ModelCheckpoint(
        dirpath=Path(options["checkpoints"]) / options["name"], filename="best",
        monitor="val/map", mode="max", save_last=True, enable_version_counter=False,
    )  # fmt: skip
    own: list[Callback] = [
        Places(), RichProgressBar(), SummaryTable(), StopTraining(), checkpoint,
    ]  # fmt: skip
    if given["logger"] is not False:
        own.append(LearningRateMonitor("step"))
    # A training shorter than the default interval is validated at its end.
    every, epochs = given["check_val_every_n_epoch"], given["max_epochs"] or 0
    return {
        **place_of_run(given, options["runs"], f"fit/{options['name']}"),
        "callbacks": merge_callbacks(given, own),
        "check_val_every_n_epoch": min(every, epochs) if every and epochs > 0 else every,
    }
