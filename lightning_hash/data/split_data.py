"""Some splits of a data set, without gradient."""

from collections.abc import Sequence

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from lightning_hash.data.base import HashDataModule, Item


class SplitData(pl.LightningDataModule):
    """A loader for each of some splits, for prediction and test.

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
        return [self.source.split_loader(split) for split in self.splits]

    def test_dataloader(self) -> list[DataLoader[Item]]:
        """Return the splits' loaders."""
        return self.predict_dataloader()
