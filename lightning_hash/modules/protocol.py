"""What a number of a run depends on, as the mappings of its result rows."""

import dataclasses
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_hash._version import __version__
from lightning_hash.data.base import OPEN_SET, SPLITS
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.databases import Databases
from lightning_hash.victims.foreign import ForeignNetwork
from lightning_hash.victims.victim import Victim


def protocol_of(
    data: QueryData,
    databases: Databases | None,
    ranking: RankingOptions,
    trainer: pl.Trainer,
) -> dict[str, Any]:
    """Describe everything but attack and victim.

    Args:
        data: the queries, set up.
        databases: what they are ranked against, where anything is.
        ranking: how.
        trainer: the trainer that runs it.

    Returns:
        The mappings ``data``, ``ranking``, ``run`` and ``transfer`` of a result row.
    """
    return {
        "transfer": None,
        "data": data_settings(data, databases),
        "ranking": {"relevance": data.source.relevance, **dataclasses.asdict(ranking)},
        "run": {
            "kernels": None,
            "queries_at_a_time": None,  # fewer than a batch, once memory ran out
            "devices": f"{trainer.world_size} x {trainer.strategy.root_device.type}",
            "threads": torch.get_num_threads(),
            "precision": str(trainer.precision),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "version": __version__,
            "commit": _commit(),
        },
    }


def data_settings(data: QueryData, databases: Databases | None) -> dict[str, Any]:
    """Describe the data: name, fingerprints of the splits and of how items become inputs, sizes.

    Args:
        data: the queries, set up.
        databases: what they are ranked against, where anything is.
    """
    source = data.source
    prints = source.fingerprints()
    inputs = json.dumps(source.input_fingerprints(data.split), sort_keys=True)
    asking = None if databases is None else databases.queries
    return {
        "dataset": source.name,
        "seed": source.seed,
        "inputs_sha256": hashlib.sha256(inputs.encode()).hexdigest(),
        "input_shape": list(source.query_set[0][0].shape),
        "interpolation": source.interpolation,
        "sha256": {split: prints.get(split) for split in (*SPLITS, OPEN_SET)},
        "n_query": len(data.queries),
        "query_index": data.fingerprint,
        "n_database": 0 if databases is None else len(databases.database),
        "n_leaked": source.n_leaked,
        "n_unlabelled": {split: source.n_unlabelled(split) for split in ("query", "database")},
        "n_skipped": source.n_skipped,
        "database_codes": None if databases is None else databases.database.foreign,
        "target_database": None if databases is None else databases.target,
        "n_target_database": None if databases is None else len(databases.ranked),
        **({} if asking is None else {"n_asking": len(asking)}),
    }


def victim_settings(victim: Victim) -> dict[str, Any]:
    """Describe a victim: name, weights, network, bits, training loss, output, what picked it."""
    network = victim.network
    return {
        "name": victim.name,
        "sha256": victim.sha256,
        "backbone": victim.backbone,
        "bits": victim.bits,
        "loss": victim.loss,
        "output": network.output if isinstance(network, ForeignNetwork) else "logits",
        "selected_on": victim.selected_on,
    }


def _commit() -> str | None:
    """Return the commit of the checkout that the package runs from, if it is one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
