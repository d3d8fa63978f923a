"""Perturbations put where an attack begins, if not at the clean queries."""

from collections.abc import Iterable
from pathlib import Path

import torch

from lightning_hash.attacks import Queries, RunStart
from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.surrogates import SurrogateAttack
from lightning_hash.modules.transfer import check_data, read_perturbations, values_of


def begin_batches(
    recipe: Recipe,
    before: SurrogateAttack | None,
    batches: Iterable[tuple[Queries, Perturbation]],
    data: QueryData,
    databases: Databases | None,
) -> None:
    """Put perturbations where an attack begins; nothing happens where it is the clean queries.

    Args:
        recipe: the parts of the attack.
        before: the attack on surrogates that it goes on from, where there is one.
        batches: this process's batches, on the device, and their perturbations.
        data: the queries, set up.
        databases: what they are ranked against, where anything is.

    Raises:
        ValueError: if the run to begin at is damaged or of other queries.
        FileNotFoundError: if its perturbations are gone.
    """
    if before is not None:
        for queries, made in batches:
            before.run(queries, made)
    elif isinstance(recipe.start_at, RunStart):
        given = read_perturbations(Path(recipe.start_at.run))
        check_data(given, data, databases)
        made_at = given.attack.get("resolution", "input")
        if made_at != data.resolution:
            msg = (
                f"start: {recipe.start_at.run} has perturbations of resolution {made_at!r}, this "
                f"attack's is {data.resolution!r}; give it resolution: {made_at}"
            )
            raise ValueError(msg)
        for queries, made in batches:
            change = recipe.budget.of_pixels(values_of(given, queries))
            with torch.no_grad():
                for parameter in made.parameters():
                    parameter.copy_(change)
                made.project(queries.inputs)
