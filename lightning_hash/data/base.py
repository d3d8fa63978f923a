"""What every data set of this project offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset, default_collate

from lightning_hash.data.group_labels import SAME_GROUP
from lightning_hash.data.transfer import arrived, is_copied, travelling
from lightning_hash.data.validation import SelectedOn, draw_validation
from lightning_hash.utils.numbers import check_seed

# Of clips of several lengths, the number of frames stands last.
Item = tuple[Tensor, Tensor, int] | tuple[Tensor, Tensor, int, int]
SPLITS, OPEN_SET = ("train", "query", "database"), "open_set"


@dataclass(frozen=True)
class Validation:
    """The rows of the data sets that a fit with a validation of its own takes.

    Attributes:
        queries: of the training set, the queries of the validation.
        train: of the training set, the others.
        database: of the database, all but these queries and the items of their recordings.
    """

    queries: list[int]
    train: list[int]
    database: list[int]


class HashDataModule(pl.LightningDataModule, ABC):
    """Base of all data: a training, a query and a database set.

    Every item is ``(input float32 in [0, 1], labels uint8 (C,) of 0/1, index int)``; the index is
    the item's place in its own set. Clips are ``(T, 3, H, W)``, all of one T; where they have
    several lengths, zeros stand behind their ends and the item's last entry is its number of
    frames. Labels of no column (C = 0) are those of data without labels. Validation and test take
    two loaders, the queries and the database, in this order.

    The test is that of the query set. The validation has queries of its own, drawn from the
    training set: these leave the training and, while validating, the database, with all items of
    their recordings.

    Args:
        batch_size: items per training batch.
        eval_batch_size: items per batch of queries and database.
        num_workers: worker processes of each loader.
        seed: seed of splits, crops and the order of training.
        selected_on: ``"validation"``, or ``"test"``: validate on the test queries, as most papers
            do, so that the best checkpoint is picked on what it is then tested on.
        n_validation: queries of the validation; by default 5 % of the training items, at most 200.

    Attributes:
        name: name of the data set in tables.
        class_names: one name per label column, set by ``setup``.
        train_set: set by ``setup``.
        query_set: set by ``setup``.
        database_set: set by ``setup``.
        train_transform: applied to the inputs of training batches on the device, where set.
        interpolation: how images are resized, where they are.
        n_leaked: queries that are in the database, where known.
        skipped: messages of the items left out because they could not be read, by split.
        cached: data sets that stand for splits in training and validation, by the split's name.
        open_set: a second database, of classes that no training item has; ``None`` without.
        open_class_names: one name per label column of the open set, whose labels are its own.
        relevance: what makes an item relevant to a query, as result rows say it.

    Raises:
        ValueError: if an argument is out of its range.
    """

    name: str
    class_names: list[str]
    train_set: Dataset[Item]
    query_set: Dataset[Item]
    database_set: Dataset[Item]
    train_transform: Callable[[Tensor], Tensor] | None = None
    interpolation: str | None = None
    n_leaked: int | None = None
    open_set: Dataset[Item] | None = None
    open_class_names: Sequence[str] = ()
    relevance: str = "shares a label"

    def __init__(
        self,
        batch_size: int = 24,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        selected_on: SelectedOn = "validation",
        n_validation: int | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 2),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("n_validation", 1 if n_validation is None else n_validation, 1),
        ):
            if value < least:
                msg = f"{name} must be at least {least}, got {value}"
                raise ValueError(msg)
        check_seed("seed", seed)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers, self.seed = num_workers, seed
        if selected_on not in get_args(SelectedOn):
            msg = f"selected_on must be 'validation' or 'test', got {selected_on!r}"
            raise ValueError(msg)
        if selected_on == "test" and n_validation is not None:
            msg = (
                f"n_validation goes with selected_on: validation, got {n_validation} and "
                "selected_on: test, which validates on the test queries"
            )
            raise ValueError(msg)
        self.selected_on, self.n_validation = selected_on, n_validation
        self._validation: Validation | None = None
        self.skipped: dict[str, list[str]] = {}
        self.cached: Mapping[str, Dataset[Item]] = {}

    @property
    def num_classes(self) -> int:
        """Width C of the labels."""
        return len(self.class_names)

    @property
    def has_labels(self) -> bool:
        """Whether there is a label column, as far as is known."""
        return len(getattr(self, "class_names", "?")) > 0

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
        resized = "" if self.interpolation is None else f" {self.interpolation}"
        return {"inputs": f"{type(self).__qualname__} {self.input_shape}{resized}"}

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

    def n_unlabelled(self, split: str) -> int | None:
        """Return how many items of a split have no label; ``None`` if only a look at all tells."""
        labels = getattr(self.dataset(split), "labels", None)
        if labels is None:
            return None
        return int((torch.as_tensor(labels) != 0).any(dim=1).logical_not().sum())

    def paths_of(self, split: str) -> tuple[str, ...]:
        """Return the path of each item of a split, where there are paths."""
        return ()

    def names_of(self, split: str) -> Sequence[Any]:
        """Return what identifies each item of a split among all splits; nothing if unknown."""
        return self.paths_of(split)

    def groups_of(self, split: str) -> Sequence[str] | None:
        """Return the recording of each item of a split, where that is known."""
        return None

    def validation(self) -> Validation:
        """Draw the queries of the validation, once; after ``setup``.

        Raises:
            ValueError: if the training set has too few items.
        """
        if self._validation is None:
            groups = self._leave_together("train")
            labels, names = self.labels_of("train").numpy(), self.names_of("train")
            chosen = draw_validation(labels, self.n_validation, self.seed, groups, names)
            keep = np.ones(len(labels), bool)
            keep[chosen] = False
            ranked = ~self._in_database(chosen.tolist())
            self._validation = Validation(
                chosen.tolist(), np.flatnonzero(keep).tolist(), np.flatnonzero(ranked).tolist()
            )
            drawn = (
                f"validation: {len(chosen)} of {len(labels)} training items are its queries, drawn "
                f"by seed {self.seed}; they leave the training, and {int((~ranked).sum())} items "
                "leave the database while it is ranked for them"
            )
            if self.has_labels:
                rank_zero_info(drawn)
        return self._validation

    def _in_database(self, rows: list[int]) -> Any:
        """Return which items of the database are these training items, or of their recordings."""
        size = len(self.database_set)  # type: ignore[arg-type]
        if self.database_set is self.train_set:
            return np.isin(np.arange(size), rows)
        found = np.zeros(size, bool)
        for train, database in (
            (self.names_of("train"), self.names_of("database")),
            (self._leave_together("train"), self._leave_together("database")),
        ):
            if train and database:
                known = {train[row] for row in rows}
                found |= np.array([name in known for name in database])
        return found

    def _leave_together(self, split: str) -> Sequence[str] | None:
        """Return the recording of each item; of copies the others are what a query must find."""
        return None if self.relevance == SAME_GROUP else self.groups_of(split)

    def train_dataloader(self) -> DataLoader[Item]:
        """Return this process's share of the training set without the validation's queries.

        Its order is a function of seed and epoch, so that a training that goes on from a checkpoint
        sees the order that it would have seen.

        Raises:
            ValueError: if the training set has too few items for a validation.
        """
        items = self.cached.get("train", self.train_set)
        if self.selected_on == "validation":
            items = Subset(items, self.validation().train)
        return self.training_loader(items)

    def training_loader(self, items: Dataset[Item]) -> DataLoader[Item]:
        """Return this process's share of some items, in an order that seed and epoch decide.

        Raises:
            ValueError: if it is less than two items.
        """
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        sampler: DistributedSampler[Item] = DistributedSampler(
            items, num_replicas=world, rank=rank, shuffle=True, seed=self.seed
        )
        # A last batch of one item has no pairs, and no batch statistics.
        if len(sampler) < 2:
            msg = (
                f"train: a training needs at least 2 items in each process, got {len(sampler)} of "
                f"{len(sampler.dataset)}; give more"  # type: ignore[arg-type]
            )
            raise ValueError(msg)
        single = len(sampler) % self.batch_size == 1
        # Its own generator: an iterator draws its workers' seed, from the global one by default.
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            travelling(items) if is_copied(trainer) else items,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=single,
            generator=generator,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=is_copied(trainer),
            collate_fn=collate_of(items),
        )

    def split_loader(
        self, split: str, items: Dataset[Item] | None = None, trainer: pl.Trainer | None = None
    ) -> DataLoader[Item]:
        """Return the loader of a split in its own order.

        Args:
            split: its name.
            items: what stands for its data set, such as the same images unscaled.
            trainer: whose loader it is, where it is not this data module's own.

        Raises:
            ValueError: if there is no such split.
        """
        found = self.dataset(split) if items is None else items
        copied = is_copied(self.trainer if trainer is None else trainer)
        return DataLoader(
            travelling(found) if copied else found,
            batch_size=self.eval_batch_size,
            num_workers=self.num_workers,
            pin_memory=copied,
            collate_fn=collate_of(found),
        )

    def val_dataloader(self) -> list[DataLoader[Item]]:
        """Return the loaders of the validation's queries and of the database without them."""
        if self.selected_on == "test":
            pairs = [(split, self.cached.get(split)) for split in ("query", "database")]
            return [self.split_loader(split, items) for split, items in pairs]
        rows = self.validation()
        queries = Subset(self.cached.get("train", self.train_set), rows.queries)
        database = Subset(self.cached.get("database", self.database_set), rows.database)
        return [self.split_loader("train", queries), self.split_loader("database", database)]

    def test_dataloader(self) -> list[DataLoader[Item]]:
        """Return the loaders of the queries and the database."""
        return [self.split_loader(split) for split in ("query", "database")]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Scale 8-bit images and apply ``train_transform`` to training batches, on the device."""
        inputs, *rest = batch
        if inputs.dtype == torch.uint8:
            inputs = arrived(inputs, self.dataset(self._split(dataloader_idx)), self.trainer)
        if self.train_transform is not None and self.trainer is not None and self.trainer.training:
            inputs = self.train_transform(inputs)
        return inputs, *rest

    def _split(self, dataloader_idx: int) -> str:
        """Return the split of a loader of the stage that is running."""
        trainer: Any = self.trainer
        if trainer.training:
            return "train"
        own = self.selected_on == "validation" and not trainer.testing
        return ("train" if own else "query", "database")[dataloader_idx]


def checked_batch(items: Sequence[Item]) -> list[Any]:
    """Put items together as a batch, and look whether they are what items must be.

    Args:
        items: of a data set.

    Returns:
        Inputs ``(B, ...)``, labels ``(B, C)``, index ``(B,)`` and, of clips, lengths ``(B,)``.

    Raises:
        ValueError: if inputs are not floating, in [0, 1], or labels are not 0 or 1.

    Example:
        >>> checked_batch([(torch.rand(3), torch.tensor([1, 0]), 0)])[1]
        tensor([[1, 0]])
    """
    batch: list[Any] = default_collate(list(items))
    inputs, labels, index, *_ = batch
    inside = torch.ones(len(index), dtype=torch.bool)
    if inputs.numel():
        values = inputs if inputs.is_floating_point() else inputs.double()
        low, high = values.aminmax()
        if not (low >= 0 and high <= 1 and inputs.is_floating_point()):
            low, high = values.flatten(1).aminmax(dim=1)  # an eighth as fast
            inside = (low >= 0) & (high <= 1) & inputs.is_floating_point()
    if not inside.all():
        row = int(torch.argmin(inside.int()))
        msg = (
            f"item {int(index[row])}: an input must be floating, in [0, 1] (8-bit values / 255); "
            f"got {inputs.dtype} from {low[row].item():.4g} to {high[row].item():.4g}"
        )
        raise ValueError(msg)
    if labels.dim() != 2 or ((labels != 0) & (labels != 1)).any():
        msg = (
            "labels must be (C,) of 0 and 1 for each item, a column a class; got "
            f"{labels.dtype} {tuple(labels.shape[1:])} with the values {labels.unique().tolist()}"
        )
        raise ValueError(msg)
    return batch


def collate_of(items: Any) -> Callable[[Sequence[Item]], list[Any]] | None:
    """Return how items become batches: checked, unless their data set vouches for them.

    Args:
        items: a data set; its attribute ``vouched`` says that its inputs need no look: 8-bit images
            that it scales itself, or features.
    """
    while isinstance(items, Subset):
        items = items.dataset
    return None if getattr(items, "vouched", False) else checked_batch
