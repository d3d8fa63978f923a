"""What stands around a closure: memory that runs out, queries that are finished."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks.attack import Answer, Closure
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import ALL, Queries, Rows
from lightning_hash.utils.memory import AtATime

# Times that a mask of a GPU is seen before its first copy is read.
LAG = 2


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
    """Ask about and step only the queries of a batch that still have something to flip.

    Args:
        finished: ``(rows) -> bool (n,)``, whether the rows that were asked about last had nothing
            left to flip.
        queries: the batch, whose ``done`` is kept.
    """

    def __init__(self, finished: Callable[[Rows], Tensor], queries: Queries) -> None:
        self.finished, self.queries = finished, queries
        self._last: Answer | None = None
        self._host = HostMask(queries.done)

    def around(self, closure: Closure) -> Closure:
        """Wrap a closure: without rows it asks about the unfinished ones."""

        def ask(rows: Rows = ALL) -> Answer:
            if isinstance(rows, Tensor):
                return closure(rows)
            done = self.queries.done
            if self._last is None:  # the first time, and after a resumption
                places = torch.arange(len(done), device=done.device)
            else:
                places = self._host.unset()
            answer = closure(places)
            done[places] |= self.finished(places)
            self._host.see(done)
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


class HostMask:
    """What the host knows of a mask on a device, without waiting for the device.

    On a GPU that is the mask as it was a few times before, whose copy has long arrived. Places are
    only ever set, so that some are taken too often and none too seldom.

    Args:
        mask: bool ``(B,)``.
    """

    def __init__(self, mask: Tensor) -> None:
        self._arriving: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        self._places = torch.arange(len(mask), device=mask.device)

    def see(self, mask: Tensor) -> None:
        """Begin to copy the mask as it is now."""
        if mask.device.type != "cuda":
            self._places = torch.nonzero(~mask).flatten()
            return
        if len(self._arriving) == LAG:
            self._arrive(mask.device)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arriving.append((mask.to("cpu", non_blocking=True), event))
        event.record()

    def unset(self) -> Tensor:
        """Return the places ``(n,)`` that are not known to be set, on the mask's device."""
        return self._places

    def _arrive(self, device: torch.device) -> None:
        mask, event = self._arriving.popleft()
        event.synchronize()
        places = torch.nonzero(~mask).flatten()
        if len(places) < len(self._places):
            self._places = places.pin_memory().to(device, non_blocking=True)


def join(answers: Sequence[Answer]) -> Answer:
    """Put the answers about parts of a batch one behind the other."""
    columns = zip(*(vars(answer).values() for answer in answers), strict=True)
    return Answer(*(torch.cat(column) for column in columns))
