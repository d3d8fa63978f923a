"""What a file of perturbations must hold, so that its numbers can be believed."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_hash.functional import RankingOptions
from lightning_hash.results.ranges import check_kind
from lightning_hash.utils.json_text import brief, parse_json

REMEDY = "attack again, or give another run"
_NULL = type(None)
_NUMBER = (float, int)
# Dotted places in the protocol, the types there, and the lowest value of a number.
_PLACES: tuple[tuple[str, tuple[type, ...], float | None], ...] = (
    ("attack", (Mapping,), None),
    ("attack.name", (str,), None),
    ("attack.seed", (int,), 0),
    ("attack.iterations", (int,), 0),
    ("attack.budget", (Mapping,), None),
    ("attack.budget.epsilon", _NUMBER, 0),
    ("attack.budget.space", (str,), None),
    ("victims", (list,), None),
    ("data", (Mapping,), None),
    ("data.n_query", (int,), 1),
    ("data.target_database", (str, _NULL), None),
    ("ranking", (Mapping,), None),
)


def read_protocol(text: str, source: str) -> dict[str, Any]:
    """Read under which protocol perturbations were made.

    Args:
        text: JSON in the file's header.
        source: the file, for the messages.

    Returns:
        ``attack``, ``victims``, ``data``, ``ranking`` and ``iteration``, the iterations that were
        run.

    Raises:
        ValueError: naming the first place where something is missing or cannot be.
    """
    said = f"{source}: its protocol"
    protocol = parse_json(text, said, REMEDY)
    if not isinstance(protocol, Mapping):
        msg = f"{said} must be a mapping, got {brief(protocol)}; {REMEDY}"
        raise ValueError(msg)
    for path, kinds, least in _PLACES:
        _check(protocol, path, kinds, least, said)
    for number, victim in enumerate(protocol["victims"]):
        if not isinstance(victim, Mapping):
            msg = f"{said}: victims.{number} must be a mapping, got {brief(victim)}; {REMEDY}"
            raise ValueError(msg)
        for name, kinds in (("backbone", (str,)), ("bits", (int,)), ("sha256", (str,))):
            _check(victim, name, kinds, 1 if name == "bits" else None, f"{said}: victims.{number}")
    if not protocol["victims"]:
        msg = f"{said}: victims must be at least one, got []; {REMEDY}"
        raise ValueError(msg)
    space = protocol["attack"]["budget"]["space"]
    if space not in ("pixel", "normalized"):
        msg = f"{said}: attack.budget.space must be pixel or normalized, got {space!r}; {REMEDY}"
        raise ValueError(msg)
    try:
        ranking = protocol["ranking"]
        RankingOptions(**{name: ranking[name] for name in RankingOptions.__dataclass_fields__})
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        msg = f"{said}: ranking: {what}; {REMEDY}"
        raise ValueError(msg) from error
    iterations = protocol["attack"]["iterations"]
    made = protocol.get("iteration", iterations)
    if not isinstance(made, int) or not 0 <= made <= iterations:
        msg = (
            f"{said}: iteration must be from 0 to attack.iterations, {iterations}, got "
            f"{brief(made)}; {REMEDY}"
        )
        raise ValueError(msg)
    found = {name: protocol[name] for name in ("attack", "victims", "data", "ranking")}
    return {**found, "iteration": made}


def check_tensors(
    index: Tensor, values: Tensor, reached: Tensor, protocol: Mapping[str, Any], source: str
) -> None:
    """Check that there is a perturbation in its budget for each query, and what it has come to.

    Args:
        index: ``(Q,)`` int, the queries' indices.
        values: ``(Q, ...)`` floating, in the budget's space.
        reached: ``(Q,)`` floating in [0, 1].
        protocol: what :func:`read_protocol` returned.
        source: the file, for the messages.

    Raises:
        ValueError: naming what is wrong, and the query.
    """
    counts = {len(each) if each.dim() else 0 for each in (index, values, reached)}
    if len(counts) > 1 or index.dim() != 1 or reached.dim() != 1 or values.dim() < 2:
        msg = (
            f"{source} must hold a perturbation for each query, got {tuple(index.shape)} indices "
            f"for perturbations of shape {tuple(values.shape)} and {tuple(reached.shape)} of "
            f"reached; {REMEDY}"
        )
        raise ValueError(msg)
    if not len(index) or len(index) != protocol["data"]["n_query"]:
        msg = (
            f"{source} must hold a perturbation for each query, at least one, got {len(index)} "
            f"for data.n_query {protocol['data']['n_query']}; {REMEDY}"
        )
        raise ValueError(msg)
    if index.is_floating_point() or index.dtype == torch.bool or not values.is_floating_point():
        msg = (
            f"{source}: indices must be whole and perturbations floating, got {index.dtype} and "
            f"{values.dtype}; {REMEDY}"
        )
        raise ValueError(msg)
    chosen = bool(protocol["data"].get("query_index"))
    steps = (index.sort().values if chosen else index).diff()
    if index.min() < 0 or (steps <= 0).any():
        rule = "different" if chosen else "rising"
        msg = f"{source}: indices must be {rule}, from 0 on, got {index[:10].tolist()}; {REMEDY}"
        raise ValueError(msg)
    broken = index[~torch.isfinite(values).flatten(1).all(dim=1)].tolist()
    if broken:
        msg = f"{source} holds perturbations that are not finite, of the queries {broken[:10]}"
        raise ValueError(msg)
    if not ((reached >= 0) & (reached <= 1)).all():
        msg = f"{source}: reached must be from 0 to 1, got {reached[:10].tolist()}; {REMEDY}"
        raise ValueError(msg)
    budget = protocol["attack"]["budget"]
    largest = values.abs().flatten(1).amax(dim=1)
    beyond = torch.nonzero(largest > budget["epsilon"] * (1 + 1e-4) + 1e-6).flatten()
    if str(budget.get("class")).endswith(".LInf") and len(beyond):
        msg = (
            f"{source}: the perturbation of query {int(index[beyond[0]])} changes a value by "
            f"{largest[beyond[0]]:.4g}, its epsilon is {budget['epsilon']:.4g}: one of both was "
            f"changed; {REMEDY}"
        )
        raise ValueError(msg)


def read_scale(text: str | None, channels: int, source: str) -> Tensor:
    """Read the victim's standard deviations, pixels per unit of normalised space.

    Args:
        text: JSON in the file's header; ``None`` where there is none.
        channels: C of the perturbations.
        source: the file, for the messages.

    Returns:
        float32 ``(C,)``, or ``(1,)`` for all channels.

    Raises:
        ValueError: if there is none, or it is no positive number for each channel.
    """
    if text is None:
        msg = f"{source} does not say the victim's std; make it anew with this version"
        raise ValueError(msg)
    found = parse_json(text, f"{source}: its scale", REMEDY)
    numbers = found if isinstance(found, list) else []
    positive = all(isinstance(each, _NUMBER) and 0 < each < float("inf") for each in numbers)
    if len(numbers) not in (1, channels) or not positive:
        msg = (
            f"{source}: its scale must hold a positive number for each of {channels} channels, got "
            f"{brief(found)}; {REMEDY}"
        )
        raise ValueError(msg)
    return torch.tensor(numbers, dtype=torch.float32)


def _check(
    mapping: Mapping[str, Any], path: str, kinds: tuple[type, ...], least: float | None, said: str
) -> None:
    found: Any = mapping
    for key in path.split("."):
        if key not in found:
            msg = f"{said} has no {path}; {REMEDY}"
            raise ValueError(msg)
        found = found[key]
    try:
        check_kind(path, found, kinds)
    except ValueError as error:
        msg = f"{said}: {error}; {REMEDY}"
        raise ValueError(msg) from error
    if least is not None and not found >= least:
        msg = f"{said}: {path} must be at least {least:g}, got {found}; {REMEDY}"
        raise ValueError(msg)
