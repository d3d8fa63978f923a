"""The codes of one split, and what they were made with."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_hash.functional.checks import check_codes, check_labels


@dataclass(frozen=True)
class CodeSet:
    """What a hash model makes of a split of N items.

    Attributes:
        codes: int8 ``(N, K)`` of -1/+1.
        labels: uint8 ``(N, C)`` of 0/1.
        index: int64 ``(N,)``, each item's own index.
        paths: path of each item, where the data have paths.
        made_with: what the codes depend on, by name: victim_sha256, list_sha256, transform, ...,
            and relevance where that is not a shared label; empty where unknown.
        foreign: name of the file, where the codes are another program's.
        read_as: what was done to its values, where they were not codes already.

    Raises:
        ValueError: if a value is wrong, or there are not as many of each.
    """

    codes: Tensor
    labels: Tensor
    index: Tensor
    paths: tuple[str, ...] = ()
    made_with: dict[str, str] = field(default_factory=dict)
    foreign: str | None = None
    read_as: str | None = None

    def __post_init__(self) -> None:
        check_codes("codes", self.codes)
        check_labels("labels", self.labels)
        sizes = {len(self.codes), len(self.labels), len(self.index), len(self.paths or self.codes)}
        if len(sizes) > 1:
            msg = (
                f"codes, labels, index and paths must be as many, got {len(self.codes)}, "
                f"{len(self.labels)}, {len(self.index)} and {len(self.paths)}"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def bits(self) -> int:
        """Code length K."""
        return self.codes.shape[1]

    def check_made_with(self, wanted: dict[str, str], source: str) -> None:
        """Refuse codes that were made with something else.

        Args:
            wanted: what they must have been made with.
            source: where they come from, for the message.

        Raises:
            ValueError: naming what differs.
        """
        different = [
            f"{name} is {_shown(self.made_with.get(name))}, this run's {_shown(value)}"
            for name, value in wanted.items()
            if self.made_with.get(name) != value
        ]
        if different:
            msg = (
                f"codes {source} were made with something else: {'; '.join(different)}. Make them "
                "anew with: python -m lightning_hash encode"
            )
            raise ValueError(msg)


def plain_code_set(codes: Tensor, labels: Tensor) -> CodeSet:
    """Make a code set of tensors, indexed by row.

    Args:
        codes: ``(N, K)`` of -1/+1, any real dtype.
        labels: ``(N, C)`` of 0/1.

    Returns:
        The set.
    """
    check_codes("codes", codes)
    return CodeSet(codes.to(torch.int8), labels.to(torch.uint8), torch.arange(len(codes)))


def _shown(value: str | None) -> str:
    if value is None:
        return "unknown"
    return f"{value[:12]}..." if len(value) == 64 and value.isalnum() else value
