"""Perturbations of several attacks, put together (HAG IV-G)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightning_hash.victims.joint import source_names

Combination = Literal["single", "sum", "clipped", "average", "best"]


@dataclass(frozen=True)
class Perturbations:
    """What one attack, or several put together, added to Q queries.

    Attributes:
        index: ``(Q,)`` int64, the queries' own indices, rising.
        values: ``(Q, ...)`` float32, in [0, 1] units.
        epsilon: largest |value| that may occur, in [0, 1] units.
        attack: name of the attack.
        sources: the victims that they were made on.
        combination: how they were put together.
        reached: ``(Q,)`` in [0, 1], how far each got on its own victim: the share of bits that
            flipped or, of targeted attacks, that agree with the anchor code; ``None`` if unknown.
        protocol: of the attack; of several, as far as they agree.
        restarts: how many the best was taken of.
    """

    index: Tensor
    values: Tensor
    epsilon: float
    attack: str
    sources: str
    combination: str
    protocol: dict[str, Any]
    reached: Tensor | None = None
    restarts: int | None = None


def read_perturbations(folder: Path) -> Perturbations:
    """Read the perturbations of a finished attack.

    Args:
        folder: its run folder.

    Returns:
        The perturbations, in [0, 1] units whatever space they were made in.

    Raises:
        FileNotFoundError: if the folder holds none.
        ValueError: if the file cannot be read.
    """
    path = folder / "perturbations.safetensors"
    if not path.is_file():
        msg = f"{path} does not exist; give the run folder of a finished attack"
        raise FileNotFoundError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            index, values = file.get_tensor("index"), file.get_tensor("perturbation").float()
            known = "reached" in file.keys()  # noqa: SIM118 - no mapping
            reached = file.get_tensor("reached") if known else None
        protocol = json.loads(metadata["protocol"])
        epsilon, attack = float(protocol["epsilon"]), str(protocol["attack"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} is no file of perturbations, or a truncated one ({error!r})"
        raise ValueError(msg) from error
    if protocol["epsilon_space"] == "normalized":
        if "scale" not in metadata:
            msg = f"{path} does not say the victim's std; make it anew with this version"
            raise ValueError(msg)
        scale = torch.tensor(json.loads(metadata["scale"]))
        values = values * scale.reshape(-1, 1, 1)
        epsilon *= float(scale.max())
    if protocol.get("sources") is None:
        parts = (protocol["backbone"], protocol["bits"], protocol["victim_sha256"])
        sources, combination = source_names([parts]), "single"
    else:
        sources, combination = protocol["sources"], protocol["combination"]
    return Perturbations(
        index, values, epsilon, attack, sources, combination, protocol, reached=reached
    )


def combine(parts: Sequence[Perturbations], combination: str) -> Perturbations:
    """Put perturbations of the same queries together.

    Args:
        parts: the perturbations of each attack.
        combination: ``"sum"`` (the paper: the sum may exceed epsilon), ``"clipped"`` (the sum,
            clipped to epsilon), ``"average"`` or ``"best"``: for each query the perturbation that
            got furthest on its own victim, the first of equal ones.

    Returns:
        The combination. Nothing is clipped to the image box here.

    Raises:
        ValueError: if the combination is unknown, there are fewer than two parts, or they are of
            different queries, shapes or, where clipped, epsilons.

    Example:
        >>> index, protocol = torch.tensor([4]), {"backbone": "a", "bits": 8, "victim_sha256": "f"}
        >>> one = Perturbations(
        ...     index, torch.tensor([[0.2, -0.1]]), 0.25, "hag", "a-8", "single", protocol
        ... )
        >>> [combine([one, one], how).values.tolist() for how in ("sum", "clipped")]
        [[[0.4000000059604645, -0.20000000298023224]], [[0.25, -0.20000000298023224]]]
    """
    known = get_args(Combination)[1:]
    if combination not in known:
        msg = f"combination must be one of single, {', '.join(known)}, got {combination!r}"
        raise ValueError(msg)
    if len(parts) < 2:
        msg = f"combination {combination} needs at least two perturbations, got {len(parts)}"
        raise ValueError(msg)
    first = parts[0]
    for other in parts[1:]:
        if not torch.equal(other.index, first.index):
            msg = (
                f"perturbations on {first.sources} and {other.sources} are of different queries; "
                "attack with one n_queries, seed and data"
            )
            raise ValueError(msg)
        if other.values.shape != first.values.shape:
            msg = (
                f"perturbations on {first.sources} and {other.sources} have the shapes "
                f"{tuple(first.values.shape)} and {tuple(other.values.shape)}"
            )
            raise ValueError(msg)
        if combination == "clipped" and abs(other.epsilon - first.epsilon) > 1e-9:
            msg = (
                f"clipped: epsilon is {first.epsilon:g} on {first.sources} and {other.epsilon:g} "
                f"on {other.sources}; attack with one epsilon"
            )
            raise ValueError(msg)
    stacked = torch.stack([part.values for part in parts])
    reached = [part.reached for part in parts if part.reached is not None]
    values, epsilon = stacked.sum(dim=0), sum(part.epsilon for part in parts)
    if combination == "clipped":
        values, epsilon = values.clamp(-first.epsilon, first.epsilon), first.epsilon
    elif combination == "average":
        values, epsilon = values / len(parts), epsilon / len(parts)
    elif combination == "best":
        if len(reached) < len(parts):
            unknown = next(part for part in parts if part.reached is None)
            msg = (
                f"best: the perturbations of {unknown.attack} on {unknown.sources} do not say how "
                "far each got; attack again with this version"
            )
            raise ValueError(msg)
        values = stacked[torch.stack(reached).argmax(dim=0), torch.arange(len(first.index))]
        epsilon = max(part.epsilon for part in parts)
    prints = dict.fromkeys(
        (p.protocol["backbone"], p.protocol["bits"], p.protocol["victim_sha256"]) for p in parts
    )
    agreed = {
        name: value
        for name, value in first.protocol.items()
        if all(part.protocol.get(name) == value for part in parts)
    }
    return Perturbations(
        first.index, values, epsilon, "+".join(dict.fromkeys(part.attack for part in parts)),
        source_names(list(prints)), combination, agreed,
        restarts=len(parts) if combination == "best" else None,
    )  # fmt: skip
