"""The attack: perturb -> pass -> compare -> step -> project (HAG Alg. 1, DHTA Fig. 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks.objectives import Objective
from lightning_hash.attacks.oracle import Oracle
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import ALL, Queries, Rows
from lightning_hash.attacks.rules import Rule, prepare_rule
from lightning_hash.attacks.schedule import at_rate
from lightning_hash.functional.gradients import CUT, input_gradients

# Perturbed inputs (n, ...) and which of the batch they are -> logits (n, K), or logits and what the
# objective sees in their place.
Pass = Callable[[Tensor, Rows], Tensor | tuple[Tensor, Tensor]]
Backward = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Answer:
    """What a rule learns when it asks about n queries.

    Attributes:
        losses: ``(n,)``, what is minimised.
        success: ``(n,)`` float, how far the attack has come; see :meth:`Queries.success`.
        asked: ``(n,)`` int64, how often the victim was asked about each query so far.
    """

    losses: Tensor
    success: Tensor
    asked: Tensor


Closure = Callable[..., Answer]


def iterate(
    victim: Pass,
    objective: Objective,
    perturbation: Perturbation,
    optimizer: Optimizer,
    queries: Queries,
    alpha: float,
    *,
    oracle: Oracle | None = None,
    backward: Backward | None = None,
    around: Callable[[Closure], Closure] | None = None,
) -> Answer:
    """Run one iteration on a batch of B queries.

    The optimizer asks by calling its closure, once or more, for all queries or for some ``rows``;
    rows that are not asked cost nothing. In grad mode the closure leaves the gradient of the summed
    losses in the perturbation's parameters, of the mean loss where one perturbation is shared.

    Args:
        victim: called with perturbed inputs and their rows.
        objective: what is minimised.
        perturbation: what is optimised; no other parameter gets a gradient.
        optimizer: a step rule or a search; torch.optim's own are step rules.
        queries: the batch, with its references.
        alpha: slope of the hash activation at this iteration, in (0, 1].
        oracle: what a search sees in place of logits and of the real success.
        backward: called with the loss in place of ``torch.autograd.grad``, such as Lightning's
            ``manual_backward``, which averages the gradient of a shared perturbation.
        around: wraps the closure, such as :class:`lightning_hash.attacks.around.Parts`.

    Returns:
        What the optimizer returned: the answer about the B queries before the step, or a search's
        about what it accepted.
    """
    parameters = list(perturbation.parameters())

    def closure(rows: Rows = ALL) -> Answer:
        perturbed = perturbation(queries.inputs, rows)
        outputs = victim(perturbed, rows)
        logits, seen = outputs if isinstance(outputs, tuple) else (outputs, outputs)
        queries.asked[rows] += 1
        if oracle is not None and oracle.shows != "logits":
            losses = oracle.judge(logits.detach(), queries, rows)
            return Answer(losses, -losses, queries.asked[rows])
        losses = objective(seen, queries.reference[rows], alpha)
        penalty = objective.penalty(perturbed, queries.inputs[rows])
        losses = losses if penalty is None else losses + penalty
        if torch.is_grad_enabled():
            loss = losses.sum() / (len(queries.index) if perturbation.shared else 1)
            _leave_gradients(loss, parameters, backward)
        success = queries.success(logits.detach(), rows)
        return Answer(losses.detach(), success, queries.asked[rows])

    answer: Any = optimizer.step(closure if around is None else around(closure))  # type: ignore[arg-type]
    if not (isinstance(optimizer, Rule) and optimizer.stays_inside):
        perturbation.project(queries.inputs)
    asked: Answer = answer
    return asked


def _leave_gradients(
    loss: Tensor, parameters: list[torch.nn.Parameter], backward: Backward | None
) -> None:
    if backward is None:
        gradients = input_gradients(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return
    for parameter in parameters:
        parameter.grad = None
    if loss.requires_grad:
        backward(loss)
    if all(parameter.grad is None for parameter in parameters):
        raise ValueError(CUT)


def attack(
    victim: Callable[[Tensor], Tensor],
    objective: Objective,
    perturbation: Perturbation,
    optimizer: Optimizer,
    queries: Queries,
    iterations: int,
    alpha: Callable[[int, int], float] = lambda iteration, iterations: 1.0,
    oracle: Oracle | None = None,
    rate: Callable[[int, int], float] = lambda iteration, iterations: 1.0,
) -> Tensor:
    """Attack a batch of queries without a Trainer; the same :func:`iterate` runs under one.

    Args:
        victim: inputs ``(B, ...)`` in [0, 1] to logits ``(B, K)``.
        objective: what is minimised.
        perturbation: what is optimised; changed in place.
        optimizer: over the perturbation's parameters.
        queries: the batch, with its references.
        iterations: how many, at least 1.
        alpha: ``(iteration, iterations)`` to the slope of the hash activation, such as
            :class:`lightning_hash.attacks.AlphaSchedule`.
        oracle: as in :func:`iterate`; where it retrieves, it is open and ``queries.goal_list`` set.
        rate: ``(iteration, iterations)`` to a factor of the optimizer's rate, such as
            :class:`lightning_hash.attacks.RateDecay`.

    Returns:
        The perturbed inputs ``(B, ...)`` in [0, 1].

    Example:
        >>> from lightning_hash.attacks import HAG, LInf, PerQuery, SignStep
        >>> model, images = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8)), None
        >>> images = torch.rand(2, 3, 2, 2)
        >>> delta = PerQuery(images, LInf("8/255"))
        >>> rule = SignStep(delta.parameters(), lr=1 / 255)
        >>> queries = Queries.untargeted(images, model(images))
        >>> attack(model, HAG(), delta, rule, queries, iterations=3).shape
        torch.Size([2, 3, 2, 2])
    """
    prepare_rule(optimizer, perturbation, queries, iterations)
    for iteration in range(iterations):
        perturbation.expect(queries.index, iteration)
        with at_rate(optimizer, rate(iteration, iterations)):
            iterate(
                lambda perturbed, rows: victim(perturbed), objective, perturbation, optimizer,
                queries, alpha(iteration, iterations), oracle=oracle,
            )  # fmt: skip
    perturbation.expect(queries.index, iterations)
    with torch.no_grad():
        perturbed: Tensor = perturbation(queries.inputs)
        return perturbed.clamp(0, 1)
