"""What stands around a closure: memory that runs out, queries that are finished."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_hash.attacks.attack import Answer, Closure
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import ALL, Queries, Rows

OUT_OF_MEMORY = torch.OutOfMemoryError


class Parts:
    """Ask about all queries at once, or in parts of half the size whenever memory runs out.

    Losses of queries are independent, so parts change no gradient but for rounding.

    Attributes:
        size: queries that are asked about at a time, once memory ran out.
    """

    def __init__(self) -> None:
        self.size: int | None = None

    def around(self, closure: Closure, queries: Queries, perturbation: Perturbation) -> Closure:
        """Wrap a closure.

        Args:
            closure: asks about rows of a batch.
            queries: the batch.
            perturbation: whose gradients the parts add up to.

        Returns:
            The closure in parts; raises ``torch.OutOfMemoryError`` if memory does not hold one
            query.
        """
        parameters = list(perturbation.parameters())

        def ask(rows: Rows = ALL) -> Answer:
            places = torch.arange(len(queries.index), device=queries.index.device)[rows]
            while True:
                before = queries.asked.clone()
                try:
                    if self.size is None or len(places) <= self.size:
                        return closure(rows)
                    return _in_parts(closure, torch.split(places, self.size), parameters)
                except OUT_OF_MEMORY:
                    queries.asked.copy_(before)
                    self._halve(min(self.size or len(places), len(places)))

        return ask

    def _halve(self, size: int) -> None:
        """Halve the parts.

        Called while the error is handled, so that one query that does not fit raises it again.
        """
        if size <= 1:
            raise
        self.size = -(-size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rank_zero_warn(
            f"{size} queries do not fit into the device's memory: going on with {self.size} at a "
            "time; a smaller batch_size avoids this"
        )


def _in_parts(
    closure: Closure, parts: Sequence[Tensor], parameters: Sequence[torch.nn.Parameter]
) -> Answer:
    answers, sums = [], [torch.zeros_like(parameter) for parameter in parameters]
    for part in parts:
        answers.append(closure(part))
        if torch.is_grad_enabled():
            for total, parameter in zip(sums, parameters, strict=True):
                total += torch.zeros_like(total) if parameter.grad is None else parameter.grad
    if torch.is_grad_enabled():
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total
    return join(answers)


class Unfinished:
    """Ask about and step only the queries of a batch that still have something to flip.

    Args:
        finished: ``(rows) -> bool (n,)``, whether the rows that were asked about last had nothing
            left to flip.
        queries: the batch, whose ``done`` is kept.
    """

    def __init__(self, finished: Callable[[Rows], Tensor], queries: Queries) -> None:
        self.finished, self.queries = finished, queries
        self._last: Answer | None = None

    def around(self, closure: Closure) -> Closure:
        """Wrap a closure: without rows it asks about the unfinished ones."""

        def ask(rows: Rows = ALL) -> Answer:
            if isinstance(rows, Tensor):
                return closure(rows)
            done = self.queries.done
            asked = torch.ones_like(done) if self._last is None else ~done  # all after a resumption
            places = torch.nonzero(asked).flatten()
            answer = closure(places)
            done[places] |= self.finished(places)
            if self._last is None:
                self._last = answer
            else:
                for name, values in vars(answer).items():
                    getattr(self._last, name)[places] = values
            return self._last

        return ask

    def step(self, perturbation: Perturbation, iterate: Callable[[], Any]) -> Any:
        """Run an iteration; parameters of finished queries stay as they were.

        Args:
            perturbation: one per query.
            iterate: the iteration.
        """
        parameters = list(perturbation.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        answer = iterate()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                done = self.queries.done.view(-1, *[1] * (old.dim() - 1))
                parameter.copy_(torch.where(done, old, parameter))
        return answer


def join(answers: Sequence[Answer]) -> Answer:
    """Put the answers about parts of a batch one behind the other."""
    columns = zip(*(vars(answer).values() for answer in answers), strict=True)
    return Answer(*(torch.cat(column) for column in columns))
