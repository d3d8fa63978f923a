"""An attack's checkpoint: its state by query, without the victim."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from lightning_hash.attacks import Perturbation, Queries
from lightning_hash.attacks.state import pack, unpack
from lightning_hash.results.settings import differences
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, CHECKPOINT_VERSION
from lightning_hash.victims.kernels import Kernels

Local = tuple[Sequence[Queries], Sequence[Perturbation]]
PREFIX = "perturbations."


def save_attack(
    checkpoint: dict[str, Any],
    identity: dict[str, Any],
    local: tuple[Sequence[Queries], Sequence[Perturbation], Sequence[Optimizer]] | None,
    *,
    rows: list[dict[str, Any]],
    seconds: float,
    kernels: Kernels | None,
    doubts: Sequence[str],
) -> None:
    """Put the state of an attack into a checkpoint.

    Args:
        checkpoint: what Lightning made; changed in place.
        identity: what the run that goes on from it must agree in.
        local: this process's batches, perturbations and optimizers; ``None`` where the perturbation
            is shared, whose state Lightning has put there already.
        rows: the result rows so far.
        seconds: time that the iterations have taken.
        kernels: that they run on.
        doubts: what keeps the numbers from being believed.
    """
    state = checkpoint["state_dict"]
    kept = {name: value for name, value in state.items() if name.startswith(PREFIX)}
    checkpoint["state_dict"] = kept if local is None else {}
    checkpoint["optimizer_states"] = checkpoint["optimizer_states"] if local is None else []
    checkpoint[CHECKPOINT_KEY] = {
        "kind": "attack",
        "version": CHECKPOINT_VERSION,
        "identity": identity,
        "queries": None if local is None else pack(*local),
        "rows": rows,
        "seconds": seconds,
        "kernels": None if kernels is None else dataclasses.asdict(kernels),
        "doubts": list(doubts),
    }


def load_attack(
    checkpoint: dict[str, Any], identity: dict[str, Any], local: Local | None
) -> dict[str, Any]:
    """Lay the state in a checkpoint out for the batches of a run.

    Args:
        checkpoint: what :func:`save_attack` filled; Lightning finds its own parts in it.
        identity: of the run that goes on.
        local: this process's batches and perturbations; ``None`` where the perturbation is shared.

    Returns:
        Our entry, with ``rows``, ``seconds``, ``kernels`` and ``doubts``.

    Raises:
        ValueError: if the checkpoint belongs to another attack; names what differs.
    """
    entry: dict[str, Any] = checkpoint[CHECKPOINT_KEY]
    for path, before, here in differences(entry["identity"], identity):
        msg = (
            f"ckpt_path: the checkpoint belongs to another attack: its {path} is {before!r}, this "
            f"run's is {here!r}; start anew without ckpt_path"
        )
        raise ValueError(msg)
    if local is not None:
        parameters, optimizers = unpack(entry["queries"], *local)
        checkpoint["state_dict"] = {
            f"{PREFIX}{number}.{name}": value
            for number, named in enumerate(parameters)
            for name, value in named.items()
        }
        checkpoint["optimizer_states"] = optimizers
    return entry
