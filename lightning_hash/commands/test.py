"""``python -m lightning_hash test``: score clean queries on a trained hash model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_hash.commands.run_place import merge_callbacks, place_of_run
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.split_data import SplitData
from lightning_hash.engine.callbacks import Board, PassProgress, Places, SummaryTable
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.victims.borrow import exact_arithmetic
from lightning_hash.victims.checkpoints import read_checkpoint


def run_test(
    trainer: pl.Trainer,
    model: HashModule,
    datamodule: HashDataModule,
    ckpt_path: str | None = None,
    codes: str | None = None,
) -> dict[str, float]:
    """Score the queries of a data set.

    Args:
        trainer: runs the passes.
        model: the hash model.
        datamodule: the queries and the database.
        ckpt_path: checkpoint whose weights are loaded; ``None`` takes the model's own.
        codes: the database's codes: what ``encode`` wrote, or the codes of another system; by
            default the database is encoded here.

    Returns:
        The values by name.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the checkpoint is none of a hash model, or the codes were made with something
            else than this model and these data.
    """
    if ckpt_path is not None:
        read_checkpoint(
            Path(ckpt_path), "victim", "python -m lightning_hash fit", prefix="ckpt_path: "
        )
    model.database_file = None if codes is None else Path(codes)
    data = datamodule if codes is None else SplitData(datamodule, ("query",))
    try:
        with exact_arithmetic():
            loaders = trainer.test(
                model, datamodule=data, ckpt_path=ckpt_path, verbose=False, weights_only=True
            )
    finally:
        model.database_file = None
    return {name: value for values in loaders for name, value in values.items()}


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return what the trainer gets beside the user's options."""
    return {
        **place_of_run(options["trainer"], options["runs"], f"fit/{options['name']}"),
        "callbacks": merge_callbacks(
            options["trainer"], [Places(), PassProgress(), Board(), SummaryTable()]
        ),
    }
