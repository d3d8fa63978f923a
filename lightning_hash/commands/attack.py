"""``python -m lightning_hash attack``: attack the queries of a data set."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from lightning_hash.commands.run_place import merge_callbacks, place_of_run
from lightning_hash.engine.attack_run import run_attack
from lightning_hash.engine.callbacks import (
    AttackCheckpoint,
    Board,
    Curves,
    IterationProgress,
    RetrievalImages,
    RunFolder,
    SummaryTable,
)
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.utils.places import check_name

__all__ = ["run_attack", "trainer_options"]


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return what the trainer gets beside the user's options."""
    given = options["trainer"]
    name = options["name"]
    if name is None:
        called = getattr(model, "attack_name", "attack")
        name = check_name(called, "model.name, without --name the name of the run's folder,")
    own = [
        IterationProgress(), RunFolder(), Curves(), RetrievalImages(), Board(), SummaryTable(),
        AttackCheckpoint(options["checkpoint_every"]),
    ]  # fmt: skip
    found = {
        **place_of_run(given, options["runs"], f"attack/{name}"),
        "callbacks": merge_callbacks(given, own),
    }
    several = str(given["devices"]) != "1" or given["num_nodes"] > 1
    if given["strategy"] == "auto" and several:
        found["strategy"] = QueryParallelStrategy()
    return found
