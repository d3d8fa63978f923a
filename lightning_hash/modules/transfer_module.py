"""Perturbations of finished attacks on another victim."""

import json
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from lightning_hash.attacks import Noise, TargetChoice
from lightning_hash.attacks.combine import Perturbations
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.protocol import inputs_sha256

# What a row says about the attack that made the perturbations.
ATTACK_FIELDS = (
    "objective", "step_rule", "lr", "momentum", "iterations", "alpha_schedule", "threshold",
    "inputs", "start_seed", "frames", "n_t", "anchor_set", "target_rule",
)  # fmt: skip
DATA_FIELDS = (
    "dataset", "data_seed", "inputs_sha256", "list_sha256_query", "list_sha256_database",
    "list_sha256_open_set", "n_query",
)  # fmt: skip


class TransferModule(AttackModule):
    """Score given perturbations on a victim; nothing is optimised (HAG IV-G).

    Args:
        victim: as in :class:`AttackModule`.
        perturbations: what is added to the queries; the images are clipped to [0, 1].
        targets: ``targets.json`` of the attacks; ``None`` measures no t-MAP.
        batch_size: queries at a time.
        precision_n: N of precision at N.
    """

    def __init__(
        self,
        victim: Any,
        perturbations: Perturbations,
        targets: Path | None = None,
        batch_size: int = 100,
        precision_n: int = 100,
    ) -> None:
        protocol = perturbations.protocol
        n_t = protocol.get("n_t")
        if targets is not None and n_t is None:
            n_t = len(next(iter(json.loads(targets.read_text()).values()))["anchor"])
        super().__init__(
            victim,
            objective=Noise(),
            epsilon=min(1.0, perturbations.epsilon),
            targets=TargetChoice(n_t or 1, file=None if targets is None else str(targets)),
            target_database=protocol["target_database"] or "auto",
            n_queries=protocol["n_query"],
            seed=protocol["seed"],
            batch_size=batch_size,
            precision_n=precision_n,
            top_k=protocol["top_k"],
            normalizer=protocol["normalizer"],
            empty=protocol["empty"],
            ties=protocol["ties"],
            name=perturbations.attack,
        )
        self.given, self.with_targets = perturbations, targets is not None

    @property
    def last_iteration(self) -> int:
        """The number of iterations that the perturbations were made in; 0 where they differ."""
        return int(self.given.protocol.get("iterations") or 0)

    def check_data(self, queries: QueryData) -> None:
        """Refuse data that the perturbations were not made for.

        Args:
            queries: the queries, set up.

        Raises:
            ValueError: naming what differs.
        """
        here: dict[str, Any] = {
            "dataset": queries.source.name,
            "data_seed": queries.source.seed,
            "inputs_sha256": inputs_sha256(queries.source),
            "n_query": len(queries.queries),
            **{f"list_sha256_{key}": v for key, v in queries.source.fingerprints().items()},
        }
        for field in DATA_FIELDS:
            wanted, found = self.given.protocol.get(field), here.get(field)
            if wanted != found:
                msg = (
                    f"the perturbations on {self.given.sources} are of other data: their {field} "
                    f"is {wanted!r}, that of these data {found!r}; give the data of the attacks"
                )
                raise ValueError(msg)

    def attach(self, queries: QueryData, databases: Databases | None, trainer: Trainer) -> None:
        """Take queries and databases, and say in the rows which attack made the perturbations."""
        super().attach(queries, databases, trainer)
        made = {field: self.given.protocol.get(field) for field in ATTACK_FIELDS}
        made |= {"sources": self.given.sources, "combination": self.given.combination}
        made |= {"restarts": self.given.restarts}
        self.protocol |= made

    def _choose(self, labels: Tensor, index: Tensor) -> Any:
        return super()._choose(labels, index) if self.with_targets else None

    def _start(self, inputs: Tensor, index: Tensor) -> Tensor:
        known = self.given.index
        place = torch.searchsorted(known, index).clamp(max=len(known) - 1)
        missing = index[known[place] != index]
        if len(missing):
            msg = f"the perturbations on {self.given.sources} have none for query {int(missing[0])}"
            raise ValueError(msg)
        values = self.given.values[place].to(inputs)
        if values.shape != inputs.shape:
            msg = (
                f"the perturbations on {self.given.sources} have the shape "
                f"{tuple(values.shape[1:])}, the queries {tuple(inputs.shape[1:])}"
            )
            raise ValueError(msg)
        return (inputs + values).clamp_(0, 1) - inputs
