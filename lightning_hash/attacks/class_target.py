"""One class as the target of all queries."""

from typing import Any, cast

import torch
from torch import Tensor

from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.targets import TargetChoice, Targets
from lightning_hash.functional import anchor_code


class ClassTarget(TargetChoice):
    """The same class for all: its label is the target, items that have it make the anchor sets.

    These are drawn as :class:`TargetChoice` draws them, among all items with this label, whatever
    else they have.

    Args:
        label: number of the class, from 0: its column in the labels.
        n_t: items in an anchor set.
        seed: seed of the draws.

    Raises:
        ValueError: if ``label`` is negative or ``n_t`` below 1.
    """

    def __init__(self, label: int, n_t: int = 9, seed: int = 0) -> None:
        super().__init__(n_t, seed=seed)
        if label < 0:
            msg = f"label must be the number of a class, from 0, got {label}"
            raise ValueError(msg)
        self.label = label

    @property
    def one_for_all(self) -> bool:
        """Whether the anchor sets are the same, too: each item has its own."""
        return False

    def __call__(
        self,
        query_labels: Tensor,
        query_index: Tensor,
        database_codes: Tensor,
        database_labels: Tensor,
        database_index: Tensor,
        among: str = "database",
    ) -> Targets:
        """Choose the targets; see :meth:`TargetChoice.__call__`.

        Raises:
            ValueError: if fewer than ``n_t`` items have the label.
        """
        label = cast(int, self.label)
        order = torch.argsort(database_index)
        codes, labels = database_codes[order].cpu(), database_labels[order].cpu()
        index, classes = database_index[order].cpu(), labels.shape[1]
        has = labels[:, label] > 0 if label < classes else torch.zeros(0)
        members = torch.nonzero(has).flatten()
        if len(members) < self.n_t:
            counts = labels.long().sum(dim=0).tolist() if classes else []
            enough = [number for number, count in enumerate(counts) if count >= self.n_t]
            msg = (
                f"label {label}: {len(members)} items of the {among} have it, n_t is "
                f"{self.n_t}; give one of the labels that as many have "
                f"({', '.join(map(str, enough[:20])) or 'none'}), or lower n_t"
            )
            raise ValueError(msg)
        target = torch.zeros(classes, dtype=torch.uint8)
        target[label] = 1
        drawn: list[Any] = []
        for query in query_index.tolist():
            shuffled = torch.randperm(
                len(members), generator=query_generator(f"{self.seed}/{query}")
            )
            drawn.append(members[shuffled[: self.n_t]])
        if not drawn:
            empty = torch.empty(0, self.n_t, dtype=torch.int64)
            return Targets(target.expand(0, -1), empty, codes[:0])
        return Targets(
            labels=target.expand(len(drawn), -1).clone(),
            anchor_index=torch.stack([index[items] for items in drawn]),
            anchor_codes=torch.stack([anchor_code(codes[items]) for items in drawn]),
        )
