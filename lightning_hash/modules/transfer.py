"""Perturbations of finished attacks, scored on another victim (HAG IV-G)."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightning_hash.attacks import LInf, Queries, TargetChoice
from lightning_hash.attacks.combine import Perturbations
from lightning_hash.attacks.perturbations import Given
from lightning_hash.attacks.target_rows import anchors_of
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.evaluation import Evaluation
from lightning_hash.modules.perturbation_file import (
    REMEDY,
    check_tensors,
    read_protocol,
    read_scale,
)
from lightning_hash.modules.protocol import data_settings
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.modules.target_loader import TargetLoader, have_targets
from lightning_hash.results.settings import differences
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.victims.victim import Victim

FREE = "database_codes"  # a database's codes are each victim's own


def read_perturbations(folder: Path) -> Perturbations:
    """Read the perturbations of a finished attack.

    Args:
        folder: its run folder.

    Returns:
        The perturbations, in [0, 1] units whatever space they were made in.

    Raises:
        FileNotFoundError: if the folder holds none.
        ValueError: if the file cannot be read, holds no finite perturbation for each query, or one
            beyond its epsilon.
    """
    path = folder / "perturbations.safetensors"
    check_file(path)
    if not path.is_file():
        msg = f"{path} does not exist; give the run folder of a finished attack"
        raise FileNotFoundError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            index, values, reached = (
                file.get_tensor(name) for name in ("index", "perturbation", "reached")
            )
    except SafetensorError as error:
        msg = (
            f"{path} is no file of perturbations of this version, or a truncated one ({error}); "
            f"{REMEDY}"
        )
        raise ValueError(msg) from error
    if "protocol" not in metadata:
        msg = f"{path} is no file of perturbations of this version: no protocol in it; {REMEDY}"
        raise ValueError(msg)
    found = read_protocol(metadata["protocol"], str(path))
    check_tensors(index, values, reached, found, str(path))
    if found["attack"].get("side", "query") != "query":
        msg = (
            f"{path} holds perturbations of candidates, items of the database; transfer scores "
            "those of queries: give a run without side: candidate"
        )
        raise ValueError(msg)
    budget, values = found["attack"]["budget"], values.float()
    epsilon, radius = float(budget["epsilon"]), None
    if budget["space"] == "normalized":
        scale = read_scale(metadata.get("scale"), values.shape[-3], str(path))
        values = values * scale.reshape(-1, 1, 1)
        radius = epsilon * scale.double().reshape(-1, 1, 1)
        epsilon = float(radius.max())
    combination = "joint" if len(found["victims"]) > 1 else "single"
    return Perturbations(
        index, values, epsilon, combination=combination, reached=reached, radius=radius,
        run=folder.as_posix(), **found,
    )  # fmt: skip


def check_together(parts: list[Perturbations]) -> None:
    """Refuse perturbations whose numbers could not stand in one table.

    Args:
        parts: the perturbations of each attack.

    Raises:
        ValueError: naming what differs.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("data", "ranking"):
            for path, one, other in differences(getattr(first, name), getattr(part, name)):
                if path != FREE:
                    _refuse(f"{name}.{path}", one, other, first, part)
        for name in ("seed", "resolution"):
            one, other = first.attack.get(name), part.attack.get(name)
            if one != other:
                _refuse(f"attack.{name}", one, other, first, part)


def _refuse(path: str, one: Any, other: Any, first: Perturbations, part: Perturbations) -> None:
    msg = (
        f"perturbations on {first.sources} and {part.sources} cannot stand in one table: {path} "
        f"is {one!r} and {other!r}"
    )
    raise ValueError(msg)


def transfer_module(
    victim: Victim,
    given: Perturbations,
    targets: Path | None,
    data: QueryData,
    databases: Databases | None,
    trainer: pl.Trainer,
) -> ScoreModule:
    """Make the module that scores perturbations on a victim; nothing is optimised.

    Args:
        victim: the victim.
        given: what is added to the queries; the inputs are clipped to [0, 1].
        targets: ``targets.json`` of the attacks; ``None`` measures no t-MAP.
        data: the queries, set up.
        databases: what they are ranked against.
        trainer: runs it.

    Returns:
        The module, for the Trainer's test loop.

    Raises:
        ValueError: if the perturbations were not made for these queries; names what differs.
    """
    check_data(given, data, databases)
    options = {name: given.ranking[name] for name in RankingOptions.__dataclass_fields__}
    evaluation = Evaluation(victim, RankingOptions(**options))
    evaluation.attach(data, databases, trainer)
    evaluation.protocol["transfer"] = {
        "sources": given.sources, "combination": given.combination, "restarts": given.restarts,
        "sha256": [victim["sha256"] for victim in given.victims],
        **({"parts": list(given.parts)} if given.parts else {}),
    }  # fmt: skip
    batches = _load(given, targets, data, databases)
    evaluation.has_targets = targets is not None and have_targets(batches)
    budget = MadeBudget(given)
    perturbations = [Given(q.inputs, budget, q.lengths, delta=values_of(given, q)) for q in batches]
    attack = {"targeted": False, "iterations": 0, "targets": None, **given.attack}
    if given.combination not in ("single", "joint"):
        budgets: dict[str, Any] = {"epsilon": given.epsilon, "space": "pixel"}
        if given.radius is not None:
            budgets["per_channel"] = given.radius.flatten().tolist()
        attack["budget"] = {**attack.get("budget", {}), **budgets}
    return ScoreModule(
        victim, data, databases, batches, perturbations, evaluation, budget, attack,
        iteration=given.iteration, scored_only=True,
    )  # fmt: skip


class MadeBudget(LInf):
    """The ball that perturbations are in which were made elsewhere, of a radius per channel."""

    def __init__(self, given: Perturbations) -> None:
        super().__init__(min(1.0, given.epsilon))
        self.given = given

    def radius(self) -> Tensor:
        """Return the largest change of each channel."""
        return self.given.limit.clamp(max=1)


def _load(
    given: Perturbations, targets: Path | None, data: QueryData, databases: Databases | None
) -> list[Queries]:
    n_t = 1
    if targets is not None:
        n_t = anchors_of(targets)
    choice = TargetChoice(n_t, file=None if targets is None else str(targets))
    loader = TargetLoader(databases if targets is not None else None, choice, targeted=False)
    return loader.load(data)


def check_data(given: Perturbations, data: QueryData, databases: Databases | None) -> None:
    """Refuse perturbations that were not made for these queries.

    Args:
        given: the perturbations.
        data: the queries, set up.
        databases: what they are ranked against, where anything is.

    Raises:
        ValueError: naming what differs.
    """
    for path, wanted, found in differences(given.data, data_settings(data, databases)):
        if path != FREE:
            msg = (
                f"the perturbations on {given.sources} are of other data: their {path} is "
                f"{wanted!r}, that of these data {found!r}; give the data of the attacks"
            )
            raise ValueError(msg)


def values_of(given: Perturbations, queries: Queries) -> Tensor:
    """Return the perturbations ``(B, ...)`` of a batch, cut so that the inputs stay in [0, 1].

    Args:
        given: the perturbations, in [0, 1] units.
        queries: the batch.

    Raises:
        ValueError: if there is none for a query, or they are of another shape.
    """
    index, order = given.index.sort()  # chosen queries have an order of their own
    place = order[torch.searchsorted(index, queries.index).clamp(max=len(index) - 1)]
    missing = queries.index[given.index[place] != queries.index]
    if len(missing):
        msg = f"the perturbations on {given.sources} have none for query {int(missing[0])}"
        raise ValueError(msg)
    values = given.values[place].to(queries.inputs)
    if given.attack.get("resolution") == "original":  # filled up to the largest image
        values = values[..., : queries.inputs.shape[-2], : queries.inputs.shape[-1]]
    if values.shape != queries.inputs.shape:
        msg = (
            f"the perturbations on {given.sources} have the shape {tuple(values.shape[1:])}, the "
            f"queries {tuple(queries.inputs.shape[1:])}"
        )
        raise ValueError(msg)
    return (queries.inputs + values).clamp_(0, 1) - queries.inputs
