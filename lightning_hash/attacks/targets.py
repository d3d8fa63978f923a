"""Which label each query is to retrieve, and whose codes vote for it (DHTA 3.2, 4.2)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.target_rows import read_target_json, read_target_rows
from lightning_hash.functional import anchor_code
from lightning_hash.functional.labels import CHUNK
from lightning_hash.utils.array_names import split_name
from lightning_hash.utils.numbers import check_seed
from lightning_hash.utils.settings import Part
from lightning_hash.utils.whole_file import write_whole

TargetRule = Literal["different", "disjoint"]


@dataclass(frozen=True)
class Targets:
    """The targets of Q queries.

    Attributes:
        labels: ``(Q, C)`` uint8, the target label vector of each query.
        anchor_index: ``(Q, n_t)`` int64, database indices of the items in its anchor set.
        anchor_codes: ``(Q, K)`` int8 of -1/+1, the component vote over their codes (DHTA Alg. 1).
    """

    labels: Tensor
    anchor_index: Tensor
    anchor_codes: Tensor


class TargetChoice(Part):
    """Draw a target label and an anchor set for each query, by seed, or read them from a file.

    The target is drawn among the database's label vectors that occur more than ``n_t`` times and
    that differ from the query's. The anchor set is drawn without replacement among the database
    items whose label vector equals the target. Each query's draw depends on the seed, its own index
    and the database only: neither on the other queries nor on the order of the database.

    Args:
        n_t: items in an anchor set; 9 in DHTA, 1 is P2P.
        rule: ``"different"`` (the papers: the vectors differ, and may share a label) or
            ``"disjoint"`` (they share no label).
        seed: seed of the draws.
        file: JSON object ``{"query index": {"target": [0, 1, ...], "anchor": [database index,
            ...]}}``, as ``targets.json`` of a run; ``"anchor"`` may be left out and is then drawn.
            Or a text or an array of target labels, a row of 0/1 or a class number for each query,
            as ``target_labels.txt`` of the DHTA authors.
        anchors: text or array with the ``n_t`` database indices of each query's anchor set, beside
            such a file, as their ``anchor_generation_indexes.txt``.
        queries: which queries the rows of these files are of, by index, or a file of these, as
            their ``attack_query_index.txt``; row i is of query i by default.
        label: one target for all queries: ``"drawn"`` by the seed, or the number of a class, whose
            anchor set is drawn among all items that have it, whatever else they have. The target of
            some queries is then their own label.
        own_anchors: beside ``label``: an anchor set of its own for each query in place of one for
            all, which one perturbation for all needs.

    Raises:
        ValueError: if ``n_t`` is below 1, ``rule`` is unknown, or files do not go together.
    """

    def __init__(
        self,
        n_t: int = 9,
        rule: TargetRule = "different",
        seed: int = 0,
        file: str | None = None,
        anchors: str | None = None,
        queries: list[int] | str | None = None,
        label: int | Literal["drawn"] | None = None,
        own_anchors: bool = False,
    ) -> None:
        if n_t < 1:
            msg = f"n_t must be at least 1, got {n_t}"
            raise ValueError(msg)
        if rule not in ("different", "disjoint"):
            msg = f"rule must be 'different' or 'disjoint', got {rule!r}"
            raise ValueError(msg)
        rows = file is not None and Path(file).suffix != ".json"
        if not rows and (anchors is not None or queries is not None):
            msg = f"anchors and queries go with a file of rows of target labels, got file {file!r}"
            raise ValueError(msg)
        check_seed("seed", seed)
        whole = isinstance(label, int) and not isinstance(label, bool) and label >= 0
        if not (whole or label in (None, "drawn")):
            msg = f"label must be the number of a class, 'drawn' or null, got {label!r}"
            raise ValueError(msg)
        if label is not None and file is not None:
            msg = f"label {label} is one target for all, and file {file} has others; give one"
            raise ValueError(msg)
        if own_anchors and label is None:
            msg = (
                "own_anchors goes with label: without one each query has its own anchor set anyway"
            )
            raise ValueError(msg)
        self.label, self.own_anchors = label, own_anchors
        self.n_t, self.rule, self.seed, self.file = n_t, rule, seed, file
        self.anchors, self.queries = anchors, queries

    @property
    def one_for_all(self) -> bool:
        """Whether all queries have the same target and anchor set."""
        return self.label is not None and not self.own_anchors

    def settings(self) -> dict[str, Any]:
        """Return the settings, with the sha256 of the files' contents."""
        files = {"file": self.file, "anchors": self.anchors, "queries": self.queries}
        digests = {f"{name}_sha256": _sha256(file) for name, file in files.items()}
        found = {**super().settings(), **digests}
        for name, needed in (("label", self.label is not None), ("own_anchors", self.own_anchors)):
            if not needed:  # rows that do not need it are as they were
                del found[name]
        return found

    def __call__(
        self,
        query_labels: Tensor,
        query_index: Tensor,
        database_codes: Tensor,
        database_labels: Tensor,
        database_index: Tensor,
        among: str = "database",
    ) -> Targets:
        """Choose the targets.

        Args:
            query_labels: ``(Q, C)`` of 0/1.
            query_index: ``(Q,)`` int, the queries' own indices.
            database_codes: ``(N, K)`` of -1/+1.
            database_labels: ``(N, C)`` of 0/1.
            database_index: ``(N,)`` int, the items' own indices.
            among: what these items are, for the messages.

        Returns:
            The targets, row by row as the queries came.

        Raises:
            ValueError: if no label vector occurs more than ``n_t`` times and differs from a
                query's, or the file does not fit the queries and the database.
        """
        order = torch.argsort(database_index)
        codes, labels = database_codes[order].cpu(), database_labels[order].to(torch.uint8).cpu()
        index = database_index[order].cpu()
        if len(query_index) == 0:
            return Targets(labels[:0], torch.empty(0, self.n_t, dtype=torch.int64), codes[:0])
        if self.label is not None:
            return self._same_label(codes, labels, index, query_index.tolist(), among)
        vectors, group, counts = torch.unique(
            labels, dim=0, return_inverse=True, return_counts=True
        )
        given = self._given(labels.shape[1])
        chosen_labels, chosen_items = [], []
        for label, query in zip(query_labels.to(torch.uint8).cpu(), query_index, strict=True):
            generator = query_generator(f"{self.seed}/{int(query)}")
            entry = given.get(str(int(query)))
            if self.file is not None and entry is None:
                msg = (
                    f"file {self.file}: no target for query {int(query)}; add it, or name the "
                    "queries of its rows in `queries`"
                )
                raise ValueError(msg)
            if entry is None:
                target = self._draw_label(label, vectors, counts, generator, among)
            else:
                target = self._given_label(entry, vectors, int(query), among)
            members = torch.nonzero(group == target).flatten()
            if entry is not None and "anchor" in entry:
                items = self._given_items(entry["anchor"], index, int(query), among)
                if (group[items] != target).any():
                    msg = (
                        f"{f'anchors {self.anchors}' if self.anchors else f'file {self.file}'}: "
                        f"the items of query {int(query)} have other labels than its target; the "
                        "database must stand in the order that the file was written for"
                    )
                    raise ValueError(msg)
            elif len(members) < self.n_t:
                msg = (
                    f"n_t = {self.n_t} is larger than the {len(members)} {among} items with the "
                    f"target label of query {int(query)}; lower n_t or give another target"
                )
                raise ValueError(msg)
            else:
                shuffled = torch.randperm(len(members), generator=generator)
                items = members[shuffled[: self.n_t]]
            chosen_labels.append(vectors[target])
            chosen_items.append(items)
        return Targets(
            labels=torch.stack(chosen_labels),
            anchor_index=torch.stack([index[items] for items in chosen_items]),
            anchor_codes=torch.stack([anchor_code(codes[items]) for items in chosen_items]),
        )

    def _same_label(
        self, codes: Tensor, labels: Tensor, index: Tensor, queries: list[int], among: str
    ) -> Targets:
        """Return one target for all, of the seed alone, and one anchor set or one for each."""
        generator, classes = query_generator(f"{self.seed}/all"), labels.shape[1]
        if isinstance(self.label, int):
            target = (torch.arange(classes) == self.label).to(labels)
            members = self._members(self.label, labels, among)
        else:
            vectors, group, counts = torch.unique(
                labels, dim=0, return_inverse=True, return_counts=True
            )
            number = self._draw_label(vectors.new_zeros(classes), vectors, counts, generator, among)
            target, members = vectors[number], torch.nonzero(group == number).flatten()
        generators = [generator]
        if self.own_anchors:
            generators = [query_generator(f"{self.seed}/{query}") for query in queries]
        drawn = [
            members[torch.randperm(len(members), generator=each)[: self.n_t]] for each in generators
        ]
        times = len(queries) // len(drawn)
        return Targets(
            labels=target.repeat(len(queries), 1),
            anchor_index=torch.stack([index[items] for items in drawn]).repeat(times, 1),
            anchor_codes=torch.stack([anchor_code(codes[items]) for items in drawn]).repeat(
                times, 1
            ),
        )

    def _members(self, label: int, labels: Tensor, among: str) -> Tensor:
        """Return the rows of the items that have a label, at least ``n_t``."""
        classes = labels.shape[1]
        if label >= classes:
            msg = f"label must be one of {classes} classes, from 0 on, got {label}"
            raise ValueError(msg)
        members = torch.nonzero(labels[:, label] > 0).flatten()
        if len(members) < self.n_t:
            counts = labels.long().sum(dim=0).tolist()
            enough = [number for number, count in enumerate(counts) if count >= self.n_t]
            msg = (
                f"label {label}: {len(members)} items of the {among} have it, n_t is {self.n_t}; "
                "give one of the labels that as many have "
                f"({', '.join(map(str, enough[:20])) or 'none'}), or lower n_t"
            )
            raise ValueError(msg)
        return members

    def _draw_label(
        self,
        label: Tensor,
        vectors: Tensor,
        counts: Tensor,
        generator: torch.Generator,
        among: str,
    ) -> int:
        different = self.rule == "different"
        # Many classes have as many vectors.
        rows = max(1, CHUNK // max(1, vectors.shape[1]))  # pragma: no mutate
        allowed = torch.cat(
            [
                (part != label).any(dim=1) if different else (part * label).sum(dim=1) == 0
                for part in torch.split(vectors, rows)
            ]
        )
        allowed &= vectors.sum(dim=1) > 0
        candidates = torch.nonzero(allowed & (counts > self.n_t)).flatten()
        if len(candidates) == 0:
            most = int(counts[allowed].max()) if allowed.any() else 0
            msg = (
                f"n_t = {self.n_t}: a target label must occur more than n_t times in the {among}, "
                f"but the most frequent label vector that is {self.rule} from a query's occurs "
                f"{most} times; lower n_t{'' if most else ', or give data of more labels'}"
            )
            raise ValueError(msg)
        return int(candidates[torch.randint(len(candidates), (), generator=generator)])

    def _given(self, classes: int) -> dict[str, dict[str, list[int]]]:
        """Return target and anchor set by query index; nothing without a file."""
        if self.file is None:
            return {}
        if Path(self.file).suffix == ".json":
            return read_target_json(Path(self.file))
        return read_target_rows(self.file, self.anchors, self.queries, classes)

    def _given_label(
        self, entry: dict[str, list[int]], vectors: Tensor, query: int, among: str
    ) -> int:
        target = torch.tensor(entry["target"])
        if target.shape != vectors.shape[1:]:
            msg = (
                f"file {self.file}: the target of query {query} has {target.numel()} columns, "
                f"the labels of the {among} {vectors.shape[1]}"
            )
            raise ValueError(msg)
        found = torch.nonzero((vectors == target).all(dim=1)).flatten()
        if len(found) == 0:
            msg = f"file {self.file}: no {among} item has the target label of query {query}"
            raise ValueError(msg)
        return int(found[0])

    def _given_items(self, anchor: list[int], index: Tensor, query: int, among: str) -> Tensor:
        wanted = torch.tensor(anchor)
        if len(wanted) != self.n_t:
            msg = (
                f"file {self.file}: the anchor set of query {query} has {len(wanted)} items, "
                f"n_t is {self.n_t}"
            )
            raise ValueError(msg)
        items = torch.searchsorted(index, wanted).clamp(max=len(index) - 1)
        if not torch.equal(index[items], wanted):
            msg = (
                f"file {self.file}: the anchor set of query {query} names items not in the {among}"
            )
            raise ValueError(msg)
        return items


def write_targets(path: Path, query_index: Tensor, targets: Targets) -> None:
    """Write targets in the form that ``TargetChoice(file=...)`` reads.

    Args:
        path: the JSON file to write.
        query_index: ``(Q,)`` int.
        targets: the targets of these queries.
    """
    content = {
        str(int(query)): {"target": label.tolist(), "anchor": items.tolist()}
        for query, label, items in zip(
            query_index, targets.labels, targets.anchor_index, strict=True
        )
    }
    write_whole(path, json.dumps(content).encode())


def _sha256(file: Any) -> str | None:
    """Return the sha256 of a file's content; ``None`` where there is none."""
    path = split_name(str(file))[0]
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
