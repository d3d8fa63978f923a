"""What an attack's objective compares with, computed before the first iteration."""

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from lightning_hash.attacks import Objective, ReferenceState
from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.functional import sign_code
from lightning_hash.models.network import HashNetwork
from lightning_hash.victims.victim import Victim

if TYPE_CHECKING:
    from lightning_hash.modules.attack_loop import AttackLoop


class LogitsAndFeatures(nn.Module):
    """Return the logits of a hash network and what its hash layer sees, in one pass.

    Args:
        network: the network.
    """

    def __init__(self, network: HashNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return ``(B, K + D)`` of inputs ``(B, ...)`` in [0, 1]."""
        features = self.network.features(inputs, *lengths)
        return torch.cat([self.network.hash_layer(features), features], dim=1)


def pass_victim(victim: Victim, objective: Objective) -> Victim:
    """Return what an iteration passes the queries through.

    Args:
        victim: the victim.
        objective: what is minimised.

    Returns:
        The victim itself, or one that returns its features behind its logits.

    Raises:
        ValueError: if the objective sees features and the victim's hash layer is not known.
    """
    if objective.sees == "logits":
        return victim
    if not isinstance(victim.network, HashNetwork):
        msg = (
            f"objective {objective.name} sees what the hash layer sees; that of {victim.backbone} "
            "is not known: give a victim of a named backbone"
        )
        raise ValueError(msg)
    network = LogitsAndFeatures(victim.network).eval()
    return dataclasses.replace(victim, network=network, bits=None)


def compute_clean_codes(module: "AttackLoop") -> None:
    """Compute the logits and codes of the clean queries, in the attack's own batches.

    Args:
        module: the attack, on its device.

    Raises:
        ValueError: if logits are not finite, or the database's codes have another length.
    """
    if module.network.bits is None:  # a process without queries must know it too
        first = module.queries.load_batch(0)
        inputs, _, _, *lengths = (part[:1].to(module.device) for part in first)
        module.exact_logits(inputs, *lengths)
    for number, batch in enumerate(module.batches):
        batch.to(module.device)
        logits = module.exact_logits(module.clean(number), *batch.lengths_of())
        _check(module, logits, batch)
        batch.clean_logits, batch.clean_codes = logits, sign_code(logits)


def compute_references(module: "AttackLoop") -> None:
    """Compute what the objective compares with.

    Args:
        module: the attack, whose clean codes are computed.

    Raises:
        ValueError: if the objective needs what is not there.
    """
    databases = module.databases
    for batch in module.batches:
        targets = batch.targets
        state = ReferenceState(
            batch.clean_logits,
            None if targets is None else targets.anchor_codes.to(batch.clean_logits),
            anchor_features=_anchor_features(module, batch),
            labels=batch.labels,
            target_labels=None if targets is None else targets.labels,
            database=None if databases is None else _items(databases.database),
            voters=None if databases is None else _items(databases.voters),
        )
        batch.reference = module.objective.reference(state)


def _items(codes: CodeSet) -> tuple[Tensor, Tensor]:
    return codes.codes, codes.labels


def _anchor_features(module: "AttackLoop", batch: QueryBatch) -> Tensor | None:
    """Return the mean features ``(B, D)`` of each query's anchor set."""
    if module.objective.sees == "logits" or batch.targets is None or module.databases is None:
        return None
    source = module.queries.source
    items: Any = source.database_set if module.databases.open_set is None else source.open_set
    network, rows = cast(HashNetwork, module.victim.network), []
    for anchor in batch.targets.anchor_index:
        batch_of_items = default_collate([items[int(item)] for item in anchor])
        inputs, _, _, *lengths = (part.to(module.device) for part in batch_of_items)
        with torch.no_grad(), module.trainer.precision_plugin.forward_context():
            rows.append(network.features(inputs, *lengths).float().mean(dim=0))
    return torch.stack(rows) if rows else batch.clean_logits.new_empty(0, 0)


def _check(module: "AttackLoop", logits: Tensor, batch: QueryBatch) -> None:
    bad = batch.index[~torch.isfinite(logits).all(dim=1)]
    if len(bad):
        msg = (
            f"victim: its logits are not finite for {len(bad)} clean queries, first index "
            f"{int(bad[0])}; look at the weights and at these inputs"
        )
        raise ValueError(msg)
    databases = module.databases
    if databases is not None and databases.database.bits != logits.shape[1]:
        msg = (
            f"the database's codes have {databases.database.bits} bits, the victim "
            f"{module.victim.backbone} makes {logits.shape[1]}; they must be of one model"
        )
        raise ValueError(msg)
