"""Relevance without labels: what the clean query retrieves first."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_hash.audits.suite import K
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule, Item
from lightning_hash.functional import hamming_distance


def labels_by_results(codes: Tensor, database: CodeSet, k: int = K) -> Tensor:
    """Label the items that queries retrieve first, a column for each query.

    Args:
        codes: ``(Q, K)`` of -1/+1 of the clean queries.
        database: what they retrieve from.
        k: items that count as relevant; all that are as near as the last of them do too.

    Returns:
        uint8 ``(N, Q)``.
    """
    columns = []
    for code in codes:
        distance = hamming_distance(code[None], database.codes)[0]
        last = distance.kthvalue(min(k, len(distance))).values
        columns.append(distance <= last)
    return torch.stack(columns, dim=1).to(torch.uint8)


class OwnResults(HashDataModule):
    """A data module whose queries' relevant items are their own clean results.

    Query q of the chosen ones has label q, as the items that its clean code retrieves first have.

    Args:
        source: the data, set up; their labels are not looked at.
        chosen: indices of the Q queries.
        database_labels: uint8 ``(N, Q)``, see :func:`labels_by_results`.
    """

    def __init__(
        self, source: HashDataModule, chosen: Sequence[int], database_labels: Tensor
    ) -> None:
        super().__init__(eval_batch_size=source.eval_batch_size, seed=source.seed)
        self.source, self.name, self.interpolation = source, source.name, source.interpolation
        self.class_names = [f"query {index}" for index in chosen]
        items: Any = source.query_set
        labels = torch.zeros(len(items), len(chosen), dtype=torch.uint8)
        labels[list(chosen), torch.arange(len(chosen))] = 1
        query_set: Any = _Labelled(items, labels)
        database_set: Any = _Labelled(source.database_set, database_labels)
        self.query_set, self.database_set = query_set, database_set
        self.n_leaked, self.skipped = source.n_leaked, source.skipped

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.source.input_shape

    def fingerprints(self) -> dict[str, str]:
        """Return those of the source."""
        return self.source.fingerprints()

    def input_fingerprints(self, split: str) -> dict[str, str]:
        """Return those of the source."""
        return self.source.input_fingerprints(split)

    def paths_of(self, split: str) -> tuple[str, ...]:
        """Return those of the source."""
        return self.source.paths_of(split)


class _Labelled(Dataset[Item]):
    """Items with other labels."""

    def __init__(self, items: Any, labels: Tensor) -> None:
        self.items, self.labels = items, labels

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        inputs, _, *rest = self.items[number]
        return (inputs, self.labels[number], *rest)
