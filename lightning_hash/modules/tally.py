"""What the iterations of an attack have come to so far."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks import Answer, Queries, Rule
from lightning_hash.utils.distributed import gather_objects, sum_over_processes


class Tally:
    """The answers of the last iteration, by local batch.

    Args:
        codes_are_seen: whether success is a Hamming distance between codes.
    """

    def __init__(self, *, codes_are_seen: bool = True) -> None:
        self.names = ("loss", "hamming") if codes_are_seen else ("loss",)
        self._answers: dict[int, tuple[Tensor, Answer]] = {}

    def add(self, number: int, index: Tensor, answer: Answer) -> None:
        """Take the answer about a batch of items ``(B,)``."""
        self._answers[number] = index, answer

    def losses(self, number: int) -> tuple[Tensor, Tensor]:
        """Return index and losses ``(B,)`` of a batch."""
        index, answer = self._answers[number]
        return index, answer.losses

    def here(self) -> dict[str, float]:
        """Return mean loss of this process's queries, and mean Hamming distance to the goal."""
        return self._means(self._sums())

    def everywhere(self) -> dict[str, float]:
        """Return the same of the queries of all processes, which call it together."""
        return self._means(sum_over_processes(self._sums()))

    def _sums(self) -> Tensor:
        answers = [answer for _, answer in self._answers.values()]
        losses = torch.cat([answer.losses for answer in answers]).double()
        moved = torch.cat([answer.success for answer in answers]).double().abs()
        return torch.stack([losses.sum(), moved.sum(), losses.new_tensor(len(losses))])

    def _means(self, sums: Tensor) -> dict[str, float]:
        *totals, count = sums.tolist()
        return {n: total / max(count, 1) for n, total in zip(self.names, totals, strict=False)}


def mean_asked(asked: Tensor) -> float:
    """Return the mean number of questions ``(Q,)`` over the queries of all processes."""
    sums = torch.stack([asked.sum(), asked.new_tensor(len(asked))])
    total, count = sum_over_processes(sums).tolist()
    return float(total / count)


def counts_of(rule: Optimizer, batches: Sequence[Queries], *, stops: bool) -> dict[str, Any]:
    """Return the mean number of questions, where these are counted, and the queries finished.

    Args:
        rule: any of the batches' rules.
        batches: those of this process; all processes call it together.
        stops: whether queries are stepped no more once they are finished.
    """
    found: dict[str, Any] = {}
    asked = torch.cat([queries.asked for queries in batches])
    if isinstance(rule, Rule) and rule.counts:
        found["queries"] = mean_asked(asked)
    if stops:
        done = torch.cat([queries.done for queries in batches])
        found["n_finished"] = int(sum_over_processes(done.sum()))
        if "queries" in found and found["n_finished"]:
            found["queries_finished"] = mean_asked(asked[done])
    return found


def questions_of(rule: Optimizer, batches: Sequence[Queries]) -> dict[int, int]:
    """Return the number of questions about each query of all processes, where these are counted.

    All processes call it together.

    Args:
        rule: any of the batches' rules.
        batches: those of this process.

    Returns:
        By the queries' own indices; empty where no question is counted.
    """
    if not (isinstance(rule, Rule) and rule.counts):
        return {}
    local = [
        (number, int(count))
        for each in batches
        for number, count in zip(each.numbers, each.asked, strict=True)
    ]
    return dict(sorted(pair for part in gather_objects(local) for pair in part))
