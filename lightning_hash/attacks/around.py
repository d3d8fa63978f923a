"""What stands around a closure: memory that runs out, queries that are finished."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks.attack import Answer, Closure
from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import ALL, Queries, Rows
from lightning_hash.utils.memory import AtATime

# Times that a mask of a GPU is seen before its first copy is read.
LAG = 2  # pragma: no mutate


class Parts:
    """Ask about all queries at once, or in parts of half the size whenever memory runs out.

    Losses of queries are independent, so parts change no gradient but for rounding.

    Attributes:
        at_a_time: how many queries are asked about at a time.
    """

    def __init__(self) -> None:
        self.at_a_time = AtATime()

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
            before = queries.asked.clone()

            def work(size: int) -> Answer:
                try:
                    if size == len(places):
                        return closure(rows)
                    return _in_parts(closure, torch.split(places, size), parameters)
                except RuntimeError:
                    queries.asked.copy_(before)
                    raise

            return self.at_a_time.run(len(places), work)

        return ask


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
    """Ask about and step only the queries of a batch that are not finished.

    Args:
        finished: ``(rows, answer) -> bool (n,)``, which of the rows that an answer is about are
            finished.
        queries: the batch, whose ``done`` is kept.
        as_left: whether the answer that a step returns is looked at, since it is about where the
            step leaves the perturbation; otherwise those on its way are, and what was stepped
            behind them is taken back.
    """

    def __init__(
        self, finished: Callable[[Rows, Answer], Tensor], queries: Queries, *, as_left: bool = False
    ) -> None:
        self.finished, self.queries, self.as_left = finished, queries, as_left
        self._host: HostMask | None = None

    def around(self, closure: Closure) -> Closure:
        """Wrap a closure: without rows it asks about the unfinished ones."""

        def ask(rows: Rows = ALL) -> Answer:
            if isinstance(rows, Tensor):
                return closure(rows)
            queries, done = self.queries, self.queries.done
            if self._host is None:  # here, since a resumption knows some
                self._host = HostMask(done)
            places = self._host.unset()
            answer = closure(places)
            if not self.as_left:
                done[places] |= self.finished(places, answer)
                self._host.see(done)
            said = torch.stack([answer.losses, answer.success.to(answer.losses)], dim=1)
            if queries.said is None:
                queries.said = said.new_zeros(len(done), 2)
            queries.said[places] = said
            losses, success = queries.said.clone().unbind(dim=1)  # a search keeps what it is told
            return Answer(losses, success.to(answer.success), queries.asked.clone())

        return ask

    def step(self, perturbation: Perturbation, iterate: Callable[[], Any]) -> Any:
        """Run an iteration; parameters of finished queries stay as they were.

        Args:
            perturbation: one per query.
            iterate: the iteration.
        """
        parameters, done = list(perturbation.parameters()), self.queries.done
        before = [parameter.detach().clone() for parameter in parameters]
        kept = done.clone() if self.as_left else done
        answer = iterate()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(torch.where(per_row(kept, old), old, parameter))
            if self.as_left:
                done |= self.finished(ALL, answer)
                if self._host is not None:
                    self._host.see(done)
        return answer


class HostMask:
    """What the host knows of a mask on a device, without waiting for the device.

    On a GPU that is the mask as it was a few times before, whose copy has long arrived. Places are
    only ever set, so that some are taken too often and none too seldom.

    Args:
        mask: bool ``(B,)``.
    """

    def __init__(self, mask: Tensor) -> None:
        self._arriving: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        self._places = torch.nonzero(~mask).flatten()

    def see(self, mask: Tensor) -> None:
        """Begin to copy the mask as it is now."""
        if mask.device.type != "cuda":
            self._places = torch.nonzero(~mask).flatten()
            return
        if len(self._arriving) == LAG:
            self._arrive(mask.device)  # pragma: no mutate
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arriving.append((mask.to("cpu", non_blocking=True), event))  # pragma: no mutate
        event.record()  # pragma: no mutate

    def unset(self) -> Tensor:
        """Return the places ``(n,)`` that are not known to be set, on the mask's device."""
        return self._places

    def _arrive(self, device: torch.device) -> None:
        mask, event = self._arriving.popleft()
        event.synchronize()  # pragma: no mutate
        places = torch.nonzero(~mask).flatten()  # pragma: no mutate
        if len(places) < len(self._places):  # pragma: no mutate
            self._places = places.pin_memory().to(device, non_blocking=True)  # pragma: no mutate


def join(answers: Sequence[Answer]) -> Answer:
    """Put the answers about parts of a batch one behind the other."""
    columns = zip(*(vars(answer).values() for answer in answers), strict=True)
    return Answer(*(torch.cat(column) for column in columns))
