"""Everything that a number of a run depends on: the constant part of its result rows."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import nn

import lightning_hash
from lightning_hash.data.base import OPEN_SET, SPLITS, HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.databases import Databases

if TYPE_CHECKING:
    from lightning_hash.modules.attack_module import AttackModule


def attack_protocol(
    module: "AttackModule",
    queries: QueryData,
    databases: Databases | None,
    trainer: pl.Trainer,
) -> dict[str, Any]:
    """Describe an attack.

    Args:
        module: the attack.
        queries: the queries under attack, set up.
        databases: what they are ranked against, where anything is.
        trainer: the trainer that runs it.

    Returns:
        Field names and values of a result row, but for those that differ from row to row.
    """
    iterative = module.objective.iterative
    step = module.step([nn.Parameter(torch.zeros(1, 1))])
    return {
        "objective": type(getattr(module.objective, "objective", module.objective)).__name__,
        "step_rule": type(step).__name__ if iterative else None,
        "lr": step.defaults["lr"] if iterative else None,
        "momentum": step.defaults.get("momentum", 0.0) if iterative else None,
        "iterations": trainer.max_epochs if iterative else 0,
        "alpha_schedule": str(module.alpha) if iterative else None,
        "threshold": getattr(module.objective, "threshold", None),
        "sources": module.victim.backbone if module.victim.members else None,
        "combination": "joint" if module.victim.members else None,
        "inputs": None if module.inputs is None else str(module.inputs),
        "start_seed": module.start_seed if iterative else None,
        "frames": module.frames,
        "epsilon": module.space.epsilon,
        "epsilon_space": module.space.space,
        "n_t": module.targets.n_t,
        "anchor_tie": "+1",
        "anchor_set": "equal label vector" if module.targets.file is None else module.targets.file,
        "target_rule": module.targets.rule,
        "seed": module.seed,
        "victim_sha256": module.victim.sha256,
        "backbone": module.victim.backbone,
        "bits": module.victim.bits,
        "loss": module.victim.loss,
        **data_protocol(queries.source, len(queries.queries), databases),
        **module.metric_options,
        **run_protocol(trainer),
    }


def data_protocol(
    source: HashDataModule, n_query: int, databases: Databases | None
) -> dict[str, Any]:
    """Describe the data: its name, the fingerprints of its splits and their sizes."""
    prints = source.fingerprints()
    return {
        "dataset": source.name,
        "data_seed": source.seed,
        "inputs_sha256": inputs_sha256(source),
        "input_shape": "x".join(str(side) for side in source.query_set[0][0].shape),
        **{f"list_sha256_{split}": prints.get(split) for split in (*SPLITS, OPEN_SET)},
        "n_query": n_query,
        "n_database": 0 if databases is None else len(databases.database),
        "n_leaked": source.n_leaked,
        "n_skipped": source.n_skipped,
        "database_codes": None if databases is None else databases.database.foreign,
        "target_database": None if databases is None else databases.target,
        "n_target_database": None if databases is None else len(databases.ranked),
        "relevance": "shares a label",
    }


def inputs_sha256(source: HashDataModule) -> str:
    """Return a fingerprint of how the queries become inputs."""
    text = json.dumps(source.input_fingerprints("query"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def run_protocol(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe the run: devices, precision, version and commit."""
    return {
        "devices": f"{trainer.world_size} x {trainer.strategy.root_device.type}",
        "precision": str(trainer.precision),
        "version": lightning_hash.__version__,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the commit of the checkout that the package runs from, if it is one."""
    root = Path(lightning_hash.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
