"""Codes of a whole data set, by the Trainer's predict loop."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from lightning_hash.codes.code_files import label_path, read_codes
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule, Item
from lightning_hash.functional import sign_code
from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.resolve import DEFAULT_VICTIM, Given, as_victim
from lightning_hash.victims.victim import Victim

Batch = tuple[Tensor, ...]  # as HashModule takes them
Predicted = tuple[Tensor, Tensor, Tensor]


class Encoder(pl.LightningModule):
    """Run a victim over batches ``(inputs, labels, index)`` in the predict loop.

    Clips of several lengths have these behind, as in :class:`HashModule`.

    The results stay on the device until :meth:`predicted` moves those of a whole loader: the
    predict loop itself copies every batch that it returns to the CPU, and waits for the device each
    time; ``return_predictions=False`` keeps it from that.

    Args:
        victim: as in :class:`lightning_hash.modules.AttackModule`.
    """

    def __init__(self, victim: Given = DEFAULT_VICTIM) -> None:
        super().__init__()
        self.victim = as_victim(victim)
        self._batches: dict[int, list[Predicted]] = {}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Predicted:
        """Return ``(codes (B, K) int8, labels (B, C), index (B,))``; 0 is a bit without a sign."""
        inputs, labels, index, *lengths = batch
        # A loader's worker shares a batch as open files, which live as long as its tensors.
        return codes_of(self.victim, inputs, *lengths), labels.clone(), index.clone()

    def on_predict_start(self) -> None:
        """Forget the results of an earlier run."""
        self._batches = defaultdict(list)

    def on_predict_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep a batch's results where they are."""
        self._batches[dataloader_idx].append(outputs)

    def predicted(self, dataloader_idx: int) -> list[Predicted]:
        """Return this process's results of a loader, on the CPU: one for all batches, or none."""
        batches = self._batches.pop(dataloader_idx, [])
        if not batches:
            return []
        codes, labels, index = (torch.cat(part).cpu() for part in zip(*batches, strict=True))
        return [(codes, labels, index)]


def codes_of(network: nn.Module, inputs: Tensor, *lengths: Tensor) -> Tensor:
    """Return the codes of inputs ``(B, ...)``, int8 ``(B, K)``; 0 is a bit without a sign."""
    logits = network(inputs, *lengths)
    return torch.where(torch.isfinite(logits), sign_code(logits), 0).to(torch.int8)


@torch.inference_mode()
def float32_codes(
    victim: Victim, items: Dataset[Item], batch_size: int, device: torch.device
) -> Tensor:
    """Encode items in float32, whatever precision a Trainer has.

    Args:
        victim: as its weights are now; a Trainer of precision ``bf16-true`` shortens them.
        items: a data set with a length.
        batch_size: items per batch.
        device: where to.

    Returns:
        int8 ``(N, K)`` on the CPU.
    """
    rows = list(range(len(items)))  # type: ignore[arg-type]
    codes = []
    with borrowed(victim.network), torch.autocast(device.type, enabled=False):
        victim.to(device)
        for start in range(0, len(rows), batch_size):
            batch = default_collate([items[i] for i in rows[start : start + batch_size]])
            inputs, _, _, *lengths = (part.to(device) for part in batch)
            codes.append(codes_of(victim, inputs, *lengths))
    return torch.cat(codes).cpu()


def flips(found: CodeSet, reference: Tensor, precision: str) -> str:
    """Say how many bits of the first items differ from those of float32.

    Args:
        found: codes made in some precision.
        reference: codes of the items of index 0 to n - 1 in float32, int8 ``(n, K)``.
        precision: its name.
    """
    compared = found.index < len(reference)
    codes = found.codes[compared]
    flipped = int((codes != reference[found.index[compared]]).sum())
    return (
        f"{precision}: {flipped} of {codes.numel()} bits of {len(codes)} items differ from float32"
    )


def join(batches: list[Predicted], split: str) -> CodeSet:
    """Put the batches of one split together.

    Args:
        batches: what :meth:`Encoder.predicted` returned, of all processes.
        split: name of the split, for the messages.

    Returns:
        The split's codes, ordered by index, each index once.

    Raises:
        ValueError: if there is no item, or a logit was not finite.
    """
    if not batches:
        msg = f"{split}: the split is empty, at least one item is needed"
        raise ValueError(msg)
    codes, labels, index = (torch.cat(part) for part in zip(*batches, strict=True))
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
    beside = label_path(path).is_file()
    found = read_codes(path, None if beside else labels, columns=labels.shape[1])
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
