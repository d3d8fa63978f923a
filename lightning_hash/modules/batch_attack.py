"""An attack on one batch: the idea, with what stands around it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks import Answer, Perturbation, Queries, iterate
from lightning_hash.attacks.around import Parts, Unfinished
from lightning_hash.attacks.attack import Closure
from lightning_hash.attacks.queries import ALL, Rows
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.attacks.schedule import at_rate
from lightning_hash.modules.victim_pass import VictimPass
from lightning_hash.utils.distributed import several_processes


class BatchAttack:
    """Iterations on one batch of queries, or of training items.

    Args:
        queries: the batch, on its device, whose references are known.
        perturbation: what is optimised.
        victim: what the batch is passed through.
        recipe: the parts of the attack.
        parts: splits the batch when memory runs out; the same for all batches.
    """

    def __init__(
        self,
        queries: Queries,
        perturbation: Perturbation,
        victim: VictimPass,
        recipe: Recipe,
        parts: Parts,
    ) -> None:
        self.queries, self.perturbation, self.victim = queries, perturbation, victim
        self.recipe = recipe
        self.objective, self.parts, self.oracle = recipe.objective, parts, recipe.oracle
        self.unfinished: Unfinished | None = None
        self.stop_finished, self.stop_at = recipe.stop_finished, recipe.stop_at
        if recipe.stops:
            self.unfinished = Unfinished(self._done, queries, as_left=recipe.answers_as_left)

    def prepare(self, alpha: float) -> None:
        """Lay the inputs out for the kernels, and let the perturbation look at them.

        Args:
            alpha: slope of the hash activation in the first iteration.
        """
        self.queries.inputs = self.victim.victim.lay_out(self.queries.inputs)

        def gradient(rows: slice) -> Tensor:
            return self.victim.gradient(partial(self.loss, rows=rows, alpha=alpha), rows)

        self.perturbation.prepare(self.queries.inputs, gradient)
        if self.perturbation.passes_live_frames and self.perturbation.live is not None:
            self.victim.pass_only(self.perturbation.live)

    def loss(self, seen: Tensor, rows: Rows, alpha: float) -> Tensor:
        """Return the summed loss of what the objective sees of some rows."""
        losses: Tensor = self.objective(seen, self.queries.reference[rows], alpha)
        return losses.sum()

    def iterate(
        self,
        optimizer: Optimizer,
        iteration: int,
        alpha: float,
        backward: Callable[[Tensor], Any] | None = None,
    ) -> Answer:
        """Run one iteration.

        Args:
            optimizer: over the perturbation's parameters.
            iteration: its number.
            alpha: slope of the hash activation.
            backward: as in :func:`lightning_hash.attacks.iterate`.
        """
        self.victim.iteration = iteration
        self.perturbation.expect(self.queries.index, iteration)

        def run() -> Answer:
            return iterate(
                self.victim, self.objective, self.perturbation, optimizer, self.queries, alpha,
                oracle=self.oracle, backward=backward, around=self._around,
            )  # fmt: skip

        rate = self.recipe.rate
        factor = 1.0 if rate is None else rate(iteration, self.recipe.iterations)
        with at_rate(optimizer, factor):
            if self.unfinished is None:
                return run()
            answer: Answer = self.unfinished.step(self.perturbation, run)
            return answer

    @property
    def size(self) -> int:
        """Queries of the batch."""
        return len(self.queries.index)

    def finished(self) -> Tensor:
        """Return which queries had nothing left to flip in their last pass, bool ``(B,)``."""
        return self._finished(ALL) if self.victim.logits is not None else self.queries.done

    def _around(self, closure: Closure) -> Closure:
        asking = closure
        # DDP's reducer would wait for as many backward passes of every process.
        if not (self.perturbation.shared and several_processes()):
            asking = self.parts.around(closure, self.queries, self.perturbation)
        return asking if self.unfinished is None else self.unfinished.around(asking)

    def _done(self, rows: Rows, answer: Answer) -> Tensor:
        done = torch.zeros_like(answer.success, dtype=torch.bool)
        if self.stop_finished:
            done |= self._finished(rows)
        if self.stop_at is not None:
            done |= answer.success >= (-self.stop_at if self.queries.targeted else self.stop_at)
        return done

    def _finished(self, rows: Rows) -> Tensor:
        assert self.victim.logits is not None  # these rows were passed just now
        with torch.no_grad():
            return self.objective.finished(self.victim.logits[rows], self.queries.reference[rows])
