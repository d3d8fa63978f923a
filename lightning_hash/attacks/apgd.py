"""APGD: a step rule that finds its own step size and keeps the best point of each query."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.reached import Reached
from lightning_hash.attacks.rules import Rule

# Shares of the iterations: the first gap between two looks at the progress, by how much each is
# shorter than the one before, and the shortest.
FIRST, SHORTER, SHORTEST = 0.22, 0.03, 0.06


class APGD(Rule):
    """Auto-PGD (Croce and Hein, ICML 2020, Alg. 1), one run for each query.

    Steps of two epsilon along the direction that descends steepest in the budget's norm, with
    momentum; at the looks of :func:`looks` the step of a query is halved, and it goes back to its
    best point, where at most ``rho`` of the steps since the last look were for the better, or where
    the last look did not halve and the best has not changed since.

    What is better is success, the Hamming distance to the clean code, of a targeted attack minus
    that to the goal; the loss decides between equal ones. By the loss alone fewer bits flip: it is
    another function at every alpha, and HAG's rises where a flipped bit leaves its mask. The losses
    of two iterations can be compared at a constant alpha: give ``AlphaSchedule`` one value.

    The perturbation is the best point so far, whenever it is looked at; the point that moves is in
    the state. n iterations are n passes, the authors' loop with n - 1 steps. As in their code, at
    most and not fewer than ``rho`` halves, the first look counts as following one that has halved,
    and the point before the last is not set back; the first comparison is with the start, where
    their code has an unfilled 0.

    Args:
        params: a perturbation's only parameter, ``(B, ...)``.
        step: length of the first steps, in epsilons.
        momentum: weight of the new step against the one before, in (0, 1]; 1 has no momentum.
        rho: share of steps, in [0, 1].

    Raises:
        ValueError: if an argument is out of its range.
    """

    looks_ahead = keeps_best = True

    def __init__(
        self, params: ParamsT, step: float = 2.0, momentum: float = 0.75, rho: float = 0.75
    ) -> None:
        if not step > 0:
            msg = f"step must be positive, got {step}"
            raise ValueError(msg)
        if not 0 < momentum <= 1:
            msg = f"momentum must be in (0, 1], got {momentum}"
            raise ValueError(msg)
        if not 0 <= rho <= 1:
            msg = f"rho must be in [0, 1], got {rho}"
            raise ValueError(msg)
        super().__init__(params, {"step": step, "momentum": momentum, "rho": rho})

    @property
    def stays_inside(self) -> bool:
        """Whether a step leaves what projecting would not change: values that were clamped."""
        return self.perturbation.budget.per_value

    def prepare(self, perturbation: Perturbation, queries: Queries, iterations: int) -> None:
        """Take what is stepped.

        Raises:
            ValueError: if the perturbation is shared or has several parameters.
        """
        if perturbation.shared or len(list(perturbation.parameters())) != 1:
            msg = (
                f"APGD keeps a best point for each query: {type(perturbation).__name__} must have "
                "one parameter with a row for each; give another step"
            )
            raise ValueError(msg)
        super().prepare(perturbation, queries, iterations)
        self._looks = frozenset(looks(iterations))

    @torch.no_grad()
    def step(self, closure: Callable[..., Any] | None = None) -> Any:
        """Ask about the point that moves, keep the best, and move.

        Args:
            closure: computes losses, success and gradients.

        Returns:
            The Answer about the best points; a loss that is not finite stays as it is.
        """
        if closure is None:
            msg = "APGD needs a closure, which asks about the point that moves"
            raise ValueError(msg)
        ((group,), (parameter,)) = self.param_groups, self.param_groups[0]["params"]
        state = self.state[parameter]
        if state:
            parameter.data = state["point"]
        with torch.enable_grad():
            answer = closure()
        found = Reached.of(answer)
        if not state:
            self._begin(parameter, found, group["step"] * self.perturbation.budget.epsilon)
        else:
            self._compare(parameter, found)
            if state["done"] in self._looks:
                self._look(parameter, group["rho"])
        if state["done"] + 1 < self.iterations:
            self._move(parameter, group["momentum"])
        state["done"] += 1
        parameter.data = state["best"].clone()
        return self._noted(parameter, "best").said(answer)

    def _begin(self, parameter: Tensor, found: Reached, length: float) -> None:
        state, rows = self.state[parameter], len(parameter)
        point, gradient = parameter.data, _gradient(parameter)
        state |= {  # tensors that are never changed in place, so that they may be the same
            "done": 0, "looked": 0,
            "point": point, "before": point, "gradient": gradient,
            "best": point, "best_gradient": gradient,
            "length": found.losses.new_full((rows,), length),
            "better": torch.zeros_like(found.losses),
            "halved": torch.ones_like(found.losses, dtype=torch.bool),
        }  # fmt: skip
        for name in ("last", "best", "looked"):
            self._note(parameter, name, found)

    def _compare(self, parameter: Tensor, found: Reached) -> None:
        state = self.state[parameter]
        state["gradient"] = _gradient(parameter)
        state["better"] += found.is_better_than(self._noted(parameter, "last"))
        self._note(parameter, "last", found)
        best = self._noted(parameter, "best")
        won = found.is_better_than(best)
        self._note(parameter, "best", best.where(~won, found))
        won = per_row(won, parameter)
        for name, values in (("best", state["point"]), ("best_gradient", state["gradient"])):
            state[name] = torch.where(won, values, state[name])

    def _look(self, parameter: Tensor, rho: float) -> None:
        state = self.state[parameter]
        best = self._noted(parameter, "best")
        stuck = state["better"] <= rho * (state["done"] - state["looked"])
        still = ~state["halved"] & ~best.is_better_than(self._noted(parameter, "looked"))
        halves = stuck | still
        state["length"] = torch.where(halves, state["length"] / 2, state["length"])
        back = per_row(halves, parameter)
        for name in ("point", "gradient"):
            best_one = state["best" if name == "point" else "best_gradient"]
            state[name] = torch.where(back, best_one, state[name])
        state["halved"], state["looked"] = halves, state["done"]
        state["better"] = torch.zeros_like(state["better"])
        self._note(parameter, "looked", best)

    def _move(self, parameter: Tensor, momentum: float) -> None:
        state, inputs = self.state[parameter], self.queries.inputs
        point, before = state["point"], state["before"]
        direction = self.perturbation.budget.steepest(state["gradient"])
        parameter.data = point - per_row(state["length"], parameter) * direction
        self.perturbation.project(inputs)
        if state["done"] > 0:
            parameter.sub_(point).mul_(momentum).add_(point)
            parameter.add_(point - before, alpha=1 - momentum)
            self.perturbation.project(inputs)
        state["before"], state["point"] = point, parameter.data

    def _note(self, parameter: Tensor, name: str, found: Reached) -> None:
        state = self.state[parameter]
        state[f"{name}_success"], state[f"{name}_loss"] = found.success, found.losses

    def _noted(self, parameter: Tensor, name: str) -> Reached:
        state = self.state[parameter]
        return Reached(state[f"{name}_success"], state[f"{name}_loss"])


def looks(iterations: int) -> list[int]:
    """Return after how many steps APGD looks at its progress (Croce and Hein, Sec. 3.2).

    Their code rounds the gaps, where the paper rounds the places.

    Args:
        iterations: how many steps there are.

    Example:
        >>> looks(100)
        [22, 41, 57, 70, 80, 87, 93, 99]
    """
    gap, place, places = max(int(FIRST * iterations), 1), 0, []
    while place + gap <= iterations:
        place += gap
        places.append(place)
        gap = max(gap - max(int(SHORTER * iterations), 1), int(SHORTEST * iterations), 1)
    return places


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
