"""What every query retrieves before and after an attack, as a table."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks.state import Outcome
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import OPEN_SET, HashDataModule
from lightning_hash.functional import hamming_distance, shares_label
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.utils.escapes import csv_text
from lightning_hash.victims.joint import victim_names

QUERY_COLUMNS = ("victim", "query", "query_path", "label", "target", "rank")
ITEM_COLUMNS = ("distance", "split", "item", "path", "relevant", "relevant_to_target")
BEFORE_AND_AFTER = tuple(f"{when}_{c}" for when in ("before", "after") for c in ITEM_COLUMNS)
AT_A_TIME = 64


def retrieved_table(module: ScoreModule, outcome: Outcome, top: int) -> str:
    """Write a line for each victim, query and rank; what a query retrieved stands in one line each.

    ``before`` is the clean query, ``after`` what an adversary can send: the perturbed query rounded
    to 8 bits. Items at one distance are in the order of the database. An item is its place in its
    ``split``; a path is that of the data's lists, and empty where the data have none. ``relevant``
    is 1 where an item shares a label of the query, ``relevant_to_target`` where it shares one of
    the target, empty without targets. With an open set a targeted query retrieves from what t-MAP
    ranks.

    Args:
        module: a finished attack with databases.
        outcome: of all its queries.
        top: ranks; fewer where the database is smaller.

    Returns:
        CSV with a head, as :func:`lightning_hash.utils.escapes.csv_text` writes it. Names of
        several labels are joined by ``|``; a ``|`` within a name has a backslash in front, and so
        has a backslash. Bytes of paths that are no UTF-8 are escaped as Python escapes them.
    """
    evaluation = module.evaluation
    names = evaluation.names if module.victim.members else [victim_names([module.victim])]
    rows = (
        (name, *row)
        for name, part in zip(names, evaluation.parts, strict=True)
        for row in _rows(module, outcome, part, top)
    )
    return csv_text(itertools.chain([(*QUERY_COLUMNS, *BEFORE_AND_AFTER)], rows))


@dataclass(frozen=True)
class _Ranked:
    """N items that queries retrieve from, in the order of ties.

    Attributes:
        codes: ``(N, K)``.
        places: split, place in it and path of each.
        own: ``(N, C)``, labels in the columns of the queries' own.
        target: ``(N, C')``, labels in the columns of the targets.
    """

    codes: Tensor
    places: Sequence[tuple[str, int, str]]
    own: Tensor
    target: Tensor


def _rows(module: ScoreModule, outcome: Outcome, part: slice, top: int) -> Iterator[Any]:
    databases, source = module.databases, module.data.source
    assert databases is not None
    tensors, targets = outcome.tensors, outcome.targets
    before = _ranked(databases, source, part, aims=False)
    aims = module.targeted and targets is not None and databases.open_set is not None
    after = _ranked(databases, source, part, aims=True) if aims else before
    index, own = tensors["index"], tensors["labels"].cpu()
    target = None if targets is None else targets.labels.cpu()
    paths = source.paths_of("query")
    own_names = label_names(own, source.class_names)
    open_names = source.class_names if databases.open_set is None else source.open_class_names
    target_names = [""] * len(own) if target is None else label_names(target, open_names)
    for start in range(0, len(index), AT_A_TIME):
        rows = slice(start, start + AT_A_TIME)
        lists = [
            _retrieved(ranked, tensors[codes][rows, part], own[rows], target, rows, top)
            for ranked, codes in ((before, "clean_codes"), (after, "codes_8bit"))
        ]
        for number, (first, second) in enumerate(zip(*lists, strict=True), start):
            query = int(index[number])
            path = paths[query] if paths else ""
            head = (query, path, own_names[number], target_names[number])
            for rank, (one, other) in enumerate(zip(first, second, strict=False), 1):
                yield (*head, rank, *one, *other)


def _retrieved(
    ranked: _Ranked, codes: Tensor, own: Tensor, targets: Tensor | None, rows: slice, top: int
) -> list[list[tuple[Any, ...]]]:
    """Return the first items of each query of a chunk: a list of values by ITEM_COLUMNS."""
    distance = hamming_distance(codes.cpu(), ranked.codes)
    count = distance.shape[1]
    keys = distance.to(torch.int64) * count + torch.arange(count)  # no two are equal
    nearest = keys.topk(min(top, count), dim=1, largest=False).indices
    relevant = shares_label(own, ranked.own).gather(1, nearest).int().tolist()
    to_target: list[list[Any]] = [[""] * len(each) for each in relevant]
    if targets is not None:
        shared = shares_label(targets[rows], ranked.target)
        to_target = shared.gather(1, nearest).int().tolist()
    columns = distance.gather(1, nearest).int().tolist(), nearest.tolist(), relevant, to_target
    return [
        [(d, *ranked.places[item], r, t) for d, item, r, t in zip(*each, strict=True)]
        for each in zip(*columns, strict=True)
    ]


def _ranked(databases: Databases, source: HashDataModule, part: slice, *, aims: bool) -> _Ranked:
    """Return what queries retrieve from: the database, or what t-MAP ranks."""
    database, open_set = _ordered(databases.database), databases.open_set
    sets = [("database", database, True)]
    if open_set is not None and aims:
        sets = [
            *(sets if databases.target == "both" else []),
            (OPEN_SET, _ordered(open_set), False),
        ]
    places = []
    for split, items, _ in sets:
        paths = source.paths_of(split)
        places += [(split, i, paths[i] if paths else "") for i in items.index.tolist()]
    voters = databases.voters.labels
    one_kind = open_set is None
    return _Ranked(
        torch.cat([items.codes[:, part] for _, items, _ in sets]).cpu(),
        places,
        torch.cat([_in_columns(each, database.labels, known=own) for _, each, own in sets]).cpu(),
        torch.cat(
            [_in_columns(each, voters, known=one_kind or not own) for _, each, own in sets]
        ).cpu(),
    )


def _ordered(items: CodeSet) -> CodeSet:
    order = torch.argsort(items.index)
    return CodeSet(items.codes[order], items.labels[order], items.index[order])


def _in_columns(items: CodeSet, like: Tensor, *, known: bool) -> Tensor:
    """Return an item's labels, or none where they are of other columns."""
    return items.labels if known else like.new_zeros(len(items), like.shape[1])


def label_names(labels: Tensor, names: Sequence[str]) -> list[str]:
    """Return the names of each row's labels, joined by ``|``.

    Args:
        labels: ``(n, C)`` of 0/1.
        names: of the columns; a ``|`` or backslash in one gets a backslash in front.
    """
    parted = [name.replace("\\", r"\\").replace("|", r"\|") for name in names]
    return ["|".join(parted[i] for i in torch.nonzero(row).flatten().tolist()) for row in labels]
