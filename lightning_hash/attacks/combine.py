"""Perturbations of several attacks, put together (HAG IV-G)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lightning_hash.utils.names import source_names

Combination = Literal["single", "sum", "clipped", "average", "best"]


@dataclass(frozen=True)
class Perturbations:
    """What one attack, or several put together, added to Q queries.

    Attributes:
        index: ``(Q,)`` int64, the queries' own indices, rising.
        values: ``(Q, ...)`` float32, in [0, 1] units.
        epsilon: largest |value| that may occur, in [0, 1] units.
        radius: float64 ``(C, 1, 1)``, that of each channel; ``None`` where it is the same for all.
        victims: settings of the victims that they were made on.
        attack: settings of the attack; of several, as far as they agree.
        data: settings of the data.
        ranking: settings of the ranking.
        iteration: iterations that were really run; of several, the least.
        combination: how they were put together.
        reached: ``(Q,)`` in [0, 1], how far each got on its own victim: the share of bits that
            flipped or, of targeted attacks, that agree with the anchor code; ``None`` if unknown.
        restarts: how many the best was taken of.
        run: folder of the attack, where there is one.
        parts: of several put together what each was: run, victims, attack and iteration.
    """

    index: Tensor
    values: Tensor
    epsilon: float
    victims: Sequence[Mapping[str, Any]]
    attack: dict[str, Any]
    data: dict[str, Any]
    ranking: dict[str, Any]
    iteration: int = 0
    combination: str = "single"
    reached: Tensor | None = None
    restarts: int | None = None
    radius: Tensor | None = None
    run: str | None = None
    parts: Sequence[Mapping[str, Any]] = ()

    @property
    def limit(self) -> Tensor:
        """Largest |value| of each channel, float64; a scalar where it is the same for all."""
        return (
            torch.tensor(self.epsilon, dtype=torch.float64) if self.radius is None else self.radius
        )

    @property
    def sources(self) -> str:
        """Names of the victims, joined by +."""
        return source_names([(v["backbone"], v["bits"], v["sha256"]) for v in self.victims])


def combine(parts: Sequence[Perturbations], combination: str) -> Perturbations:
    """Put perturbations of the same queries together.

    Args:
        parts: the perturbations of each attack.
        combination: ``"sum"`` (the paper: the sum may exceed epsilon), ``"clipped"`` (the sum,
            clipped to epsilon, channel by channel where they were made in normalised space),
            ``"average"`` or ``"best"``: for each query the perturbation that got furthest on its
            own victim, the first of equal ones.

    Returns:
        The combination. Nothing is clipped to the image box here.

    Raises:
        ValueError: if the combination is unknown, there are fewer than two parts, or they are of
            different queries, shapes or, where clipped, epsilons.

    Example:
        >>> index, victim = torch.tensor([4]), {"backbone": "a", "bits": 8, "sha256": "f"}
        >>> values = torch.tensor([[0.2, -0.1]])
        >>> one = Perturbations(index, values, 0.25, [victim], {"name": "hag"}, {}, {})
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
        _check_pair(first, other, combination)
    stacked = torch.stack([part.values for part in parts])
    values, limit = stacked.sum(dim=0), torch.stack([part.limit for part in parts]).sum(dim=0)
    if combination == "clipped":
        limit = first.limit
        values = values.clamp(-limit.to(values.dtype), limit.to(values.dtype))
    elif combination == "average":
        values, limit = values / len(parts), limit / len(parts)
    elif combination == "best":
        values = stacked[_furthest(parts), torch.arange(len(first.index))]
        limit = torch.stack([part.limit for part in parts]).amax(dim=0)
    victims = {str(sorted(victim.items())): victim for part in parts for victim in part.victims}
    attack = agreed([part.attack for part in parts])
    attack["name"] = "+".join(dict.fromkeys(part.attack["name"] for part in parts))
    return Perturbations(
        first.index, values, float(limit.max()), list(victims.values()), attack, first.data,
        first.ranking, min(part.iteration for part in parts), combination,
        restarts=len(parts) if combination == "best" else None,
        radius=limit if limit.dim() else None,
        parts=[
            {
                "run": part.run, "sources": part.sources, "victims": list(part.victims),
                "attack": part.attack, "iteration": part.iteration,
            }
            for part in parts
        ],
    )  # fmt: skip


def agreed(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values that all mappings have, nested ones too.

    Example:
        >>> agreed([{"a": 1, "b": {"c": 2, "d": 3}}, {"a": 0, "b": {"c": 2, "d": 4}}])
        {'b': {'c': 2}}
    """
    found: dict[str, Any] = {}
    for name, value in mappings[0].items():
        values = [mapping.get(name) for mapping in mappings]
        if all(isinstance(each, Mapping) for each in values):
            found[name] = agreed([each for each in values if isinstance(each, Mapping)])
        elif all(each == value for each in values):
            found[name] = value
    return found


def _check_pair(first: Perturbations, other: Perturbations, combination: str) -> None:
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
    same = first.limit.shape == other.limit.shape and torch.allclose(
        first.limit, other.limit, rtol=0, atol=1e-9
    )
    if combination == "clipped" and not same:
        msg = (
            f"clipped: epsilon is {_shown(first)} on {first.sources} and {_shown(other)} on "
            f"{other.sources}; attack with one epsilon in one space"
        )
        raise ValueError(msg)


def _shown(part: Perturbations) -> str:
    return ", ".join(f"{value:g}" for value in part.limit.flatten().tolist())


def _furthest(parts: Sequence[Perturbations]) -> Tensor:
    """Return for each query the number of the part that got furthest."""
    reached = [part.reached for part in parts if part.reached is not None]
    if len(reached) < len(parts):
        unknown = next(part for part in parts if part.reached is None)
        msg = (
            f"best: the perturbations of {unknown.attack['name']} on {unknown.sources} do not say "
            "how far each got; attack again with this version"
        )
        raise ValueError(msg)
    return torch.stack(reached).argmax(dim=0)
