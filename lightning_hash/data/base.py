"""What every data set of this project offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

# Of clips of several lengths, the number of frames stands last.
Item = tuple[Tensor, Tensor, int] | tuple[Tensor, Tensor, int, int]
SPLITS, OPEN_SET = ("train", "query", "database"), "open_set"


class HashDataModule(pl.LightningDataModule, ABC):
    """Base of all data: a training, a query and a database set.

    Every item is ``(input float32 in [0, 1], labels uint8 (C,) of 0/1, index int)``; the index is
    the item's place in its own set. Clips are ``(T, 3, H, W)``, all of one T; where they have
    several lengths, zeros stand behind their ends and the item's last entry is its number of
    frames. Validation and test take two loaders, the queries and the database, in this order.

    Args:
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of splits, crops and the order of training.

    Attributes:
        name: name of the data set in tables.
        class_names: one name per label column, set by ``setup``.
        train_set: set by ``setup``.
        query_set: set by ``setup``.
        database_set: set by ``setup``.
        train_transform: applied to the inputs of training batches on the device, where set.
        n_leaked: queries that are in the database, where known.
        skipped: messages of the items left out because they could not be read, by split.
        cached: data sets that stand for splits in training and validation, by the split's name.
        open_set: a second database, of classes that no training item has; ``None`` without.
        open_class_names: one name per label column of the open set, whose labels are its own.

    Raises:
        ValueError: if an argument is out of its range.
    """

    name: str
    class_names: list[str]
    train_set: Dataset[Item]
    query_set: Dataset[Item]
    database_set: Dataset[Item]
    train_transform: Callable[[Tensor], Tensor] | None = None
    n_leaked: int | None = None
    open_set: Dataset[Item] | None = None
    open_class_names: Sequence[str] = ()

    def __init__(
        self,
        batch_size: int = 24,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 2),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                msg = f"{name} must be at least {least}, got {value}"
                raise ValueError(msg)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers, self.seed = num_workers, seed
        self.skipped: dict[str, list[str]] = {}
        self.cached: Mapping[str, Dataset[Item]] = {}

    @property
    def num_classes(self) -> int:
        """Width C of the labels."""
        return len(self.class_names)

    @property
    def n_skipped(self) -> int:
        """Items of all splits that were left out."""
        return sum(len(messages) for messages in self.skipped.values())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, after ``setup``; ``(3, H, W)`` for images."""
        return tuple(self.train_set[0][0].shape)

    @abstractmethod
    def fingerprints(self) -> dict[str, str]:
        """Return a sha256 over what defines each split, by its name."""

    def input_fingerprints(self, split: str) -> dict[str, str]:
        """Say by name what else decides a split's inputs, such as the transform."""
        return {"inputs": f"{type(self).__qualname__} {self.input_shape}"}

    def dataset(self, split: str) -> Dataset[Item]:
        """Return the data set of ``train``, ``query``, ``database`` or ``open_set``.

        Raises:
            ValueError: if there is no such split.
        """
        found: Dataset[Item] | None = None
        if split in (*SPLITS, OPEN_SET):
            found = self.open_set if split == OPEN_SET else getattr(self, f"{split}_set")
        if found is None:
            msg = f"split must be one of {', '.join(self.splits)}, got {split!r}"
            raise ValueError(msg)
        return found

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits there are."""
        return SPLITS if self.open_set is None else (*SPLITS, OPEN_SET)

    def labels_of(self, split: str) -> Tensor:
        """Return the labels of a split, uint8 ``(N, C)``."""
        items: Any = self.dataset(split)
        if hasattr(items, "labels"):
            return torch.as_tensor(items.labels)
        return torch.stack([torch.as_tensor(items[i][1]) for i in range(len(items))])

    def paths_of(self, split: str) -> tuple[str, ...]:
        """Return the path of each item of a split, where there are paths."""
        return ()

    def train_dataloader(self) -> DataLoader[Item]:
        """Return this process's share of the training set, in an order that seed and epoch decide.

        So a training that goes on from a checkpoint sees the order that it would have seen.
        """
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        items = self.cached.get("train", self.train_set)
        sampler: DistributedSampler[Item] = DistributedSampler(
            items, num_replicas=world, rank=rank, shuffle=True, seed=self.seed
        )
        # A last batch of one item has no pairs, and no batch statistics.
        single = len(sampler) % self.batch_size == 1
        # Its own generator: an iterator draws its workers' seed, from the global one by default.
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            items,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=single,
            generator=generator,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def split_loader(
        self, split: str, items: Dataset[Item] | None = None, pin_memory: bool = False
    ) -> DataLoader[Item]:
        """Return the loader of a split in its own order.

        Args:
            split: its name.
            items: what stands for its data set, such as the same images unscaled.
            pin_memory: hand out batches in pinned memory.

        Raises:
            ValueError: if there is no such split.
        """
        return DataLoader(
            self.dataset(split) if items is None else items,
            batch_size=self.eval_batch_size,
            num_workers=self.num_workers,
            pin_memory=pin_memory,
        )

    def val_dataloader(self) -> list[DataLoader[Item]]:
        """Return the loaders of the queries and the database."""
        return [self.split_loader(split, self.cached.get(split)) for split in ("query", "database")]

    def test_dataloader(self) -> list[DataLoader[Item]]:
        """Return the loaders of the queries and the database."""
        return self.val_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Apply ``train_transform`` to training batches, on the device."""
        if self.train_transform is None or self.trainer is None or not self.trainer.training:
            return batch
        inputs, *rest = batch
        return self.train_transform(inputs), *rest
