"""The state of an attack by query: what its checkpoint holds under any batching."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks.targets import Targets
from lightning_hash.utils.distributed import gather_objects, gather_to_zero


@dataclass(frozen=True)
class Outcome:
    """What an attack made of its Q queries, ordered by index.

    Attributes:
        tensors: by name: ``index`` (Q,), ``labels`` (Q, C), ``clean_logits``, ``clean_codes``,
            ``codes``, ``codes_8bit`` (Q, K), ``perturbation`` (Q, ...) in the declared space,
            ``adversarial_8bit`` (Q, ...) uint8; ``length`` (Q,) of clips of several lengths.
        targets: the targets, where there were any.
    """

    tensors: dict[str, Tensor]
    targets: Targets | None

    def frames(self, row: int, clips: Tensor) -> Tensor:
        """Return the frames that there are of a row of clips ``(Q, T, ...)``."""
        length = int(self.tensors["length"][row]) if "length" in self.tensors else clips.shape[1]
        return clips[row, :length]

    @classmethod
    def gather(cls, batches: Iterable[dict[str, Tensor]]) -> "Outcome":
        """Join the rows of all processes.

        Args:
            batches: rows by name of each batch of this process; with ``target_labels``,
                ``anchor_index`` and ``anchor_codes`` where there are targets.

        Returns:
            The outcome, the same on every process.
        """
        local = [{name: rows.cpu() for name, rows in batch.items()} for batch in batches]
        parts = [batch for batches in gather_objects(local) for batch in batches]
        order = torch.argsort(torch.cat([part["index"] for part in parts]))
        rows = {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}
        targets = None
        if "target_labels" in rows:
            labels = rows.pop("target_labels")
            targets = Targets(labels, rows.pop("anchor_index"), rows["anchor_codes"])
            rows["target_labels"] = labels
        return cls(rows, targets)


def pack(
    index: list[Tensor], perturbations: list[Tensor], optimizer: Optimizer
) -> dict[str, Any] | None:
    """Gather perturbations and optimizer state of all processes into rows per query, on rank 0.

    Args:
        index: query indices of each local batch, ``(B,)`` int64.
        perturbations: the parameters of each local batch, ``(B, ...)``.
        optimizer: the optimizer that steps them.

    Returns:
        ``index`` (Q,), ``perturbation`` (Q, ...), ``state`` {name: (Q, ...) per query, or a scalar
        that all queries share} and ``options``, the optimizer's options. Ordered by index. ``None``
        on the other ranks.
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
    parts = gather_to_zero(local)
    if parts is None:
        return None
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
