"""The parts of an attack, put together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.inputs import DiverseInputs
from lightning_hash.attacks.known_hashes import KnownHashes
from lightning_hash.attacks.objectives import JointObjective, Objective
from lightning_hash.attacks.oracle import Oracle
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.references import (
    AnchorCodes,
    CleanLogits,
    JointReference,
    Reference,
)
from lightning_hash.attacks.rules import Rule, Search
from lightning_hash.attacks.schedule import AlphaSchedule, RateDecay
from lightning_hash.attacks.start import Start, SurrogateStart
from lightning_hash.attacks.steps import step_of_the_papers_way
from lightning_hash.attacks.targets import TargetChoice
from lightning_hash.functional.checks import check_whole
from lightning_hash.utils.numbers import check_seed
from lightning_hash.utils.settings import settings_of


@dataclass(eq=False, kw_only=True)
class Recipe:
    """All that decides the perturbations, beside victim and data.

    Attributes:
        objective: what is minimised.
        reference: what it compares with.
        oracle: what a search sees; all that the victim gives, where that is not said. ``None`` of
            step rules.
        gives: what the victim answers with: logits, or codes alone.
        step: makes a rule of parameters; ``None`` is HAG's step for the attack's length.
        perturbation: makes a perturbation of inputs, budget and lengths.
        budget: the set it must stay in.
        alpha: schedule of the hash activation's slope.
        inputs: changes the perturbed inputs at random before the victim sees them.
        start_seed: seed of a random start.
        start_at: where perturbations begin, if not at the clean query.
        stop_finished: whether queries with nothing left to flip are stepped no more.
        stop_at: Hamming distance to the clean code from which on, of a targeted attack that to the
            target's down to which, queries are stepped no more.
        targets: how targets are chosen.
        seed: seed of the choice of queries, and of the noise where that is the attack.
        rate: factor of the step rule's rate in each iteration; ``None`` leaves it as it is.
        name: name of the attack; by default the objective's, ``p2p`` with one item.
        iterations: length of the attack, once it is known; 0 where nothing is optimised.
    """

    objective: Objective
    reference: Reference
    step: Callable[[Iterable[Any]], Optimizer] | None
    perturbation: Callable[[Any, Any, Any], Perturbation]
    budget: Budget
    alpha: AlphaSchedule
    inputs: DiverseInputs | None
    start_seed: int | None
    stop_finished: bool
    targets: TargetChoice
    seed: int
    oracle: Oracle | None = None
    gives: Literal["logits", "codes"] = "logits"
    stop_at: int | None = None
    rate: RateDecay | None = None
    start_at: Start | None = None
    name: str | None = None
    iterations: int = 0

    def __post_init__(self) -> None:
        for name, seed in (("seed", self.seed), ("start_seed", self.start_seed)):
            if seed is not None:
                check_seed(name, seed)
        if self.name is None:
            point_to_point = self.objective.name == "dhta" and self.targets.n_t == 1
            self.name = "p2p" if point_to_point else self.objective.name
        if self.oracle is None and self.searches:
            self.oracle = Oracle(self.gives)

    def join(self, parts: list[slice]) -> None:
        """Attack several victims, each on its bits of the code.

        Raises:
            ValueError: if the objective looks into one victim.
        """
        if self.objective.compares_layers:
            msg = (
                f"objective {self.objective.name} compares the layers of one victim, got "
                f"{len(parts)}; give weight 0"
            )
            raise ValueError(msg)
        self.objective = JointObjective(self.objective, parts)
        self.reference = JointReference(self.reference, parts)

    @property
    def searches(self) -> bool:
        """Whether it asks, and takes no gradient."""
        return isinstance(self.example(), Search)

    def before(self) -> "Recipe | None":
        """Return the attack on surrogates at whose end a search begins, where it does.

        Raises:
            ValueError: if the two have different goals, the step is a search too, or there is no
                gradient where it begins.
        """
        start = self.start_at
        if not isinstance(start, SurrogateStart):
            return None
        objective = start.objective or self.objective
        made = replace(
            self, objective=objective, step=start.step, alpha=AlphaSchedule([1.0], [0.0]),
            reference=self.reference if start.objective is None else objective.reference,
            inputs=start.inputs, iterations=start.iterations, stop_finished=False, stop_at=None,
            oracle=None, gives="logits", start_at=None,
        )  # fmt: skip
        if made.searches or not objective.iterative:
            part = "step" if made.searches else "objective"
            msg = f"start.{part}: SurrogateStart follows a gradient; give HAG and a step rule"
            raise ValueError(msg)
        made._check_start()
        if made.reference.targeted != self.reference.targeted:
            kinds = ["targeted" if r.reference.targeted else "untargeted" for r in (made, self)]
            msg = (
                f"start.objective: {objective.name} is {kinds[0]}, the search's {kinds[1]}; give "
                f"one that is {kinds[1]}, or leave it out"
            )
            raise ValueError(msg)
        return made

    @property
    def stops(self) -> bool:
        """Whether queries are stepped no more once they are finished."""
        return self.stop_finished or self.stop_at is not None

    @property
    def codes_are_seen(self) -> bool:
        """Whether an answer's success is a Hamming distance between codes."""
        return self.oracle is None or not self.oracle.retrieves

    @property
    def answers_as_left(self) -> bool:
        """Whether a step's answer is about where it leaves the perturbation."""
        rule = self.example()
        return isinstance(rule, Rule) and rule.keeps_best

    @property
    def sees_features(self) -> bool:
        """Whether the objective sees what the hash layer sees."""
        return self.reference.sees == "features"

    def rule(self, parameters: Iterable[Any]) -> Optimizer:
        """Make the step rule or search over parameters."""
        step = self.step or step_of_the_papers_way(self.iterations or 1)
        rule = step(list(parameters))
        if isinstance(rule, Search):
            rule.start_is_given = self.start_at is not None
        return rule

    def check(self) -> None:
        """Refuse parts that do not go together.

        Raises:
            ValueError: naming them.
        """
        rule = self.example()
        if isinstance(rule, torch.optim.LBFGS):
            msg = "step: LBFGS needs one loss for all queries, which are attacked one by one here"
            raise ValueError(msg)
        if self.stop_finished and isinstance(rule, Search):
            msg = (
                f"stop_finished: {type(rule).__name__} is a search, which asks and accepts by "
                "itself; leave stop_finished out"
            )
            raise ValueError(msg)
        if self.rate is not None and "lr" not in rule.param_groups[0]:
            msg = (
                f"rate: {type(rule).__name__} has no rate lr that could decay; leave rate out, or "
                "give another step"
            )
            raise ValueError(msg)
        self._check_oracle(rule)
        self._check_start()
        for name, stops in (
            ("stop_finished", self.stop_finished),
            ("stop_at", self.stop_at is not None),
        ):
            keeps = self.answers_as_left and name == "stop_at"
            ahead = isinstance(rule, Rule) and rule.looks_ahead and not keeps
            if stops and (self.inputs is not None or ahead):
                who = "inputs" if self.inputs is not None else type(rule).__name__
                msg = (
                    f"{name} looks at the codes of the perturbed queries, and the victim sees "
                    f"others with {who}; leave one of them out"
                )
                raise ValueError(msg)
        self._check_stop_at()

    def _check_start(self) -> None:
        clean = self.start_seed is None and self.start_at is None and self.inputs is None
        if self.objective.flat_at_clean and clean:
            msg = (
                f"objective {self.objective.name} has a gradient of 0 at the clean query, where "
                "this attack begins; give start_seed, which begins at a random place in the budget"
            )
            raise ValueError(msg)

    def _check_stop_at(self) -> None:
        if self.stop_at is None:
            return
        if self.oracle is not None and not self.codes_are_seen:
            msg = (
                f"stop_at is a Hamming distance between codes, which an oracle of "
                f"{self.oracle.shows} hides; leave it out, or let the oracle show logits or codes"
            )
            raise ValueError(msg)
        check_whole("stop_at", self.stop_at)
        least = 0 if self.reference.targeted else 1
        if self.stop_at < least:
            msg = f"stop_at must be a Hamming distance from {least} on, got {self.stop_at}"
            raise ValueError(msg)

    def _check_oracle(self, rule: Optimizer) -> None:
        if self.gives == "codes" and self.objective.iterative and not isinstance(rule, Search):
            msg = (
                f"step {type(rule).__name__} takes the gradient, which a victim that gives codes "
                "alone has not; give a search such as Square, or surrogates that have one"
            )
            raise ValueError(msg)
        if self.oracle is None:
            return
        if self.gives == "codes" and self.oracle.shows == "logits":
            msg = (
                "oracle: the victim gives codes alone; let the oracle show codes, distances or ids"
            )
            raise ValueError(msg)
        if not isinstance(rule, Search):
            msg = (
                f"oracle: step {type(rule).__name__} takes the gradient, which no oracle shows; "
                "leave oracle out, or give a search such as Square"
            )
            raise ValueError(msg)
        if self.sees_features:
            msg = (
                f"oracle: objective {self.objective.name} needs features, which no oracle shows; "
                "give another objective"
            )
            raise ValueError(msg)
        if self.oracle.shows == "logits":
            return
        hashes = isinstance(self.reference, KnownHashes) and self.oracle.shows == "codes"
        if type(self.reference) not in (CleanLogits, AnchorCodes) and not hashes:
            msg = (
                f"oracle: objective {self.objective.name} needs logits, which {self.oracle.shows} "
                "hide; give one that leaves the clean code (HAG, Hinge) or reaches the anchor code "
                "(AnchorCode), or let the oracle show logits"
            )
            raise ValueError(msg)

    def start(self, queries: Queries) -> Perturbation:
        """Make the perturbation of a batch, where it begins.

        Raises:
            ValueError: if it chooses frames by their gradient and there is none, a search is to
                find a shared perturbation, or the objective looks at it alone and it is none of
                images.
        """
        made = self.perturbation(queries.inputs, self.budget, queries.lengths)
        if made.passes_live_frames and not self.objective.iterative:
            msg = (
                f"{type(made).__name__} chooses frames by their gradient, and objective "
                f"{self.objective.name} has none; leave perturbation out"
            )
            raise ValueError(msg)
        if self.objective.compares_layers:
            self._check_alone(made, queries)
        if made.shared and self.start_at is not None:
            msg = f"start: {type(made).__name__} is shared by all queries; leave it out"
            raise ValueError(msg)
        if made.shared and self.stops:
            name = "stop_finished" if self.stop_finished else "stop_at"
            msg = f"{name}: {type(made).__name__} is shared by all queries; leave it out"
            raise ValueError(msg)
        if made.shared and isinstance(self.example(), Search):
            msg = (
                f"step: {type(self.example()).__name__} asks about queries one by one, and "
                f"{type(made).__name__} is shared by all of them; give a step rule"
            )
            raise ValueError(msg)
        seed = self.start_seed if self.objective.iterative else self.seed  # the Noise baseline
        if seed is not None:
            made.draw(queries.inputs, queries.index, seed)
        return made

    def _check_alone(self, made: Perturbation, queries: Queries) -> None:
        if queries.inputs.dim() != 4:
            msg = (
                f"objective {self.objective.name} compares layers on images (C, H, W), got inputs "
                f"{tuple(queries.inputs.shape[1:])}; give weight 0"
            )
            raise ValueError(msg)
        made.alone(queries.inputs)

    def settings(self, perturbation: Perturbation, **more: Any) -> dict[str, Any]:
        """Describe the attack.

        Args:
            perturbation: one that was made.
            more: what else decides the perturbations.
        """
        iterative = self.objective.iterative
        said: dict[str, Any] = {
            "name": self.name, "targeted": self.reference.targeted, "objective": self.objective,
            "reference": self.reference, "step": self.example() if iterative else None,
            "perturbation": perturbation, "budget": self.budget,
            "alpha": self.alpha if iterative else None, "inputs": self.inputs,
            "start_seed": self.start_seed, "stop_finished": self.stop_finished,
            "targets": self.targets, "iterations": self.iterations, "seed": self.seed,
        }  # fmt: skip
        for name, value in (
            ("oracle", self.oracle), ("stop_at", self.stop_at), ("rate", self.rate),
            ("start", self.start_at),
        ):  # fmt: skip
            if value is not None:
                said[name] = value
        found: dict[str, Any] = settings_of({**said, **more})
        return found

    def example(self) -> Optimizer:
        """Return a rule over one number, which shows class and options."""
        return self.rule([nn.Parameter(torch.zeros(()))])
