"""Who makes the perturbations, who is scored with them, and what each knows of the queries."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lightning_hash.attacks import Queries
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.databases import Databases, open_oracle
from lightning_hash.modules.preparation import CleanPass, check_databases
from lightning_hash.modules.starts import begin_batches
from lightning_hash.modules.surrogates import (
    SurrogateAttack,
    check_roles,
    fit_to,
    read_surrogates,
    seen_by,
    surrogate_settings,
)
from lightning_hash.modules.target_loader import TargetLoader, have_targets
from lightning_hash.modules.victim_pass import Context
from lightning_hash.utils.settings import settings_of
from lightning_hash.victims.victim import Victim


class Roles:
    """The victim and, where there are any, surrogates.

    Without surrogates the victim has both roles, and the batches are one list.

    Args:
        recipe: the parts of the attack; its objective is joined where it goes over several models.
        victim: what is scored.
        surrogates: what the user gave as such.

    Attributes:
        surrogate: the surrogates, joined where they are several; or ``None``.
        first: the attack on them at whose end a search begins, where there is one.
        made_on: what the iterations pass: the victim of a search and without surrogates, else
            these.
        databases: the codes by ``made_on``, where anything is compared with them.
        loader: makes batches as ``made_on`` knows them; ``batches`` are those of this process.
        scored_loader: the same as the victim knows them; ``scored`` are those of this process.
        clean: computes codes by ``made_on``; ``scoring`` by the victim.

    Raises:
        TypeError: see :func:`lightning_hash.modules.surrogates.read_surrogates`.
        FileNotFoundError: see there.
        ValueError: see there; or if parts of the attack do not go with the surrogates.
    """

    data: QueryData
    databases: Databases | None
    loader: TargetLoader
    scored_loader: TargetLoader
    batches: list[Queries]
    scored: list[Queries]
    clean: CleanPass
    scoring: CleanPass

    def __init__(self, recipe: Recipe, victim: Victim, surrogates: Any) -> None:
        self.recipe, self.victim = recipe, victim
        self.surrogate = surrogate = read_surrogates(surrogates)
        check_roles(recipe, surrogate)
        self.made_on = victim if surrogate is None or recipe.searches else surrogate
        recipe.gives = "codes" if self.made_on.gives_codes else "logits"
        recipe.budget.bind(self.made_on.network)
        self.first = recipe.before()  # before anything is joined: it goes over other models
        if self.first is not None and surrogate is not None:
            fit_to(self.first, surrogate)
        fit_to(recipe, self.made_on)

    @property
    def apart(self) -> bool:
        """Whether surrogates make what the victim is scored on."""
        return self.made_on is not self.victim

    @property
    def gradient(self) -> Recipe | None:
        """The attack that surrogates are for: the whole one, or that before a search."""
        if self.surrogate is None:
            return None
        return self.recipe if self.first is None else self.first

    @property
    def parts(self) -> list[nn.Module]:
        """The modules that go to the device with the attack."""
        found: list[nn.Module] = [] if self.surrogate is None else [self.surrogate]
        return found if self.first is None else [*found, self.first.objective]

    def attach(
        self, data: QueryData, databases: Databases | None, surrogate: Databases | None
    ) -> None:
        """Take the queries and codes.

        Args:
            data: the queries, set up.
            databases: the victim's codes of what they are ranked against.
            surrogate: the surrogates' codes of the same.

        Raises:
            ValueError: if an attack needs codes that are not there.
        """
        self.data, self._of_victim, self._of_surrogate = data, databases, surrogate
        self.databases = surrogate if self.apart else databases
        check_databases(self.databases, self.recipe)
        if self.first is not None:
            check_databases(surrogate, self.first)

    def load(self) -> bool:
        """Load this process's batches.

        Returns:
            Whether every query of every process has a target.
        """
        choice, reference = self.recipe.targets, self.recipe.reference
        kind = {"targeted": reference.targeted, "labelled": reference.has_label}
        self.scored_loader = TargetLoader(self._of_victim, choice, **kind)
        self.loader, self.scored = self.scored_loader, self.scored_loader.load(self.data)
        self.batches = self.scored
        if self.apart:
            self.loader = TargetLoader(self.databases, choice, **kind)
            self.batches = seen_by(self.loader, self.scored)
        return have_targets(self.scored)

    def know(self, device: torch.device, context: Context) -> None:
        """Compute on the device what the batches are compared with and what is scored.

        Args:
            device: where the attack runs.
            context: the precision's forward context.
        """
        view = self.data.view
        self.clean = self.scoring = CleanPass(self.made_on, self.databases, context, view)
        self.clean.know_bits(self.data, device)
        if self.apart:
            self.scoring = CleanPass(self.victim, self._of_victim, context, view)
            self.scoring.know_bits(self.data, device)
        open_oracle(self.recipe, self.databases, device, self.made_on.bits)
        for queries, scored in zip(self.batches, self.scored, strict=True):
            if self.apart:
                scored.to(device)
                self.scoring.set_clean(scored)
                queries.inputs = scored.inputs  # one copy
            self.know_batch(queries, device)

    def know_batch(self, queries: Queries, device: torch.device, *, look: bool = True) -> None:
        """Compute what a batch is compared with, on the device.

        Args:
            queries: the batch.
            device: where the attack runs.
            look: whether to look at the logits.
        """
        queries.to(device)
        self.clean.know(queries, self.recipe.reference, self.data, look=look)
        if self.recipe.oracle is not None:
            queries.goal_list = self.recipe.oracle.goal_list(queries.goal)

    def begin(self, perturbation: Callable[[int], Perturbation]) -> None:
        """Put the perturbations where the attack begins, if not at the clean queries.

        Args:
            perturbation: that of a local batch by its number.
        """
        before = None
        if self.first is not None and self.surrogate is not None:
            context = self.clean.context
            before = SurrogateAttack(
                self.first, self.surrogate, self._of_surrogate, context, self.data
            )
        made = [(queries, perturbation(i)) for i, queries in enumerate(self.batches)]
        begin_batches(self.recipe, before, made, self.data, self._of_victim)

    def settings(self) -> dict[str, Any]:
        """Return what of a search's start is no part of the recipe."""
        if self.first is None or self.surrogate is None:
            return {}
        start = settings_of(self.recipe.start_at)
        return {"start": {**start, "surrogates": surrogate_settings(self.surrogate)}}

    def identity(self) -> dict[str, Any]:
        """Return what a run that goes on must agree in beside the attack's settings."""
        return {"made_on": surrogate_settings(self.made_on)} if self.apart else {}

    def maker(self) -> tuple[Victim, Sequence[Queries]] | None:
        """Return what the perturbations are made on and its batches, if not the victim."""
        return (self.made_on, self.batches) if self.apart else None
