"""Codes of a whole data set, by the Trainer's predict loop."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_hash.data.base import HashDataModule
from lightning_hash.data.code_files import label_path, read_codes
from lightning_hash.data.codes import CodeSet
from lightning_hash.functional import sign_code
from lightning_hash.models.any_victim import DEFAULT_VICTIM, as_victim
from lightning_hash.models.frozen import FrozenNetwork
from lightning_hash.models.victim import Victim

Predicted = tuple[Tensor, Tensor, Tensor]


class Encoder(pl.LightningModule):
    """Run a frozen victim over batches ``(inputs, labels, index)`` in the predict loop.

    Args:
        victim: as in :class:`lightning_hash.modules.AttackModule`.
    """

    def __init__(self, victim: Any = DEFAULT_VICTIM) -> None:
        super().__init__()
        self.victim = as_victim(victim)
        self.network = FrozenNetwork(self.victim)

    def predict_step(self, batch: Predicted, batch_idx: int, dataloader_idx: int = 0) -> Predicted:
        """Return ``(codes (B, K) int8, labels (B, C), index (B,))``; 0 is a bit without a sign."""
        inputs, labels, index = batch
        logits = self.network(inputs)
        codes = torch.where(torch.isfinite(logits), sign_code(logits), 0)
        return codes.to(torch.int8), labels, index


def join(batches: list[Predicted], split: str) -> CodeSet:
    """Put the batches of one split together.

    Args:
        batches: what :meth:`Encoder.predict_step` returned, of all processes.
        split: name of the split, for the messages.

    Returns:
        The split's codes, ordered by index, each index once.

    Raises:
        ValueError: if there is no item, or a logit was not finite.
    """
    if not batches:
        msg = f"{split}: the split is empty, at least one item is needed"
        raise ValueError(msg)
    codes, labels, index = (torch.cat(list(part)).cpu() for part in zip(*batches, strict=True))
    bad = index[(codes == 0).any(dim=1)]
    if len(bad):
        msg = (
            f"victim: its logits are not finite for {len(bad)} items of the {split} split, first "
            f"index {int(bad[0])}; look at the weights and at these inputs"
        )
        raise ValueError(msg)
    unique, inverse = torch.unique(index, return_inverse=True)
    first = torch.full((len(unique),), len(index)).scatter_reduce(
        0, inverse, torch.arange(len(index)), "amin"
    )
    return CodeSet(codes[first], labels[first].to(torch.uint8), unique)


def made_with(
    victim: Victim, source: HashDataModule, split: str, trainer: pl.Trainer
) -> dict[str, str]:
    """Say what the codes of a split depend on.

    Args:
        victim: whose codes.
        source: the data, set up.
        split: the split.
        trainer: who encodes, in which precision.

    Returns:
        Values by name, as :meth:`CodeSet.check_made_with` compares them.
    """
    return {
        "victim_sha256": victim.sha256,
        "backbone": victim.backbone,
        "split": split,
        "list_sha256": source.fingerprints()[split],
        **source.input_fingerprints(split),
        "precision": str(trainer.precision),
    }


def database_codes(path: Path, source: HashDataModule, wanted: dict[str, str]) -> CodeSet:
    """Read the codes of a database, and hold them against the data and what they must stem from.

    Args:
        path: a code file; one of others, which does not say what it was made with, must have the
            database's items in their order.
        source: the data, set up.
        wanted: what codes of our own must have been made with.

    Returns:
        The codes, with the data's own labels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it was made with something else, or has other items or labels.
    """
    labels = source.labels_of("database")
    found = read_codes(path, None if label_path(path).is_file() else labels)
    if found.made_with:
        found.check_made_with(wanted, str(path))
    if found.labels.shape != labels.shape:
        msg = (
            f"codes {path}: {found.labels.shape[0]} items with {found.labels.shape[1]} labels, the "
            f"database of {source.name} has {labels.shape[0]} with {labels.shape[1]}"
        )
        raise ValueError(msg)
    different = (found.labels != labels).any(dim=1).nonzero().flatten()
    if len(different):
        msg = (
            f"codes {path}: the labels of {len(different)} items are not those of {source.name}, "
            f"first in row {int(different[0]) + 1}; the items must stand in the database's order"
        )
        raise ValueError(msg)
    return found
