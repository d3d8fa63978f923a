"""All attacks of a threat model on the same queries, and the worst case over them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_hash.audits.member_run import NOISE, MemberRun, Runner, order_of, with_targets
from lightning_hash.audits.suite import K, Member
from lightning_hash.audits.threats import Threat
from lightning_hash.audits.worst import Worst, ap_per_query, estimate, first_relevant, spread
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.functional import shares_label
from lightning_hash.modules.databases import Databases
from lightning_hash.results.card import CLEAN_QUERY, Estimate, MemberResult, Side
from lightning_hash.results.rows import ResultRow


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The attacks of one goal, and what each has come to.

    Attributes:
        targeted: whether the goal is a target.
        labels: ``(Q, C)``, what the queries are judged by: their own labels, or their targets.
        clean: float64 ``(Q,)``, AP or t-AP of the clean queries.
        noise: the same of noise in the budget.
        ceiling: the same of the anchor codes; ``None`` where there is no target.
        members: the attacks in their order.
        runs: of each; ``None`` where there was nothing left to attack.
        values: of each float64 ``(Q,)``, NaN where a query was left alone.
        broken: bool ``(Q,)``, see :class:`lightning_hash.results.card.Side`.
    """

    targeted: bool
    labels: Tensor
    clean: Tensor
    noise: Tensor
    ceiling: Tensor | None
    members: tuple[Member, ...]
    runs: tuple[MemberRun | None, ...]
    values: tuple[Tensor, ...]
    broken: Tensor

    @cached_property
    def worst(self) -> Worst:
        """The worst case; attack 0 is to leave the query as it is."""
        return Worst.over([self.clean, *self.values], targeted=self.targeted)

    def won_by(self, row: int) -> str:
        """Return the attack that was first to reach the worst case of a query."""
        number = int(self.worst.by[row])
        return CLEAN_QUERY if number == 0 else self.members[number - 1].name

    def side(self) -> Side:
        """Return the numbers of a card.

        Raises:
            ValueError: if no query has a relevant item.
        """
        return Side(
            worst=estimate(self.worst.values), clean=estimate(self.clean),
            ceiling=None if self.ceiling is None else estimate(self.ceiling),
            noise=estimate(self.noise), broken=int(self.broken.sum()), k=K,
            members=tuple(map(self._result, range(len(self.members)))),
        )  # fmt: skip

    def _result(self, number: int) -> MemberResult:
        run, values = self.runs[number], self.values[number]
        before = Worst.over([self.clean, *self.values[:number]], targeted=self.targeted).values
        result: Estimate = estimate(torch.where(values.isnan(), before, values))
        won = (self.worst.by == number + 1) & ~self.worst.values.isnan()
        said: dict[str, Any] = {
            "iterations": 0, "questions": None, "budget_used": None, "seconds": 0.0,
            "left_alone": len(values),
        }  # fmt: skip
        if run is not None:
            row = run.last
            said = {
                "iterations": row.iteration, "questions": row.queries, "attack": _attack_of(row),
                "budget_used": row.budget_used, "seconds": float(row.run["seconds"]),
                "warnings": tuple(row.warnings or ()), "left_alone": len(values) - len(run.index),
            }  # fmt: skip
        name = self.members[number].name
        return MemberResult(name=name, result=result, won=int(won.sum()), **said)


@dataclass(kw_only=True)
class ThreatRun:
    """Runs the attacks of a threat model, or reads what they have left.

    Attributes:
        threat: the threat model.
        runner: runs one attack.
        chosen: indices of the Q queries.
        databases: what they are ranked against.
        has_targets: whether every query has a target.
        tell: takes a line about each attack that has ended.
        noise: the run of uniform noise in the budget; it knows clean codes, labels and targets.
        runs: of the attacks so far, by the member's name.
    """

    threat: Threat
    runner: Runner
    chosen: Sequence[int]
    databases: Databases
    has_targets: bool
    tell: Callable[[str], None]
    noise: MemberRun = field(init=False)
    runs: dict[str, MemberRun] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.noise = self.runner.run(self.threat, NOISE, self.chosen)
        if self.has_targets:
            self.runner = with_targets(self.runner, self.place(NOISE))

    def place(self, member: Member) -> Path:
        """Return the folder of an attack."""
        return self.runner.folder / self.threat.name / member.name

    def items(self, *, targeted: bool) -> CodeSet:
        """Return what queries are ranked against."""
        return self.databases.ranked if targeted else self.databases.database

    def labels(self, run: MemberRun, *, targeted: bool) -> Tensor:
        """Return the labels that a run's queries are judged by."""
        labels = run.target_labels if targeted else run.labels
        assert labels is not None
        return labels

    def ap(self, run: MemberRun, codes: Tensor, *, targeted: bool) -> Tensor:
        """Return AP or t-AP, float64 ``(n,)``, of codes ``(n, K)`` of a run's queries."""
        labels = self.labels(run, targeted=targeted)
        return ap_per_query(codes, labels, self.items(targeted=targeted), self.runner.ranking)

    def run(self, members: Sequence[Member]) -> Scored | None:
        """Run attacks of one goal; each leaves alone what the ones before have brought to its end.

        Args:
            members: the attacks; those that need what some query has not are left out.

        Returns:
            What they have come to; ``None`` without members or without targets.
        """
        targeted = bool(members) and members[0].targeted
        if not members or (targeted and not self.has_targets):
            return None
        noise, count = self.noise, len(self.chosen)
        clean = self.ap(noise, noise.clean_codes, targeted=targeted)
        broken = self._broken(noise, noise.clean_codes, targeted=targeted)
        kept = tuple(each for each in members if not each.needs_negatives or self._have_negatives)
        runs: list[MemberRun | None] = []
        values: list[Tensor] = []
        for member in kept:
            left = Worst.over([clean, *values], targeted=targeted).left(targeted=targeted)
            run, found = None, dict[int, float]()
            if left:
                started = time.monotonic()
                run = self.runner.run(self.threat, member, [self.chosen[row] for row in left])
                self.runs[member.name] = run
                rows = order_of(run, self.chosen)
                ap = self.ap(run, run.codes, targeted=targeted)
                found = dict(zip(rows.tolist(), ap.tolist(), strict=True))
                broken[rows] |= self._broken(run, run.codes, targeted=targeted)
                self._say(member, ap, time.monotonic() - started)
            runs.append(run)
            values.append(spread(found, count))
        anchors = noise.anchor_codes if targeted else None
        return Scored(
            targeted=targeted, labels=self.labels(noise, targeted=targeted), clean=clean,
            noise=self.ap(noise, noise.codes, targeted=targeted), members=kept, runs=tuple(runs),
            ceiling=None if anchors is None else self.ap(noise, anchors, targeted=True),
            values=tuple(values), broken=broken,
        )  # fmt: skip

    def _broken(self, run: MemberRun, codes: Tensor, *, targeted: bool) -> Tensor:
        labels, items = self.labels(run, targeted=targeted), self.items(targeted=targeted)
        none, every = first_relevant(codes, labels, items, K)
        return every if targeted else none

    @cached_property
    def _have_negatives(self) -> bool:
        """Whether every query has items of its own label that its target has not."""
        if self.databases.open_set is not None:
            return True
        labels, noise = self.databases.database.labels, self.noise
        own = shares_label(noise.labels, labels)
        target = shares_label(self.labels(noise, targeted=True), labels)
        return bool((own & ~target).any(dim=1).all())

    def _say(self, member: Member, ap: Tensor, seconds: float) -> None:
        metric = "t-MAP" if member.targeted else "MAP"
        mean = float(ap.nanmean())
        what = f"{self.threat.name}/{member.name}"
        self.tell(f"{what}: {metric} {mean:.3f} of {len(ap)} queries, {seconds:.0f} s")


def _attack_of(row: ResultRow) -> dict[str, Any]:
    """Return the settings of an attack; the file of targets by its name, since folders differ."""
    attack = dict(row.attack or {})
    targets = attack.get("targets")
    if targets and targets.get("file"):
        attack["targets"] = {**targets, "file": Path(targets["file"]).name}
    return attack
