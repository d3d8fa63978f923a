"""What keeps the numbers of an attack from being believed: looked for before it and after it.

An attack that cannot work looks like a victim that cannot be attacked. Each doubt is one line, said
once as a warning, and stands in the result rows as ``warnings``.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_hash.attacks import Budget, Perturbation, Queries
from lightning_hash.functional import RankingOptions, frame_mask
from lightning_hash.models.network import HashNetwork
from lightning_hash.modules.chance import gain_over_chance
from lightning_hash.modules.databases import Databases
from lightning_hash.utils.distributed import any_process, gather_objects, sum_over_processes
from lightning_hash.victims.foreign import ForeignNetwork
from lightning_hash.victims.victim import Victim

# Share of the items that one code may have, where that is not the share of one label.
COLLAPSED = 0.9
# Fewer queries may have one code, or one target, by chance.
FEW = 10
# Queries that are passed twice, and how far their logits may differ, of the largest; in batches of
# another size a short number type rounds otherwise.
TWICE, CLOSE, NEAR = 4, 1e-3, 0.05
# Less of the budget used, and less of the way gone, is an attack that was too short.
USED, MOVED = 0.5, 0.5


def say(doubts: Sequence[str]) -> None:
    """Warn of doubts, each by itself."""
    for doubt in doubts:
        rank_zero_warn(f"doubtful: {doubt}")


def doubts_before(
    victims: Sequence[tuple[Victim, slice]],
    batches: Sequence[Queries],
    databases: Databases | None,
    ranking: RankingOptions,
    logits: Callable[..., Tensor],
    n_leaked: int | None,
) -> list[str]:
    """Look at victims, queries and targets before an attack; all processes call it together.

    Args:
        victims: each victim and its bits of the code.
        batches: this process's batches of queries, whose clean logits are known.
        databases: what the queries are ranked against, where anything is.
        ranking: how.
        logits: passes inputs and lengths through the victim.
        n_leaked: queries that are in the database, where known.

    Returns:
        The doubts, the same on every process.
    """
    found = doubts_of_passes(batches, logits)
    queries = _gathered(batches)
    several = len(victims) > 1
    for victim, part in victims:
        name = f"victim {victim.backbone}: " if several else ""
        values, codes = queries["logits"][:, part], queries["codes"][:, part]
        found += [name + doubt for doubt in _of_outputs(victim, values)]
        if databases is None:
            found += [name + doubt for doubt in _of_codes("queries", codes, None)]
            continue
        database = databases.database
        items = database.codes[:, part].cpu(), database.labels.cpu()
        collapsed = [
            doubt
            for what, *columns in (
                ("database", *items), ("queries", codes, queries["labels"])
            )
            for doubt in _of_codes(what, *columns)
        ]  # fmt: skip
        of_map = _of_map(codes, items[0], queries["labels"], items[1], ranking)
        found += [name + doubt for doubt in (*collapsed, *of_map)]
    if "targets" in queries:
        own = queries["labels"] if databases is None or databases.open_set is None else None
        candidates = databases is not None and databases.queries is not None
        found += _of_targets(queries["targets"], own, candidates=candidates)
    if n_leaked and databases is not None:
        found.append(
            f"{n_leaked} queries of the query set are in the database, where each finds itself"
        )
    return found


def doubts_of_passes(batches: Sequence[Queries], logits: Callable[..., Tensor]) -> list[str]:
    """Look whether a query's output is one; all processes call it together.

    Args:
        batches: this process's batches of queries.
        logits: passes inputs and lengths through the victim.

    Returns:
        The doubts, the same on every process.
    """
    again, apart = (any_process(each) for each in _differs(batches, logits))
    if again:
        return [
            "the victim returns other outputs for the same queries: is dropout active, or noise?"
        ]
    if apart:
        return [
            "the victim's outputs for a query depend on the other queries of its batch: does a "
            "batch norm take the batch's own mean? Its numbers hold for these batches alone"
        ]
    return []


def _gathered(batches: Sequence[Queries]) -> dict[str, Tensor]:
    """Return clean logits, codes, labels and targets of the queries of all processes."""
    local = []
    for queries in batches:
        columns = {
            "index": queries.index, "logits": queries.clean_logits, "codes": queries.clean_codes,
            "labels": queries.labels,
        }  # fmt: skip
        if queries.targets is not None:
            columns["targets"] = queries.targets.labels
        local.append({name: rows.detach().cpu() for name, rows in columns.items()})
    parts = [part for parts in gather_objects(local) for part in parts if len(part["index"])]
    order = torch.argsort(torch.cat([part["index"] for part in parts]))
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: torch.cat([part[name] for part in parts])[order] for name in names}


def _differs(batches: Sequence[Queries], logits: Callable[..., Tensor]) -> tuple[bool, bool]:
    """Return whether two passes of the same queries differ, and passes of them in two halves."""
    queries = next((each for each in batches if len(each.index)), None)
    if queries is None:
        return False, False

    def passed(start: int, stop: int) -> Tensor:
        rows = slice(start, stop)
        return logits(queries.inputs[rows], *queries.lengths_of(rows))

    again, apart = pass_again(passed, min(TWICE, len(queries.index)))
    return again > CLOSE, apart > NEAR


def pass_again(passed: Callable[[int, int], Tensor], count: int) -> tuple[float, float]:
    """Measure how far logits of the same queries lie apart.

    Args:
        passed: ``(start, stop) -> (n, K)``, passes some of the queries as one batch.
        count: queries to pass.

    Returns:
        The largest difference between two passes, and between a pass and passes of two halves, each
        over the largest logit. Fewer than ``TWICE`` queries are not halved.
    """
    one, other = passed(0, count), passed(0, count)
    apart = other
    if count >= TWICE:  # halves of two: exported programs may refuse batches of one
        apart = torch.cat([passed(0, count // 2), passed(count // 2, count)])
    return difference(other, one), difference(apart, one)


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of logits ``(B, K)``, over the largest of ``other``."""
    if not len(one):
        return 0.0
    most, largest = (float(each.abs().max()) for each in (one - other, other))
    return most / largest if largest else (math.inf if most else 0.0)


def differ(one: Tensor, other: Tensor) -> bool:
    """Return whether logits of the same queries ``(B, K)`` differ by more than rounding."""
    return difference(one, other) > CLOSE


def _of_outputs(victim: Victim, logits: Tensor) -> list[str]:
    """Doubt logits of a network of others that lie within [-1, 1]."""
    if victim.gives_codes:
        return []
    network = victim.network
    foreign = isinstance(network, ForeignNetwork)
    inner = network.network if foreign else network
    if isinstance(inner, HashNetwork) or (foreign and network.output != "logits"):
        return []  # no activation stands behind its hash layer, or the user has said which
    least, most = float(logits.min()), float(logits.max())
    if least < -1 or most > 1:
        return []
    return [
        f"the victim's outputs lie within [{least:.3g}, {most:.3g}] and are read as logits; where "
        "the network ends in tanh, wrap it so that it says so (output: tanh)"
    ]


def _of_codes(what: str, codes: Tensor, labels: Tensor | None) -> list[str]:
    """Doubt codes of which one has nearly all items, unless one label has as many."""
    if len(codes) < FEW:
        return []
    share = largest_share(codes)
    if share < COLLAPSED or (labels is not None and largest_share(labels) >= share):
        return []
    return [
        f"the victim has collapsed: one code for {share:.0%} of the {what}, so that a ranking says "
        "nothing; train it anew, or look at its inputs (preprocess)"
    ]


def largest_share(rows: Tensor) -> float:
    """Return the share of rows ``(N, ...)`` that are equal to the most frequent one."""
    _, counts = torch.unique(rows, dim=0, return_counts=True)
    return float(counts.max()) / len(rows)


def _of_map(
    codes: Tensor,
    database_codes: Tensor,
    labels: Tensor,
    database_labels: Tensor,
    ranking: RankingOptions,
) -> list[str]:
    """Doubt a clean MAP that cannot be told from that of a ranking at random."""
    gain = gain_over_chance(codes, database_codes, labels, database_labels, ranking)
    if gain is None:
        return ["no query has a relevant item in the database: MAP says nothing"]
    if gain.is_real:
        return []
    return [
        f"clean MAP is {gain.clean:.4f}, at chance ({gain.chance:.4f}, standard "
        f"error of the difference {gain.error:.4f}): there is no retrieval to attack; are these "
        "the victim's weights, database and preprocess?"
    ]


def _of_targets(targets: Tensor, labels: Tensor | None, *, candidates: bool) -> list[str]:
    """Doubt targets that are the queries' own labels, or all equal, which candidates' may be."""
    found = []
    if labels is not None:
        same = int((targets.to(labels) == labels).all(dim=1).sum())
        if same and candidates:
            found.append(
                f"the target of {same} of {len(targets)} candidates is their own label, whose "
                "queries retrieve them anyway"
            )
        elif same:
            found.append(
                f"the target of {same} of {len(targets)} queries is their own label: t-MAP counts "
                "what they retrieve anyway"
            )
    if not candidates and len(targets) >= FEW and len(torch.unique(targets, dim=0)) == 1:
        found.append(f"all {len(targets)} queries have one target: t-MAP is that of one label")
    return found


@torch.no_grad()
def share_used(
    budget: Budget,
    made: Iterable[tuple[Perturbation, Queries]],
    device: torch.device,
    iteration: int,
) -> float | None:
    """Return the mean share of the budget that perturbations use; all processes call it together.

    Args:
        budget: what they are in; says how it is measured, see :meth:`Budget.used`.
        made: the perturbation of each local batch, or the shared one, and the batch.
        device: where processes exchange numbers.
        iteration: iterations that were run.

    Returns:
        From 0 to 1; ``None`` for a budget that does not say.
    """
    sums, said = torch.zeros(2, dtype=torch.float64, device=device), True
    for perturbation, queries in made:
        perturbation.expect(queries.index, iteration)
        values = perturbation.values(queries.inputs)
        live = None if perturbation.shared else perturbation.live
        if live is None and queries.lengths is not None:
            live = frame_mask(queries.lengths, values.shape[1])
        used = budget.used(values, live)
        said &= used is not None
        if used is not None:
            sums += torch.stack([used.double().sum(), used.new_tensor(len(used)).double()])
    total, count = sum_over_processes(sums).tolist()
    return total / max(count, 1) if said else None


def share_of_way(codes: Tensor, clean: Tensor, goal: Tensor, *, targeted: bool) -> float:
    """Return how much of the way an attack has gone, mean over the queries of all processes.

    Args:
        codes: ``(Q, K)``, codes of the perturbed queries.
        clean: ``(Q, K)``, of the clean ones.
        goal: ``(Q, K)``, what they were to reach.
        targeted: whether there was a goal; otherwise the way is to flip every bit.

    Returns:
        Of an untargeted attack the share of bits flipped; of a targeted one how much of the Hamming
        distance to the goal is gone. Below 0 where it has grown.
    """
    if not targeted:
        return float((codes != clean).double().mean())
    before, after = ((each != goal).sum(dim=1).double() for each in (clean, codes))
    return float((1 - after / before.clamp(min=1)).mean())


def doubts_after(
    used: float | None, moved: float, largest: float, *, default_step: bool
) -> list[str]:
    """Look at what an attack of some iterations has come to.

    Args:
        used: share of the budget, where its kind says.
        moved: share of the way, see :func:`share_of_way`.
        largest: the largest |perturbation| of all queries.
        default_step: whether the step is the default, which cannot be its own remedy.

    Returns:
        The doubts.
    """
    if largest == 0:
        return [
            "the perturbations are exactly zero: nothing was attacked; give a longer step, or see "
            "whether a gradient reaches the input"
        ]
    if used is None or used >= USED or moved >= MOVED:
        return []
    remedy = "leave model.step out (its default fits any number of iterations)"
    if default_step:
        remedy = "give a step that does not depend on the gradient's size (model.step: SignStep)"
    return [
        f"the attack used {used:.0%} of its budget and went {moved:.0%} of its way: it was too "
        f"short to say anything of the victim; {remedy}, or run more iterations"
    ]
