"""How perturbations are stepped: torch Optimizers that know what they step.

A rule's state lives in ``self.state[parameter]``, where checkpoints look for it: a tensor whose
first dimension is that of the parameter holds a row per query, anything else all queries share.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.utils.settings import Part


class Rule(Part, Optimizer):
    """Base of step rules and searches of our own.

    Attributes:
        counts: whether the questions to the victim stand in result rows.
        looks_ahead: whether the closure is called elsewhere than where the perturbation is.
        keeps_best: whether :meth:`step` returns the answer about where it leaves the perturbation,
            not about where it found it.
        perturbation: what is stepped, once :meth:`prepare` was called.
        queries: the batch.
        iterations: length of the attack.
    """

    context = frozenset({"params"})
    counts: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False
    keeps_best: ClassVar[bool] = False
    perturbation: Perturbation
    queries: Queries
    iterations: int

    @property
    def stays_inside(self) -> bool:
        """Whether a step leaves what projecting would not change; by default not."""
        return False

    def prepare(self, perturbation: Perturbation, queries: Queries, iterations: int) -> None:
        """Take what a rule may want to know; called before the first iteration that is run.

        Args:
            perturbation: whose parameters are stepped; projects itself onto its budget.
            queries: the batch; its ``index`` is what draws depend on.
            iterations: length of the attack.
        """
        self.perturbation, self.queries, self.iterations = perturbation, queries, iterations

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; each tensor keeps its type; torch would give it the parameter's.

        Args:
            state_dict: of :meth:`state_dict`.
        """
        super().load_state_dict(state_dict)
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for parameter, number in zip(group["params"], saved["params"], strict=True):
                for name, value in state_dict["state"].get(number, {}).items():
                    if isinstance(value, Tensor):
                        self.state[parameter][name] = value.to(parameter.device)


class Search(Rule, ABC):
    """Base of searches: propose, ask, accept, without a gradient.

    :meth:`search` changes the parameters, asks by the closure and keeps what is better. What it
    learns is the :class:`lightning_hash.attacks.Answer` alone; each call counts as one question for
    each row that is asked. Draws are functions of seed, query index and iteration, see
    :func:`lightning_hash.attacks.draws.query_generator`.

    Attributes:
        start_is_given: whether the search begins where the parameters are, and asks about that
            place first, in the place of a start of its own.
    """

    counts = keeps_best = True
    start_is_given = False

    @torch.no_grad()
    def step(self, closure: Callable[..., Any] | None = None) -> Any:
        """Run one iteration of the search."""
        if closure is None:
            msg = f"{type(self).__name__} needs a closure to ask by"
            raise ValueError(msg)
        return self.search(closure)

    @abstractmethod
    def search(self, closure: Callable[..., Any]) -> Any:
        """Change the parameters for the better.

        Args:
            closure: called with nothing for all queries, or with rows; returns their Answer.

        Returns:
            The Answer about all queries as they are left.
        """


def prepare_rule(
    optimizer: Optimizer, perturbation: Perturbation, queries: Queries, iterations: int
) -> None:
    """Tell a rule of ours what it steps; torch.optim's own need no more than the parameters."""
    if isinstance(optimizer, Rule):
        optimizer.prepare(perturbation, queries, iterations)
