"""Searches that propose one change, ask once, and accept it or not."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks.attack import Answer
from lightning_hash.attacks.budget import LInf
from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.reached import Reached
from lightning_hash.attacks.rules import Search


class Proposals(Search):
    """Base of searches in the L-infinity ball that ask once an iteration.

    The first question is about the start, the search's own or one that is given. What is not worse
    by its loss is accepted: what an oracle shows may be whole numbers, among which most proposals
    are ties, and a search that keeps the old one stands still.
    """

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
    def propose(self, delta: Tensor, number: int) -> None:
        """Change ``delta`` ``(B, ...)`` in place.

        Args:
            delta: what was accepted so far.
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
        before, first = delta.clone(), not state
        if first:
            state["asked"] = 0
            if self.start_is_given:
                self.start_from(delta)
            else:
                self.start(delta)
        else:
            self.propose(delta, state["asked"] - 1)
        self.perturbation.project(self.queries.inputs)
        answer = closure()
        state["asked"] += 1
        if first:
            state |= Reached.of(answer)._asdict()
            return answer
        accepted = answer.losses <= state["losses"]
        delta.copy_(torch.where(per_row(accepted, delta), delta, before))
        self.rejected(delta, ~accepted, state["asked"] - 2)
        best = Reached.of(answer).where(accepted, Reached(state["success"], state["losses"]))
        state |= best._asdict()
        return best.said(answer)
