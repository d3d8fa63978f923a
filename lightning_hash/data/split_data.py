"""Some splits of a data set, without gradient."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from lightning_hash.data.base import HashDataModule, Item
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.transfer import arrived, travelling


class SplitData(pl.LightningDataModule):
    """A loader for each of some splits, for prediction and test.

    Images of :class:`EightBitImages` travel as uint8 and become float32 in [0, 1] on the device;
    the inputs of other data sets travel as they are. Batches are pinned for CUDA. The loaders have
    the source's ``num_workers``: 0 suits a data set in memory, files to be decoded want as many as
    there are cores that the network leaves free.

    Args:
        source: the data.
        splits: ``"train"``, ``"query"``, ``"database"``, ``"open_set"``.
    """

    def __init__(self, source: HashDataModule, splits: Sequence[str]) -> None:
        super().__init__()
        self.source, self.splits = source, tuple(splits)

    def prepare_data(self) -> None:
        """Prepare the source."""
        self.source.prepare_data()

    def setup(self, stage: str) -> None:
        """Set the source up."""
        self.source.setup(stage)

    def predict_dataloader(self) -> list[DataLoader[Item]]:
        """Return the splits' loaders."""
        return [self._loader(split) for split in self.splits]

    def test_dataloader(self) -> list[DataLoader[Item]]:
        """Return the splits' loaders."""
        return self.predict_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Scale the images of :class:`EightBitImages`, on the device."""
        images = self.source.dataset(self.splits[dataloader_idx])
        if not isinstance(images, EightBitImages):
            return batch
        inputs, *rest = batch
        return arrived(inputs, images, self.trainer), *rest

    def _loader(self, split: str) -> DataLoader[Item]:
        items = travelling(self.source.dataset(split))
        return self.source.split_loader(split, items, trainer=self.trainer)
