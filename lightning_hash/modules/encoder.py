"""Codes of a whole data set, by the Trainer's predict loop."""

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_hash.models.victim import Victim


@dataclass(frozen=True)
class Encoding:
    """What the victim makes of one split.

    Attributes:
        logits: ``(N, K)`` floating, H(x).
        labels: ``(N, C)`` uint8 of 0/1.
        index: ``(N,)`` int64, each item's own index.
    """

    logits: Tensor
    labels: Tensor
    index: Tensor


class Encoder(pl.LightningModule):
    """Run a frozen victim over batches ``(inputs, labels, index)`` in the predict loop.

    Args:
        victim: the frozen hash model.
    """

    def __init__(self, victim: Victim) -> None:
        super().__init__()
        self.network: nn.Module = victim.network

    def predict_step(
        self,
        batch: tuple[Tensor, Tensor, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(logits (B, K), labels (B, C), index (B,))``."""
        inputs, labels, index = batch
        return self.network(inputs), labels, index


def join(batches: list[tuple[Tensor, Tensor, Tensor]], split: str) -> Encoding:
    """Put the batches of one loader together.

    Args:
        batches: what :meth:`Encoder.predict_step` returned.
        split: name of the split, for the messages.

    Returns:
        The split's encoding, ordered by index, each index once.

    Raises:
        ValueError: if there is no item, or a logit is not finite.
    """
    if not batches:
        msg = f"{split}: the split is empty, at least one item is needed"
        raise ValueError(msg)
    logits, labels, index = (torch.cat(list(part)) for part in zip(*batches, strict=True))
    if logits.dim() != 2:
        msg = f"victim: must return logits of shape (B, K), got {tuple(logits.shape)} for {split}"
        raise ValueError(msg)
    bad = index[~torch.isfinite(logits).all(dim=1)]
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
    return Encoding(logits=logits[first], labels=labels[first].to(torch.uint8), index=unique)
