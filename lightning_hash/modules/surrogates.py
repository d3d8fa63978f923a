"""Surrogates: models whose gradients make what is scored on the victim."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from lightning_hash.attacks import Objective, Queries, SurrogateStart
from lightning_hash.attacks.around import Parts
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.attacks.rules import prepare_rule
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.batch_attack import BatchAttack
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.preparation import CleanPass
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.modules.target_loader import TargetLoader
from lightning_hash.modules.victim_pass import Context, VictimPass
from lightning_hash.victims.joint import member_bits, victim_names
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim

CUT = (
    "no gradient reaches its inputs, it cuts it (detach, no_grad, NumPy, whole numbers); give a "
    "model whose logits depend on them by torch's own operations"
)
Found = TypeVar("Found")
LOOKED_AT = 2  # queries that surrogates are tried on; exported programs may refuse batches of one


def read_surrogates(given: Any) -> Victim | None:
    """Return what the user gave as surrogates: one victim, or several joined.

    Args:
        given: as :func:`lightning_hash.victims.resolve.as_victim` takes it, or a list of one;
            ``None`` is none.

    Raises:
        TypeError: if it is no victim.
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read or does not fit, the list is empty, or a surrogate has
            no gradient.
    """
    if given is None:
        return None
    members = list(given) if isinstance(given, (list, tuple)) else [given]
    if not members:
        msg = "surrogates must be at least one model, got []; leave surrogates out"
        raise ValueError(msg)
    found = _of_surrogates(lambda: as_victim(members if members[1:] else members[0]))
    for victim in found.members or (found,):
        if victim.gives_codes:
            msg = (
                f"surrogates: {victim.backbone} gives codes alone, which have no gradient; give a "
                "model that returns logits"
            )
            raise ValueError(msg)
    return found


def check_roles(recipe: Recipe, surrogate: Victim | None) -> None:
    """Refuse surrogates and a start that an attack does not use.

    Args:
        recipe: the parts of the attack.
        surrogate: the surrogates, where there are any.

    Raises:
        ValueError: naming the option and what to give.
    """
    start, rule = recipe.start_at, type(recipe.example()).__name__
    from_surrogates = isinstance(start, SurrogateStart)
    msg = ""
    if not recipe.objective.iterative and (surrogate is not None or start is not None):
        name = "start" if surrogate is None else "surrogates"
        msg = f"{name}: objective {recipe.objective.name} is not iterated; leave {name} out"
    elif from_surrogates and not recipe.searches:
        msg = (
            f"start: SurrogateStart is where a search begins, and {rule} follows a gradient: give "
            "surrogates without start, on which the whole attack is then made"
        )
    elif from_surrogates and surrogate is None:
        msg = "start: SurrogateStart follows the gradient of surrogates; give surrogates too"
    elif surrogate is not None and recipe.searches and not from_surrogates:
        msg = (
            f"surrogates: {rule} asks the victim and follows no gradient; give start: "
            "SurrogateStart to begin where an attack on surrogates ends, or leave surrogates out"
        )
    elif start is not None and not from_surrogates and recipe.start_seed is not None:
        msg = "start_seed: start says already where the attack begins; leave one of them out"
    if msg:
        raise ValueError(msg)


def fit_to(recipe: Recipe, victim: Victim) -> Objective:
    """Let an attack go over each of several models, and return its objective.

    Args:
        recipe: the parts of the attack; changed.
        victim: what it passes.

    Raises:
        ValueError: if the objective is for one model at a time, or sees features and there are
            none.
    """
    if victim.members:
        recipe.join(member_bits(victim))
    if recipe.sees_features:
        victim.check_features()
    return recipe.objective


def surrogate_settings(surrogate: Victim) -> dict[str, Any]:
    """Describe surrogates as result rows name sources, wherever the files are."""
    members = surrogate.members or (surrogate,)
    return {
        "sources": victim_names(members),
        "sha256": [victim.sha256 for victim in members],
        "output": [victim_settings(victim)["output"] for victim in members],
    }


def needs_codes(recipe: Recipe) -> bool:
    """Return whether an attack compares with a surrogate's codes of database or queries."""
    reference = recipe.reference
    return reference.targeted or reference.needs_database or reference.needs_queries


@torch.enable_grad()
def try_surrogates(surrogate: Victim | None, data: QueryData) -> None:
    """Pass two queries, so that a surrogate that cannot serve is found before anything is encoded.

    Args:
        surrogate: the surrogates; nothing happens without any.
        data: the queries, set up.

    Raises:
        ValueError: if a network fails on them, returns no logits, or cuts the gradient.
    """
    if surrogate is None:
        return
    items = [data.queries[number] for number in range(min(LOOKED_AT, len(data.queries)))]
    held = next(surrogate.parameters(), None)
    device = torch.device("cpu") if held is None else held.device
    columns = zip(*((item[0], *item[3:]) for item in items), strict=True)
    inputs, *lengths = (
        torch.stack([torch.as_tensor(value) for value in column]).to(device) for column in columns
    )
    inputs.requires_grad_()
    for victim in surrogate.members or (surrogate,):
        logits = _of_surrogates(partial(victim, inputs, *lengths))
        if not logits.requires_grad:
            msg = f"surrogates: {victim.backbone}: {CUT}"
            raise ValueError(msg)


def seen_by(loader: TargetLoader, batches: Sequence[Queries]) -> list[Queries]:
    """Return batches of the same queries, for another model to know.

    Args:
        loader: chooses targets by the codes of that model.
        batches: this process's batches; the inputs are not copied.
    """
    return [
        loader.queries(
            each.inputs, each.labels, each.index, *each.lengths_of(), with_targets=loader.targeted
        )
        for each in batches
    ]


class SurrogateAttack:
    """The attack on surrogates at whose end a search begins.

    Args:
        recipe: its parts, see :meth:`lightning_hash.attacks.recipe.Recipe.before`.
        surrogate: the surrogates, on the device.
        databases: their codes, where the attack compares with any.
        context: the precision's forward context.
        data: the queries, set up.
    """

    def __init__(
        self,
        recipe: Recipe,
        surrogate: Victim,
        databases: Databases | None,
        context: Context,
        data: QueryData,
    ) -> None:
        self.recipe, self.surrogate, self.data, self.context = recipe, surrogate, data, context
        targeted = recipe.reference.targeted
        self.loader = TargetLoader(databases, recipe.targets, targeted=targeted)
        self.clean, self.parts = CleanPass(surrogate, databases, context, data.view), Parts()

    def run(self, queries: Queries, made: Perturbation) -> None:
        """Attack a batch, and put the perturbation where its search begins.

        Args:
            queries: the batch, on the device, as the victim knows it; not changed.
            made: the search's perturbation; changed in place.
        """
        recipe, device = self.recipe, queries.inputs.device
        (own,) = seen_by(self.loader, [queries])
        own.to(device)
        self.clean.know(own, recipe.reference, self.data)
        first = recipe.start(own).to(device)
        victim = VictimPass(self.surrogate, own, recipe, self.context, self.data.view, first)
        attack = BatchAttack(own, first, victim, recipe, self.parts)
        attack.prepare(1.0)
        rule = recipe.rule(first.parameters())
        prepare_rule(rule, first, own, recipe.iterations)
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            for iteration in range(recipe.iterations):
                alpha = recipe.alpha(iteration, recipe.iterations)
                attack.iterate(rule, iteration, alpha)
        with torch.no_grad():
            for parameter, reached in zip(made.parameters(), first.parameters(), strict=True):
                parameter.copy_(reached)
            made.project(queries.inputs)


def _of_surrogates(call: Callable[[], Found]) -> Found:
    """Say "surrogate" where a victim's error says "victim"."""
    try:
        return call()
    except (FileNotFoundError, TypeError, ValueError) as error:
        kind = next(k for k in (FileNotFoundError, TypeError, ValueError) if isinstance(error, k))
        said = str(error).removeprefix("victim: ").removeprefix("victim ")
        msg = f"surrogates: {said}"
        raise kind(msg) from error
