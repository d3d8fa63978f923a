"""An attack's checkpoint: its state by query, without the victim."""

import dataclasses
from typing import TYPE_CHECKING, Any

from lightning_hash.attacks.state import pack, unpack
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, CHECKPOINT_VERSION
from lightning_hash.victims.kernels import Kernels

if TYPE_CHECKING:
    from lightning_hash.modules.attack_loop import AttackLoop

# Parts of the protocol that may differ between a checkpoint and the run that goes on from it.
RUN_ONLY = frozenset({"devices", "precision", "version", "commit", "kernels"})


def save_attack(module: "AttackLoop", checkpoint: dict[str, Any]) -> None:
    """Put the state of an attack into a checkpoint.

    Args:
        module: the attack, under its trainer.
        checkpoint: what Lightning made; changed in place.
    """
    index = [batch.index for batch in module.batches]
    checkpoint["state_dict"] = {}
    checkpoint["optimizer_states"] = []
    checkpoint[CHECKPOINT_KEY] = {
        "kind": "attack",
        "version": CHECKPOINT_VERSION,
        "protocol": module.protocol,
        "queries": pack(index, list(module.perturbations), module.trainer.optimizers[0]),
        "rows": module.rows,
        "seconds": module.seconds,
        "kernels": None if module.kernels is None else dataclasses.asdict(module.kernels),
    }


def load_attack(module: "AttackLoop", checkpoint: dict[str, Any]) -> None:
    """Lay the state in a checkpoint out for the batches of a run.

    Args:
        module: the attack that goes on.
        checkpoint: what :func:`save_attack` filled; Lightning finds its own parts in it.

    Raises:
        ValueError: if the checkpoint belongs to another attack; names what differs.
    """
    entry = checkpoint[CHECKPOINT_KEY]
    before: dict[str, Any] = entry["protocol"]
    for key, value in module.protocol.items():
        if key not in RUN_ONLY and before.get(key) != value:
            msg = (
                f"ckpt_path: the checkpoint belongs to another attack: its {key} is "
                f"{before.get(key)!r}, this run's is {value!r}; start anew without ckpt_path"
            )
            raise ValueError(msg)
    index = [batch.index for batch in module.batches]
    perturbations, optimizer = unpack(entry["queries"], index)
    checkpoint["state_dict"] = {f"perturbations.{i}": p for i, p in enumerate(perturbations)}
    checkpoint["optimizer_states"] = [optimizer]
    module.scorekeeper.rows, module.seconds = entry["rows"], entry["seconds"]
    module.kernels = Kernels(**entry["kernels"])
