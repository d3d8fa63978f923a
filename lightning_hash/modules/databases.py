"""What the queries of an attack are ranked against, and what votes for their targets."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from lightning_hash.attacks.recipe import Recipe
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import OPEN_SET, HashDataModule

TargetDatabase = Literal["auto", "database", "open_set", "both"]


def choose_target_database(wanted: TargetDatabase, source: HashDataModule) -> TargetDatabase:
    """Say what ``"auto"`` means for some data.

    Args:
        wanted: what the user asked for.
        source: the data, set up.

    Returns:
        ``"database"``, ``"open_set"`` or ``"both"``.

    Raises:
        ValueError: if an open set is asked for and there is none.
    """
    if wanted == "auto":
        return "database" if source.open_set is None else "open_set"
    if wanted != "database" and source.open_set is None:
        msg = f"target_database is {wanted!r}, but {source.name} has no open set; give open_set"
        raise ValueError(msg)
    return wanted


@dataclass(frozen=True)
class Databases:
    """The codes that an attack knows.

    Attributes:
        database: what MAP ranks.
        open_set: items of classes that the victim never saw (DHTA 4.5), with labels of their own.
        target: what t-MAP ranks; the anchors come from the open set where that is part of it.
        train: the training split's codes, where an objective needs them (CgAT, SAAT).
        queries: the query set's codes, where candidates are attacked, items of the database: these
            queries retrieve them, and targets are labels of theirs.
    """

    database: CodeSet
    open_set: CodeSet | None
    target: TargetDatabase
    train: CodeSet | None = None
    queries: CodeSet | None = None

    @property
    def targets(self) -> tuple[str, CodeSet]:
        """The split that targets come from, and its items, which vote for their anchor codes."""
        if self.queries is not None:
            return "query", self.queries
        return ("database" if self.open_set is None else OPEN_SET), self.voters

    @property
    def voters(self) -> CodeSet:
        """The items that vote for targets."""
        return self.database if self.open_set is None else self.open_set

    @property
    def ranked(self) -> CodeSet:
        """The items that t-MAP ranks; those of the open set come behind the database's."""
        if self.open_set is None or self.target == "open_set":
            return self.voters
        none = torch.zeros(len(self.database), self.open_set.labels.shape[1], dtype=torch.uint8)
        return CodeSet(
            torch.cat([self.database.codes, self.open_set.codes]),
            torch.cat([none, self.open_set.labels]),
            torch.cat([self.database.index, self.open_set.index + self._offset]),
        )

    def ranked_items(self, source: HashDataModule) -> Any:
        """Return the data set that the index of :attr:`ranked` counts."""
        if self.open_set is None:
            return source.database_set
        if self.target == "open_set":
            return source.open_set
        return ConcatDataset([source.database_set, source.dataset("open_set")])

    def query_labels(self, labels: Tensor) -> Tensor:
        """Return the labels of queries in the columns of the voters: none of the open set's."""
        if self.open_set is None:
            return labels
        return labels.new_zeros(len(labels), self.open_set.labels.shape[1])

    @property
    def _offset(self) -> int:
        return int(self.database.index.max()) + 1


def open_oracle(
    recipe: Recipe, databases: Databases | None, device: torch.device, bits: int | None
) -> None:
    """Give the oracle of an attack, where it has one, what it retrieves from.

    Args:
        recipe: the parts of the attack.
        databases: what MAP ranks, and t-MAP where the attack is targeted.
        device: where questions are answered.
        bits: K, where known.

    Raises:
        ValueError: if it retrieves more items than there are, or queries are stopped at a distance
            that no code has.
    """
    if recipe.stop_at is not None and bits is not None and recipe.stop_at > bits:
        msg = f"stop_at must be a Hamming distance of codes of {bits} bits, got {recipe.stop_at}"
        raise ValueError(msg)
    if recipe.oracle is None:
        return
    codes = None
    if databases is not None:
        codes = (databases.ranked if recipe.reference.targeted else databases.database).codes
    recipe.oracle.open(codes, device)
