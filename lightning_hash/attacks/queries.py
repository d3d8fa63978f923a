"""What an attack knows about one batch of its queries."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lightning_hash.attacks.targets import Targets
from lightning_hash.functional import sign_code

Rows = slice | Tensor
ALL = slice(None)


@dataclass(eq=False)
class Queries:
    """B queries under attack, or B training items that a shared perturbation learns on.

    Attributes:
        inputs: ``(B, ...)``, clean, in [0, 1].
        labels: ``(B, C)`` of 0/1.
        index: ``(B,)`` int64, the queries' own indices.
        lengths: ``(B,)`` int64, the frames of each clip, or ``None`` where all inputs are whole.
        targets: the targets, or ``None`` where there are none.
        clean_logits: ``(B, K)``, H(x) of the clean queries.
        clean_codes: ``(B, K)`` of -1/+1, their codes.
        reference: ``(B, ...)``, what the objective compares with.
        goal: ``(B, K)`` of -1/+1, the codes that success is measured by.
        targeted: whether the goal is to be reached, not left.
        goal_list: ``(B, top)`` int64, the database items that the goal retrieves, where an oracle
            answers with what is retrieved.
        asked: ``(B,)`` int64, how often the victim was asked about each query.
        done: bool ``(B,)``, the queries with nothing left to flip, where these are stepped no more.
        said: ``(B, 2)``, loss and success in the last answer about each query, kept where finished
            ones are asked no more.
        sloped: bool ``(B,)``, the queries that a gradient has reached which is not zero throughout.
    """

    inputs: Tensor
    labels: Tensor
    index: Tensor
    lengths: Tensor | None = None
    targets: Targets | None = None
    targeted: bool = False
    clean_logits: Tensor = field(init=False)
    clean_codes: Tensor = field(init=False)
    reference: Tensor = field(init=False)
    goal: Tensor = field(init=False)
    goal_list: Tensor | None = field(init=False, default=None)
    asked: Tensor = field(init=False)
    done: Tensor = field(init=False)
    said: Tensor | None = field(init=False, default=None)
    sloped: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.asked = torch.zeros_like(self.index)
        self.done = torch.zeros_like(self.index, dtype=torch.bool)
        self.sloped = torch.zeros_like(self.done)

    @classmethod
    def untargeted(cls, inputs: Tensor, logits: Tensor) -> "Queries":
        """Make a batch whose codes are to leave their own.

        Args:
            inputs: ``(B, ...)`` in [0, 1].
            logits: ``(B, K)``, the victim's of these.
        """
        index = torch.arange(len(inputs), device=inputs.device)
        queries = cls(inputs, index.new_zeros(len(inputs), 0), index)
        queries.set_clean(logits.detach())
        queries.reference = queries.clean_logits
        return queries

    @classmethod
    def towards(cls, inputs: Tensor, codes: Tensor) -> "Queries":
        """Make a batch whose codes are to become others.

        Args:
            inputs: ``(B, ...)`` in [0, 1].
            codes: ``(B, K)`` of -1/+1, such as anchor codes.
        """
        index = torch.arange(len(inputs), device=inputs.device)
        queries = cls(inputs, index.new_zeros(len(inputs), 0), index, targeted=True)
        queries.reference = queries.goal = codes.to(inputs)
        return queries

    @cached_property
    def numbers(self) -> list[int]:
        """The queries' own indices on the host, which waits for the device once to know them."""
        numbers: list[int] = self.index.tolist()
        return numbers

    def set_clean(self, logits: Tensor) -> None:
        """Take the logits ``(B, K)`` of the clean queries, whose codes are what is to be left."""
        self.clean_logits, self.clean_codes = logits, sign_code(logits)
        if not self.targeted:
            self.goal = self.clean_codes

    def to(self, device: torch.device) -> None:
        """Move what an iteration needs to a device."""
        self.inputs, self.labels = self.inputs.to(device), self.labels.to(device)
        self.index, self.asked = self.index.to(device), self.asked.to(device)
        self.done, self.sloped = self.done.to(device), self.sloped.to(device)
        self.said = None if self.said is None else self.said.to(device)
        self.lengths = None if self.lengths is None else self.lengths.to(device)

    def lengths_of(self, rows: Rows = ALL) -> tuple[Tensor, ...]:
        """Return what a network takes behind the inputs of some rows: nothing, or lengths."""
        return () if self.lengths is None else (self.lengths[rows],)

    def success(self, logits: Tensor, rows: Rows = ALL) -> Tensor:
        """Say how far the attack has come with some rows; larger is better.

        Args:
            logits: ``(n, K)``, H(x') of these rows.
            rows: which they are.

        Returns:
            float ``(n,)``: the Hamming distance to the clean code; of a targeted attack minus that
            to the goal.
        """
        distance = ((logits > 0) != (self.goal[rows] > 0)).sum(dim=1).float()
        return -distance if self.targeted else distance
