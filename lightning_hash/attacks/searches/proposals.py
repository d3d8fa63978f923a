"""Searches that propose one change, ask once, and accept it or not."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_hash.attacks.attack import Answer
from lightning_hash.attacks.budget import LInf
from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.reached import Reached
from lightning_hash.attacks.rules import Search


class Proposal(NamedTuple):
    """A change of some values of each query.

    Attributes:
        view: of the parameter, whose first dimension is the batch.
        places: an index into it, whose first dimension is the batch.
        values: ``(B, ...)``, what these are to be; broadcasts.
    """

    view: Tensor
    places: tuple[slice | Tensor, ...]
    values: Tensor


class Proposals(Search):
    """Base of searches in the L-infinity ball that ask once an iteration.

    The first question is about the start, the search's own or one that is given. What is not worse
    by its loss is accepted: what an oracle shows may be whole numbers, among which most proposals
    are ties, and a search that keeps the old one stands still.
    """

    @property
    def stays_inside(self) -> bool:
        """Whether a step leaves what projecting would not change: it has been projected."""
        return True

    def prepare(self, perturbation: Perturbation, queries: Queries, iterations: int) -> None:
        """Take what is changed.

        Raises:
            ValueError: if the budget is no L-infinity ball.
        """
        if not isinstance(perturbation.budget, LInf):
            msg = (
                f"step: {type(self).__name__} proposes corners of an L-infinity ball, the budget "
                f"is {type(perturbation.budget).__name__}; give LInf or another step"
            )
            raise ValueError(msg)
        super().prepare(perturbation, queries, iterations)

    @abstractmethod
    def start(self, delta: Tensor) -> None:
        """Set ``delta`` ``(B, ...)`` to where the search begins, in place."""

    def start_from(self, delta: Tensor) -> None:
        """Note what :meth:`propose` needs of a start that is given, ``delta`` ``(B, ...)``."""

    @abstractmethod
    def propose(self, delta: Tensor, number: int) -> Proposal:
        """Say what is to change, without changing it.

        Args:
            delta: what was accepted so far, ``(B, ...)``.
            number: of the proposal, from 0.
        """

    def rejected(self, delta: Tensor, rows: Tensor, number: int) -> None:
        """Take back what :meth:`propose` noted; ``delta`` itself is taken back already.

        Args:
            delta: the parameter.
            rows: bool ``(B,)``, the queries whose proposal was not accepted.
            number: of the proposal.
        """

    def search(self, closure: Callable[..., Answer]) -> Answer:
        """Propose, ask, accept; see :meth:`Search.search`."""
        (delta,) = self.param_groups[0]["params"]
        state: dict[str, Any] = self.state[delta]
        if not state:
            if self.start_is_given:
                self.start_from(delta)
            else:
                self.start(delta)
            self.perturbation.project(self.queries.inputs)
            answer = closure()
            state |= {"asked": 1, **Reached.of(answer)._asdict()}
            return answer
        number = state["asked"] - 1
        view, places, values = self.propose(delta, number)
        # These places alone: three passes over all values would cost a tenth of a small victim's.
        before = view[places].clone()
        view[places] = values
        self.perturbation.project(self.queries.inputs)
        answer = closure()
        state["asked"] += 1
        accepted = answer.losses <= state["losses"]
        view[places] = torch.where(per_row(accepted, before), view[places], before)
        self.rejected(delta, ~accepted, number)
        best = Reached.of(answer).where(accepted, Reached(state["success"], state["losses"]))
        state |= best._asdict()
        return best.said(answer)
