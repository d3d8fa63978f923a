"""What an objective compares with, computed once before the first iteration."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_hash.functional import center_code, mainstay_code, majority_code
from lightning_hash.utils.settings import Part

Sight = Literal["logits", "features"]
Voters = Literal["train", "database"]


@dataclass(frozen=True)
class Known:
    """What is known of Q queries before the first iteration.

    Attributes:
        clean_logits: ``(Q, K)`` floating, H(x) of the clean queries.
        anchor_codes: ``(Q, K)`` of -1/+1, the anchor code of each query's target (DHTA Alg. 1), or
            ``None`` where no target was drawn.
        anchor_features: ``(Q, D)``, what the hash layer sees of the items of each anchor set, on
            average; ``None`` unless the reference consists of features.
        clean_features: ``(Q, D)``, what it sees of the clean queries; ``None`` likewise.
        labels: ``(Q, C)`` of 0/1, the queries' own.
        target_labels: ``(Q, C')`` of 0/1, those of the targets, or ``None``.
        database: codes ``(N, K)`` of -1/+1 and labels ``(N, C)`` of the database, or ``None``.
        voters: the same of the items that vote for targets, whose labels have C' columns; the
            database's unless there is an open set.
        train: the same of the training split; ``None`` where it is not encoded.
        index: ``(Q,)`` int64, the queries' own indices, which draws depend on.
        queries: codes and labels of the query set, where candidates are attacked in their place.
    """

    clean_logits: Tensor
    anchor_codes: Tensor | None = None
    anchor_features: Tensor | None = None
    clean_features: Tensor | None = None
    labels: Tensor | None = None
    target_labels: Tensor | None = None
    database: tuple[Tensor, Tensor] | None = None
    voters: tuple[Tensor, Tensor] | None = None
    train: tuple[Tensor, Tensor] | None = None
    index: Tensor | None = None
    queries: tuple[Tensor, Tensor] | None = None

    @property
    def opened(self) -> bool:
        """Whether the voters are an open set, whose labels have columns of their own."""
        if self.voters is None or self.database is None:
            return False
        return self.voters[1] is not self.database[1]


class Reference(Part, ABC):
    """Base of references.

    Attributes:
        targeted: whether it is that of a target, which the attack is to reach.
        has_label: whether a target has a label; if not, none is drawn and there is no t-MAP.
        sees: whether it consists of ``"logits"`` or codes, or of ``"features"``.
        is_code: whether it is one code for each query, which success is then measured by; otherwise
            the anchor code is the goal of a targeted attack.
        needs_database: whether it needs the codes and labels of the database.
        needs_train: whether it needs those of the training split.
        needs_queries: whether it needs those of the query set: candidates are then attacked.
        by_bit: whether its second dimension is that of the bits, of which each of several victims
            takes its own.
    """

    targeted: bool = False
    has_label: bool = True
    sees: Sight = "logits"
    is_code: bool = True
    needs_database: bool = False
    needs_train: bool = False
    needs_queries: bool = False
    by_bit: bool = True

    @abstractmethod
    def __call__(self, known: Known) -> Tensor:
        """Compute the reference of each query.

        Args:
            known: what is known of the queries.

        Returns:
            ``(Q, K)``, or ``(Q, D)`` of features, whose rows the objective is given.

        Raises:
            ValueError: if something that it needs is not known.
        """


class CleanLogits(Reference):
    """H(x) of the clean query: F(x) is taken at the alpha of the iteration (HAG Eq. 10)."""

    def __call__(self, known: Known) -> Tensor:
        """Return the clean logits ``(Q, K)``."""
        return known.clean_logits


class AnchorCodes(Reference):
    """The anchor code of each query's target (DHTA Alg. 1)."""

    targeted = True
    needs_database = True

    def __call__(self, known: Known) -> Tensor:
        """Return the anchor codes ``(Q, K)``."""
        if known.anchor_codes is None:
            raise ValueError(_no_target("AnchorCodes"))
        return known.anchor_codes


class AnchorFeatures(Reference):
    """What the hash layer sees of each query's anchor set, on average (DHTA Table 9)."""

    targeted = True
    needs_database = True
    sees, is_code = "features", False

    def __call__(self, known: Known) -> Tensor:
        """Return the features ``(Q, D)``."""
        if known.anchor_features is None:
            raise ValueError(_no_target("AnchorFeatures"))
        return known.anchor_features


class CleanFeatures(Reference):
    """What the hash layer sees of each clean query."""

    sees, is_code = "features", False

    def __call__(self, known: Known) -> Tensor:
        """Return the features ``(Q, D)``."""
        if known.clean_features is None:
            msg = "CleanFeatures needs the features of the clean queries; give a named backbone"
            raise ValueError(msg)
        return known.clean_features


class OfLabel(Reference):
    """Base of references that are made of the items of a label.

    Args:
        targeted: take the target's label, not the query's own.
        voters: whose codes and labels are looked at: those of the ``"database"``, in whose place
            the open set votes for targets that come from it, or those of the ``"train"`` split, as
            in CgAT's, SAAT's and SDHA's public codes.

    Raises:
        ValueError: if ``voters`` is unknown.
    """

    needs_database = True

    def __init__(self, targeted: bool = False, voters: Voters = "database") -> None:
        if voters not in get_args(Voters):
            msg = f"voters must be 'train' or 'database', got {voters!r}"
            raise ValueError(msg)
        self.targeted, self.voters = targeted, voters
        self.needs_train = voters == "train"

    def labels_and_items(self, known: Known) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the labels ``(Q, C)``, and codes ``(N, K)`` and labels ``(N, C)`` of the voters.

        Raises:
            ValueError: if one of them is not known.
        """
        name = type(self).__name__
        labels = known.target_labels if self.targeted else known.labels
        if labels is None:
            msg = f"{name} needs {'a target per query' if self.targeted else 'labels of queries'}"
            raise ValueError(msg)
        items = known.voters if self.targeted else known.database
        if self.needs_train:
            items = known.train
        if items is None:
            what = "training split" if self.needs_train else "database"
            msg = f"{name} needs a {what} of codes and labels"
            raise ValueError(msg)
        return labels.cpu(), (items[0].cpu(), items[1].cpu())


class LabelCodes(OfLabel):
    """A code that stands for a whole label; its negative is returned where it is to be left."""

    @staticmethod
    @abstractmethod
    def code(labels: Tensor, codes: Tensor, database_labels: Tensor) -> Tensor:
        """Return b ``(Q, K)`` of labels ``(Q, C)`` from the codes and labels of N items."""

    def __call__(self, known: Known) -> Tensor:
        """Return b ``(Q, K)`` of the target's labels, or -b of the query's own."""
        labels, items = self.labels_and_items(known)
        # A query's label is one of few: each code is computed once.
        rows, place = torch.unique(labels, dim=0, return_inverse=True)
        codes = self.code(rows, *items)[place].to(known.clean_logits)
        return codes if self.targeted else -codes


class CenterCodes(LabelCodes):
    """The centre code of a label (CgAT, Wang et al., WWW 2023)."""

    code = staticmethod(center_code)


class MajorityCodes(LabelCodes):
    """The bitwise majority of all codes of a label: the anchor code of all that have it."""

    code = staticmethod(majority_code)


class MainstayCodes(LabelCodes):
    """The mainstay code of a label (SAAT, Yuan et al., TIFS 2023)."""

    code = staticmethod(mainstay_code)


class JointReference(Reference):
    """The references of several victims, side by side.

    Args:
        reference: of each victim, on its own bits.
        parts: the bits of each victim in the code.

    Raises:
        ValueError: if the reference consists of features or distances.
    """

    context = frozenset({"parts"})

    def __init__(self, reference: Reference, parts: Sequence[slice]) -> None:
        if reference.sees != "logits" or not reference.by_bit:
            what = "features" if reference.sees != "logits" else "distances"
            msg = f"{type(reference).__name__} consists of {what}: it is for one victim at a time"
            raise ValueError(msg)
        self.reference, self.parts = reference, tuple(parts)
        self.targeted, self.needs_database = reference.targeted, reference.needs_database
        self.needs_train, self.is_code = reference.needs_train, reference.is_code

    def settings(self) -> dict[str, object]:
        """Return the settings of each victim's reference."""
        return self.reference.settings()

    def __call__(self, known: Known) -> Tensor:
        """Return ``(Q, K_1 + K_2 + ...)``."""
        return torch.cat([self.reference(_part(known, bits)) for bits in self.parts], dim=1)


def _part(known: Known, bits: slice) -> Known:
    """Return what is known as far as one victim's bits are concerned."""

    def cut(items: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
        return None if items is None else (items[0][:, bits], items[1])

    return dataclasses.replace(
        known,
        clean_logits=known.clean_logits[:, bits],
        anchor_codes=None if known.anchor_codes is None else known.anchor_codes[:, bits],
        database=cut(known.database),
        voters=cut(known.voters),
        train=cut(known.train),
    )


def _no_target(name: str) -> str:
    return (
        f"{name} needs a target per query and the items of its anchor set, but none could be "
        "drawn; give a database in which at least two label vectors occur more than n_t times, or "
        "a target file"
    )
