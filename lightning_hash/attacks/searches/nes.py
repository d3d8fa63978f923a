"""NES: a gradient that is estimated from losses around a point."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lightning_hash.attacks.attack import Answer
from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.reached import Reached
from lightning_hash.attacks.rules import Search


class NES(Search):
    """Steps along a gradient estimated by antithetic Gaussian samples (Ilyas et al., ICML 2018).

    g = 1 / (2 n sigma) sum over n pairs of u (L(x + sigma u) - L(x - sigma u)), accumulated as
    m = momentum m + g; then a step of ``lr`` along the budget's steepest direction of -m. An
    iteration asks 2 n times, and once more about where it has come; the best of these places by
    success, by the loss among equals, is what is left. A start that is given is one of them, and is
    asked about before the first iteration. The defaults are ARRA's (ACM MM 2022), whose
    code forgets to count one question a step.

    Args:
        params: a perturbation's only parameter, ``(B, ...)``.
        lr: length of a step, in the units of the perturbation.
        pairs: n.
        sigma: spread of the samples, in the units of the perturbation.
        momentum: not negative, below 1.
        seed: seed of the draws.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        pairs: int = 10,
        sigma: float = 0.01,
        momentum: float = 0.5,
        seed: int = 0,
    ) -> None:
        for name, value in (("lr", lr), ("pairs", pairs), ("sigma", sigma)):
            if not value > 0:
                msg = f"{name} must be positive, got {value}"
                raise ValueError(msg)
        if not 0 <= momentum < 1:
            msg = f"momentum must be in [0, 1), got {momentum}"
            raise ValueError(msg)
        super().__init__(
            params, {"lr": lr, "pairs": pairs, "sigma": sigma, "momentum": momentum, "seed": seed}
        )

    def search(self, closure: Callable[..., Answer]) -> Answer:
        """Estimate, step, ask; see :meth:`Search.search`."""
        ((group,), (delta,)) = self.param_groups, self.param_groups[0]["params"]
        state: dict[str, Any] = self.state[delta]
        if not state:
            state |= {
                "iteration": 0,
                "momentum": torch.zeros_like(delta),
                "point": delta.clone(),
                "best": delta.clone(),
            }
            if self.start_is_given:
                self._keep_best(delta, closure())
        point: Tensor = state["point"]
        estimate = torch.zeros_like(point)
        for pair in range(group["pairs"]):
            key = f"{state['iteration']}/{pair}"
            noise = query_noise(group["seed"], self.queries.numbers, key, delta)
            losses = []
            for sign in (1, -1):
                delta.copy_(point).add_(noise, alpha=sign * group["sigma"])
                self.perturbation.project(self.queries.inputs)
                losses.append(closure().losses)
            difference = per_row(losses[0] - losses[1], delta)
            estimate.add_(noise * difference)
        estimate /= 2 * group["pairs"] * group["sigma"]
        state["momentum"].mul_(group["momentum"]).add_(estimate)
        direction = self.perturbation.budget.steepest(state["momentum"])
        delta.copy_(point).sub_(direction, alpha=group["lr"])
        self.perturbation.project(self.queries.inputs)
        answer = closure()
        point.copy_(delta)
        state["iteration"] += 1
        return self._keep_best(delta, answer)

    def _keep_best(self, delta: Tensor, answer: Answer) -> Answer:
        state, found = self.state[delta], Reached.of(answer)
        if "losses" in state:
            best = Reached(state["success"], state["losses"])
            better = found.is_better_than(best)
        else:
            best, better = found, torch.ones_like(found.losses, dtype=torch.bool)
        best = best.where(~better, found)
        state |= best._asdict()
        state["best"].copy_(torch.where(per_row(better, delta), delta, state["best"]))
        delta.copy_(state["best"])
        return best.said(answer)


def query_noise(seed: int, index: Sequence[int], key: str, like: Tensor) -> Tensor:
    """Draw standard normal noise for each query.

    It is drawn on the host, the same for every device, while a GPU is still busy with what it was
    asked before, and copied there without a wait.

    Args:
        seed: seed of the draws.
        index: the B queries' own indices.
        key: of the draw.
        like: ``(B, ...)``, whose shape, type and device the noise gets.

    Returns:
        ``(B, ...)``; a row is a function of seed, query index and key alone.
    """
    drawn = torch.empty(like.shape, dtype=torch.float32)
    for row, query in zip(drawn, index, strict=True):
        torch.randn(row.shape, generator=query_generator(f"{seed}/{query}/{key}"), out=row)
    if like.device.type == "cuda":
        drawn = drawn.pin_memory()
    return drawn.to(like.device, like.dtype, non_blocking=True)  # pragma: no mutate
