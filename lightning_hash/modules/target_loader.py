"""The targets of queries, chosen as they are loaded."""

from collections.abc import Sequence

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_hash.attacks import Queries, TargetChoice, Targets
from lightning_hash.codes.code_set import CodeSet, plain_code_set
from lightning_hash.data.base import OPEN_SET
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.databases import Databases, TargetDatabase
from lightning_hash.utils.distributed import any_process


class TargetLoader:
    """Makes batches of items, each with its target.

    Args:
        databases: whose items vote for targets; ``None`` gives none.
        choice: how targets are chosen.
        targeted: whether an attack needs them: their lack is then an error, otherwise a warning.
        labelled: whether targets are of labels; if not, none is chosen.
    """

    def __init__(
        self,
        databases: Databases | None,
        choice: TargetChoice,
        *,
        targeted: bool,
        labelled: bool = True,
    ) -> None:
        self.databases, self.choice, self.targeted = databases, choice, targeted
        self.labelled = labelled
        self._one: dict[torch.device, Targets] = {}  # that of all items, where they are

    def queries(
        self,
        inputs: Tensor,
        labels: Tensor,
        index: Tensor,
        *lengths: Tensor,
        with_targets: bool = True,
    ) -> Queries:
        """Make a batch of items ``(B, ...)``, as a loader gives them.

        Args:
            inputs: ``(B, ...)`` in [0, 1].
            labels: ``(B, C)`` of 0/1.
            index: ``(B,)`` int64.
            lengths: nothing, or the frames ``(B,)`` of each clip.
            with_targets: whether to choose targets.

        Raises:
            ValueError: if a targeted attack has no target for one of them.
        """
        targets = self._targets(labels, index) if with_targets else None
        length = lengths[0] if lengths else None
        return Queries(inputs, labels, index, length, targets, self.targeted)

    def load(self, data: QueryData) -> list[Queries]:
        """Load this process's batches of queries."""
        return [self.queries(*data.load_batch(number)) for number in data.local_batches]

    def _targets(self, labels: Tensor, index: Tensor) -> Targets | None:
        if self.databases is None or not self.labelled:
            return None
        own, (split, voters) = self.databases.query_labels(labels), self.databases.targets
        candidates = {"among": "query set"} if split == "query" else {}
        if candidates and not self.targeted:
            return None
        if self.choice.one_for_all:
            return self._one_for_all(own, index, voters, **candidates)
        try:
            return self.choice(own, index, voters.codes, voters.labels, voters.index, **candidates)
        except ValueError as error:
            if self.targeted or self.choice.file is not None:
                raise
            rank_zero_warn(f"t-MAP is not measured: {error}")
            return None

    def _one_for_all(
        self, labels: Tensor, index: Tensor, voters: CodeSet, **candidates: str
    ) -> Targets:
        """Return the target of all items for each of these; found once, as nothing changes it."""
        if index.device not in self._one:
            found = self.choice(
                labels[:1].new_zeros(1, labels.shape[1]), index.new_zeros(1), voters.codes,
                voters.labels, voters.index, **candidates,
            )  # fmt: skip
            parts = {name: value.to(index.device) for name, value in vars(found).items()}
            self._one[index.device] = Targets(**parts)
        each = vars(self._one[index.device]).items()
        return Targets(**{name: row.expand(len(index), -1) for name, row in each})


def have_targets(batches: Sequence[Queries]) -> bool:
    """Return whether every query of every process has a target."""
    return not any_process(any(queries.targets is None for queries in batches))


def check_targets(data: QueryData, choice: TargetChoice, target: TargetDatabase) -> None:
    """Choose targets by the labels alone, before anything is encoded.

    Args:
        data: the queries, set up.
        choice: how targets are chosen.
        target: what t-MAP ranks.

    Raises:
        ValueError: if a query has none; says what fits.
    """
    source, sets, candidates = data.source, [], data.split == "database"
    splits = ("database",) if target == "database" else ("database", OPEN_SET)
    for split in (*splits, "query") if candidates else splits:
        labels = getattr(source.dataset(split), "labels", None)
        if labels is None or labels.shape[1] == 0:
            return  # what a look at every item would tell comes later
        sets.append(plain_code_set(torch.ones(len(labels), 1), torch.as_tensor(labels)))
    asking = sets.pop() if candidates else None
    open_set = sets[1] if len(sets) > 1 else None
    databases = Databases(sets[0], open_set, target, queries=asking)
    loader = TargetLoader(databases, choice, targeted=True)
    rows = torch.tensor(data.queries.indices)
    loader.queries(torch.zeros(len(rows), 1), source.labels_of(data.split)[rows], rows)
