"""The state of an attack: by query, so that it loads under any batching, or whole where shared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_hash.attacks.perturbations import Perturbation
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.targets import Targets
from lightning_hash.utils.distributed import gather_objects, gather_to_zero


@dataclass(frozen=True)
class Outcome:
    """What an attack made of its Q queries, ordered by index, or as they were chosen.

    Attributes:
        tensors: by name: ``index`` (Q,), ``labels`` (Q, C), ``clean_logits``, ``clean_codes``,
            ``codes``, ``codes_8bit`` (Q, K), ``perturbation`` (Q, ...) in the declared space,
            ``adversarial_8bit`` (Q, ...) uint8; ``length`` (Q,) of clips of several lengths;
            ``size`` (Q, 2), height and width of images of several sizes, behind which there are
            zeros; where surrogates made the perturbations, ``made_codes``, ``made_clean_codes`` and
            ``made_goal`` (Q, K') of these.
        targets: the targets, where there were any.
    """

    tensors: dict[str, Tensor]
    targets: Targets | None

    def way(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes, clean codes and goal ``(Q, K)`` of what the perturbations are made on."""
        made = "made_" if "made_codes" in self.tensors else ""
        goal = f"{made}goal" if f"{made}goal" in self.tensors else f"{made}clean_codes"
        names = f"{made}codes", f"{made}clean_codes", goal
        codes, clean, wanted = (self.tensors[name] for name in names)
        return codes, clean, wanted

    def image(self, row: int, images: Tensor) -> Tensor:
        """Return the image that there is in a row of images ``(Q, C, H, W)``."""
        if "size" not in self.tensors:
            return images[row]
        high, wide = self.tensors["size"][row].tolist()
        return images[row, :, :high, :wide]

    def frames(self, row: int, clips: Tensor) -> Tensor:
        """Return the frames that there are of a row of clips ``(Q, T, ...)``."""
        length = int(self.tensors["length"][row]) if "length" in self.tensors else clips.shape[1]
        return clips[row, :length]

    @classmethod
    def gather(
        cls, batches: Iterable[dict[str, Tensor]], chosen: Sequence[int] | None = None
    ) -> "Outcome":
        """Join the rows of all processes.

        Args:
            batches: rows by name of each batch of this process; with ``target_labels``,
                ``anchor_index`` and ``anchor_codes`` where there are targets.
            chosen: the indices of all queries in the order of the rows; by default they rise.

        Returns:
            The outcome, the same on every process.
        """
        local = [{name: rows.cpu() for name, rows in batch.items()} for batch in batches]
        parts = [batch for batches in gather_objects(local) for batch in batches]
        index = torch.cat([part["index"] for part in parts])
        if chosen is not None:
            places = {number: place for place, number in enumerate(chosen)}
            index = torch.tensor([places[int(number)] for number in index])
        order = torch.argsort(index)
        rows = {name: join_rows([part[name] for part in parts])[order] for name in parts[0]}
        targets = None
        if "target_labels" in rows:
            labels = rows.pop("target_labels")
            targets = Targets(labels, rows.pop("anchor_index"), rows["anchor_codes"])
            rows["target_labels"] = labels
        return cls(rows, targets)


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Put rows one behind the other; smaller ones are filled up with zeros, behind what they hold.

    Args:
        parts: each ``(n, ...)``, of one number of dimensions.

    Example:
        >>> join_rows([torch.ones(1, 2), torch.ones(1, 3)]).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) == 1:
        return torch.cat(list(parts))
    largest = [max(sides) for sides in zip(*shapes, strict=True)]
    rows = parts[0].new_zeros(sum(len(part) for part in parts), *largest)
    start = 0
    for part in parts:
        place = slice(start, start + len(part)), *(slice(side) for side in part.shape[1:])
        rows[place] = part
        start += len(part)
    return rows


def sizes_of(parts: Sequence[Tensor]) -> Tensor | None:
    """Return the shape of each row ``(Q, d)`` int64; ``None`` where all have one."""
    if len({part.shape[1:] for part in parts}) == 1:
        return None
    return torch.cat([torch.tensor(part.shape[1:]).expand(len(part), -1) for part in parts])


def pack(
    batches: Sequence[Queries],
    perturbations: Sequence[Perturbation],
    optimizers: Sequence[Optimizer],
) -> dict[str, Any] | None:
    """Gather the state of all processes into rows per query, on rank 0.

    Args:
        batches: the local batches.
        perturbations: theirs.
        optimizers: theirs.

    Returns:
        ``index`` (Q,), ``rows`` {name: (Q, ...)} of parameters, questions and optimizer state,
        ``shared`` {name: what all queries share} and ``options`` of the optimizer; ordered by
        index. Optimizer state that a batch has not is 0, as it is before a first step, and
        ``known`` {name: (Q,) bool} says so. Rows of several shapes are filled up with zeros, and
        ``sizes`` {name: (Q, d) int64} are their shapes. ``None`` on the other ranks.
    """
    local = [_packed(*each) for each in zip(batches, perturbations, optimizers, strict=True)]
    gathered = gather_to_zero(local)
    if gathered is None:
        return None
    parts = [part for parts in gathered for part in parts]
    index = torch.cat([part["index"] for part in parts])
    order = torch.argsort(index)
    examples = {name: rows for part in parts for name, rows in part["rows"].items()}

    def rows_of(name: str) -> list[Tensor]:
        like = examples[name]
        return [
            part["rows"].get(name, like.new_zeros(len(part["index"]), *like.shape[1:]))
            for part in parts
        ]

    known = {
        name: torch.cat([torch.full_like(p["index"], name in p["rows"]) for p in parts]).bool()
        for name in examples
    }
    return {
        "index": index[order],
        "rows": {name: join_rows(rows_of(name))[order] for name in sorted(examples)},
        "sizes": {
            name: sizes[order]
            for name in sorted(examples)
            if (sizes := sizes_of(rows_of(name))) is not None
        },
        "known": {name: mask[order] for name, mask in known.items() if not mask.all()},
        "shared": {name: value for part in parts for name, value in part["shared"].items()},
        "options": parts[0]["options"],
    }


def _packed(queries: Queries, perturbation: Perturbation, optimizer: Optimizer) -> dict[str, Any]:
    rows = {name: getattr(queries, name).cpu() for name in ("asked", "done", "sloped")}
    if queries.said is not None:
        rows["said"] = queries.said.cpu()
    shared: dict[str, Any] = {}
    for name, parameter in perturbation.named_parameters():
        rows[f"parameter/{name}"] = parameter.detach().cpu()
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor) and value.shape[:1] == parameter.shape[:1]:
                rows[f"state/{name}/{key}"] = value.cpu()
            elif value is not None:
                shared[f"state/{name}/{key}"] = value.cpu() if isinstance(value, Tensor) else value
    (group,) = optimizer.param_groups
    options = {key: value for key, value in group.items() if key != "params"}
    return {"index": queries.index.cpu(), "rows": rows, "shared": shared, "options": options}


def unpack(
    packed: dict[str, Any], batches: Sequence[Queries], perturbations: Sequence[Perturbation]
) -> tuple[list[dict[str, Tensor]], list[dict[str, Any]]]:
    """Lay a packed state out for other batches.

    Args:
        packed: what :func:`pack` returned.
        batches: the local batches; their questions are set.
        perturbations: theirs, whose parameters are named as those that were packed.

    Returns:
        The parameters of each perturbation by name, and the state dicts of optimizers whose single
        group holds these parameters in order.

    Raises:
        ValueError: if a query is not in the packed state, or the state is of other inputs or
            damaged.
    """
    known: Tensor = packed["index"]
    parameters, states = [], []
    for queries, perturbation in zip(batches, perturbations, strict=True):
        index = queries.index.cpu()
        place = torch.searchsorted(known, index).clamp(max=len(known) - 1)
        missing = index[known[place] != index]
        if len(missing):
            msg = (
                f"ckpt_path: the checkpoint has no perturbation for query {int(missing[0])}; it "
                "was made of other queries (n_queries, seed, data)"
            )
            raise ValueError(msg)
        _check_rows(packed, perturbation, place)
        unknown = [n for n, mask in packed.get("known", {}).items() if not mask[place].any()]
        unknown += [] if len(place) else packed.get("sizes", {})
        named = [(n, values) for n, values in packed["rows"].items() if n not in unknown]
        rows = {name: _cut(packed, name, place) for name, values in named}
        queries.asked = rows["asked"].to(queries.asked.device)
        queries.done = rows["done"].to(queries.done.device)
        queries.said = rows["said"].to(queries.done.device) if "said" in rows else None
        # Checkpoints of earlier versions do not say it, and have said their doubts.
        queries.sloped = rows.get("sloped", torch.ones_like(rows["done"])).to(queries.done.device)
        named_own = {name: p.detach() for name, p in perturbation.named_parameters()}
        parameters.append({n: rows.get(f"parameter/{n}", own) for n, own in named_own.items()})
        state = {number: _state(packed, rows, name) for number, name in enumerate(named_own)}
        group = {**packed["options"], "params": list(range(len(named_own)))}
        states.append({"state": {k: v for k, v in state.items() if v}, "param_groups": [group]})
    return parameters, states


def _cut(packed: dict[str, Any], name: str, place: Tensor) -> Tensor:
    """Return rows of one shape as they were before they were filled up."""
    rows: Tensor = packed["rows"][name][place]
    sizes = packed.get("sizes", {}).get(name)
    if sizes is None:
        return rows
    return rows[(slice(None), *(slice(int(side)) for side in sizes[place[0]]))]


def _check_rows(packed: dict[str, Any], perturbation: Perturbation, place: Tensor) -> None:
    """Refuse rows that are not one for each query, or of another shape than a parameter's."""
    count, rows, sizes = len(packed["index"]), packed["rows"], packed.get("sizes", {})
    wanted: dict[str, tuple[int, ...]] = {"asked": (), "done": ()}
    wanted |= {f"parameter/{n}": tuple(p.shape[1:]) for n, p in perturbation.named_parameters()}
    for name in [*wanted, *rows]:
        found = tuple(rows[name].shape) if name in rows else None
        own = sizes.get(name)
        if found is not None and own is not None:
            if own.shape == (count, len(found) - 1):
                if not len(place):
                    continue
                several = own[place].unique(dim=0).tolist()
                found = (count, *several[0]) if len(several) == 1 else None
            else:
                found = None
        shape = (count, *wanted.get(name, (found or ())[1:]))
        if found != shape:
            msg = (
                f"ckpt_path: the checkpoint's {name} has the shape {found}, {shape} is needed; it "
                "is of other inputs, of another version of this program or damaged: start anew "
                "without ckpt_path"
            )
            raise ValueError(msg)


def _state(packed: dict[str, Any], rows: dict[str, Tensor], name: str) -> dict[str, Any]:
    prefix = f"state/{name}/"
    found: dict[str, Any] = {
        key.removeprefix(prefix): value for key, value in rows.items() if key.startswith(prefix)
    }
    if not found and any(key.startswith(prefix) for key in packed["rows"]):
        return {}  # these queries were not stepped
    # A copy for each parameter: optimizers count their steps in place.
    found |= {
        key.removeprefix(prefix): value.clone() if isinstance(value, Tensor) else value
        for key, value in packed["shared"].items()
        if key.startswith(prefix)
    }
    return found
