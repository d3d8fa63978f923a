"""What an attack knows about one batch of its queries."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_hash.attacks.targets import Targets
from lightning_hash.functional.frames import per_frame


@dataclass
class QueryBatch:
    """A batch of B queries under attack, beside its inputs and perturbations.

    Attributes:
        index: ``(B,)`` int64, the queries' own indices.
        labels: ``(B, C)`` of 0/1.
        targets: the targets, or ``None`` where there are none.
        lengths: ``(B,)`` int64, the frames of each clip, or ``None`` where all inputs are whole.
        live: bool ``(B, T)``, the frames that may change, or ``None`` where all may.
        known: ``(B, T, D)``, the features of the clean frames, where only the live ones are passed.
        clean_logits: ``(B, K)``, H(x) of the clean queries.
        clean_codes: ``(B, K)`` of -1/+1, their codes.
        reference: what the objective compares with.
        losses: ``(B,)``, the losses of the last iteration.
        logits: ``(B, K)``, H(x') of the last iteration's forward pass.
        bad_since: ``(B,)`` int64, the first iteration whose loss was not finite, or -1.
        finished: ``(B,)`` bool, whether the code had nothing left to flip when it was last looked
            at.
        adversarial_8bit: ``(B, ...)`` uint8, the finished images after rounding.
        codes: ``(B, K)`` of -1/+1, codes of the finished images before rounding.
        codes_8bit: ``(B, K)`` of -1/+1, codes of ``adversarial_8bit``.
    """

    index: Tensor
    labels: Tensor
    targets: Targets | None
    lengths: Tensor | None = None
    live: Tensor | None = None
    known: Tensor | None = None
    clean_logits: Tensor = field(init=False)
    clean_codes: Tensor = field(init=False)
    reference: Tensor = field(init=False)
    losses: Tensor = field(init=False)
    logits: Tensor = field(init=False)
    bad_since: Tensor = field(init=False)
    finished: Tensor = field(init=False)
    adversarial_8bit: Tensor = field(init=False)
    codes: Tensor = field(init=False)
    codes_8bit: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.bad_since = torch.full(self.index.shape, -1)
        self.finished = torch.zeros(self.index.shape, dtype=torch.bool)

    def to(self, device: torch.device) -> None:
        """Move what an iteration needs to a device."""
        self.index, self.labels = self.index.to(device), self.labels.to(device)
        self.bad_since, self.finished = self.bad_since.to(device), self.finished.to(device)
        self.lengths = None if self.lengths is None else self.lengths.to(device)
        self.live = None if self.live is None else self.live.to(device)

    def lengths_of(self, rows: slice | Tensor = slice(None)) -> tuple[Tensor, ...]:
        """Return what a network takes behind the inputs of some rows: nothing, or lengths."""
        return () if self.lengths is None else (self.lengths[rows],)

    def confine(self, values: Tensor, rows: slice | Tensor = slice(None)) -> Tensor:
        """Set the values ``(n, T, ...)`` of some rows to 0 in frames that may not change."""
        return values if self.live is None else values * per_frame(self.live[rows], values)

    def columns(self) -> dict[str, Tensor]:
        """Return the finished queries' tensors by name, B rows each."""
        columns = {
            "index": self.index,
            "labels": self.labels,
            "clean_logits": self.clean_logits,
            "clean_codes": self.clean_codes,
            "codes": self.codes,
            "codes_8bit": self.codes_8bit,
            "adversarial_8bit": self.adversarial_8bit,
        }
        if self.lengths is not None:
            columns["length"] = self.lengths
        if self.targets is not None:
            columns["target_labels"] = self.targets.labels
            columns["anchor_codes"] = self.targets.anchor_codes
            columns["anchor_index"] = self.targets.anchor_index
        return columns

    def unfinished(self, rows: slice) -> Tensor:
        """Return the places ``(n,)`` int64 of those of some rows that are not finished."""
        places = torch.arange(len(self.index), device=self.finished.device)[rows]
        return places[~self.finished[rows]]

    def watch(self, rows: slice | Tensor, losses: Tensor, logits: Tensor, iteration: int) -> None:
        """Keep what an iteration gave, and note losses that are not finite, without a wait.

        Args:
            rows: the queries, n of the batch, as a slice or as their places.
            losses: ``(n,)``, detached.
            logits: ``(n, K)``, detached.
            iteration: its number.
        """
        if len(losses) == len(self.index):
            self.losses, self.logits = losses, logits
        else:
            if len(getattr(self, "losses", ())) != len(self.index):
                self.losses = losses.new_empty(len(self.index))
                self.logits = logits.new_empty(len(self.index), logits.shape[1])
            self.losses[rows], self.logits[rows] = losses, logits
        bad = (self.bad_since[rows] < 0) & ~torch.isfinite(losses)
        self.bad_since[rows] = torch.where(bad, iteration, self.bad_since[rows])
