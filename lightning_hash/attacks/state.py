"""The state of an attack by query: what its checkpoint holds under any batching."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks.targets import Targets


@dataclass(frozen=True)
class Outcome:
    """What an attack made of its Q queries, ordered by index.

    Attributes:
        tensors: by name: ``index`` (Q,), ``labels`` (Q, C), ``clean_codes``, ``codes``,
            ``codes_8bit`` (Q, K) int8, ``perturbation`` (Q, ...) in the declared space,
            ``adversarial_8bit`` (Q, ...) uint8.
        targets: the targets, where there were any.
    """

    tensors: dict[str, Tensor]
    targets: Targets | None

    @classmethod
    def gather(cls, local: dict[str, Tensor]) -> "Outcome":
        """Join the rows of all processes.

        Args:
            local: rows of this process by name, and ``target_labels``, ``anchor_index`` and
                ``anchor_codes`` where there are targets; empty where it has no queries.

        Returns:
            The outcome, the same on every process.
        """
        parts = [part for part in gather_objects(local) if part]
        order = torch.argsort(torch.cat([part["index"] for part in parts]))
        rows = {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}
        targets = None
        if "target_labels" in rows:
            labels = rows.pop("target_labels")
            targets = Targets(labels, rows.pop("anchor_index"), rows["anchor_codes"])
            rows["target_labels"] = labels
        return cls(rows, targets)


def gather_objects(local: Any) -> list[Any]:
    """Return every process's object, in the order of the ranks."""
    parts = [local]
    if dist.is_available() and dist.is_initialized():
        parts = [None] * dist.get_world_size()
        dist.all_gather_object(parts, local)
    return parts


def pack(index: list[Tensor], perturbations: list[Tensor], optimizer: Optimizer) -> dict[str, Any]:
    """Gather perturbations and optimizer state of all processes into rows per query.

    Args:
        index: query indices of each local batch, ``(B,)`` int64.
        perturbations: the parameters of each local batch, ``(B, ...)``.
        optimizer: the optimizer that steps them.

    Returns:
        ``index`` (Q,), ``perturbation`` (Q, ...), ``state`` {name: (Q, ...) per query, or a scalar
        that all queries share} and ``options``, the optimizer's options. Ordered by index. The same
        on every process.
    """
    rows: dict[str, list[Tensor]] = {}
    shared: dict[str, Any] = {}
    for parameter in perturbations:
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor) and value.shape[:1] == parameter.shape[:1]:
                rows.setdefault(name, []).append(value.detach().cpu())
            elif value is not None:
                shared[name] = value.cpu() if isinstance(value, Tensor) else value
    local: dict[str, Any] = {
        "index": [i.cpu() for i in index],
        "perturbation": [p.detach().cpu() for p in perturbations],
        "rows": rows,
        "shared": shared,
    }
    parts = gather_objects(local)
    joined = torch.cat([i for part in parts for i in part["index"]])
    order = torch.argsort(joined)
    names = {name for part in parts for name in part["rows"]}
    return {
        "index": joined[order],
        "perturbation": torch.cat([p for part in parts for p in part["perturbation"]])[order],
        "rows": {
            name: torch.cat([r for part in parts for r in part["rows"].get(name, [])])[order]
            for name in sorted(names)
        },
        "shared": {name: value for part in parts for name, value in part["shared"].items()},
        "options": [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ],
    }


def unpack(packed: dict[str, Any], index: list[Tensor]) -> tuple[list[Tensor], dict[str, Any]]:
    """Lay a packed state out for other batches.

    Args:
        packed: what :func:`pack` returned.
        index: query indices of each local batch.

    Returns:
        The perturbation of each batch and the state dict of an optimizer whose single group holds
        these parameters in order.

    Raises:
        ValueError: if a query is not in the packed state.
    """
    known: Tensor = packed["index"]
    perturbations, states = [], {}
    for number, queries in enumerate(index):
        queries = queries.cpu()
        place = torch.searchsorted(known, queries).clamp(max=len(known) - 1)
        missing = queries[known[place] != queries]
        if len(missing):
            msg = (
                f"ckpt_path: the checkpoint has no perturbation for query {int(missing[0])}; it "
                "was made of other queries (n_queries, seed, data)"
            )
            raise ValueError(msg)
        perturbations.append(packed["perturbation"][place])
        state = {name: rows[place] for name, rows in packed["rows"].items()}
        # A copy for each parameter: optimizers count their steps in place.
        state |= {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in packed["shared"].items()
        }
        if state:
            states[number] = state
    group = {**packed["options"][0], "params": list(range(len(index)))}
    return perturbations, {"state": states, "param_groups": [group]}
