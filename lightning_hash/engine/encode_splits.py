"""Codes of whole splits, by any number of processes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.split_data import SplitData
from lightning_hash.modules.encoder import Encoder, join, made_with
from lightning_hash.modules.trainer_check import check_pass_trainer
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.victim import Victim


def encode_splits(
    trainer: pl.Trainer, victim: Victim, datamodule: HashDataModule, splits: Sequence[str]
) -> dict[str, CodeSet]:
    """Encode some splits.

    Args:
        trainer: runs the passes.
        victim: makes the codes.
        datamodule: the data.
        splits: their names.

    Returns:
        The codes by split, whole on every process.

    Raises:
        ValueError: if there is no such split, it is empty, a logit is not finite, or not all of
            its items were passed.
    """
    check_pass_trainer(trainer, "predict")
    data = SplitData(datamodule, splits)
    encoder = Encoder(victim)
    with borrowed(victim.network):
        trainer.predict(encoder, datamodule=data, return_predictions=False, weights_only=True)
    parts = gather_objects([encoder.predicted(number) for number in range(len(splits))])
    found = {}
    for number, split in enumerate(splits):
        joined = join([batch for part in parts for batch in part[number]], split)
        items: Any = datamodule.dataset(split)
        if len(joined) != len(items):
            msg = f"{split}: {len(joined)} of {len(items)} items were passed; encode it whole"
            raise ValueError(msg)
        made = made_with(victim, datamodule, split, trainer)
        if datamodule.relevance != HashDataModule.relevance:
            made["relevance"] = datamodule.relevance
        found[split] = dataclasses.replace(joined, paths=datamodule.paths_of(split), made_with=made)
    return found
