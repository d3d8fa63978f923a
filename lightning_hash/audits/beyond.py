"""Robustness beyond a threat's epsilon, on the runs of an audit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_hash.attacks import APGD, RunStart
from lightning_hash.audits.curve import (
    LEVELS,
    Reached,
    curve,
    level_of,
    smallest_levels,
    unit_of,
)
from lightning_hash.audits.judge import most_won
from lightning_hash.audits.member_run import Runner, order_of
from lightning_hash.audits.suite import K, Member
from lightning_hash.audits.threats import Threat
from lightning_hash.audits.worst import Worst, ap_per_query, estimate, first_relevant
from lightning_hash.results.card import Point


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Attacks at other epsilons than a threat's, by one member of the suite.

    Attributes:
        runner: runs them.
        threat: the threat.
        member: the attack.
        queries: by index.
    """

    runner: Runner
    threat: Threat
    member: Member
    queries: Sequence[int]

    def curve(self, epsilons: Sequence[str], known: Reached) -> dict[str, Reached]:
        """Attack at several epsilons, each from where the last has ended.

        Args:
            epsilons: numbers or fractions.
            known: what the whole suite has reached at the threat's own.
        """

        def run(epsilon: str, previous: str | None) -> Reached:
            options: dict[str, Any] = {}
            if previous is not None:
                before = self.runner.folder / self.threat.name / _place(previous)
                options["start"] = RunStart(str(before))
            return self._attack(epsilon, self.queries, _place(epsilon), **options)

        return curve(epsilons, run, {self.threat.epsilon: known})

    def smallest(self, known: dict[str, Reached]) -> tuple[float | None, ...]:
        """Return the smallest epsilon per query that leaves nothing relevant in the first k.

        Args:
            known: what is reached at some epsilons.

        Returns:
            In [0, 1] units; ``None`` where there is none up to the largest level.
        """
        unit, shown = unit_of(self.threat.norm, self.threat.epsilon), {}
        for epsilon, reached in known.items():
            level = level_of(epsilon, unit)
            if level is not None:
                shown[level] = reached.broken.tolist()
        times: dict[int, int] = {}

        def run(level: int, rows: Sequence[int]) -> list[bool]:
            times[level] = times.get(level, 0) + 1
            epsilon = f"{level}/255" if self.threat.norm == "linf" else f"{level * unit:g}"
            numbers = [self.queries[row] for row in rows]
            place = f"{_place(epsilon)}-some-{times[level]}"
            found: list[bool] = self._attack(epsilon, numbers, place).broken.tolist()
            return found

        levels = smallest_levels(len(self.queries), run, shown, LEVELS)
        return tuple(None if level is None else level * unit for level in levels)

    def _attack(self, epsilon: str, queries: Sequence[int], place: str, **options: Any) -> Reached:
        run = self.runner.run(
            replace(self.threat, epsilon=epsilon), self.member, queries, name=place, **options
        )
        items = self.runner.databases.database
        rows = order_of(run, queries)
        ap, broken = torch.empty(len(rows), dtype=torch.float64), torch.empty_like(rows).bool()
        ap[rows] = ap_per_query(run.codes, run.labels, items, self.runner.ranking)
        broken[rows], _ = first_relevant(run.codes, run.labels, items, K)
        return Reached(ap, broken)


def strongest_by_apgd(members: Sequence[Member], values: Sequence[Tensor]) -> Member | None:
    """Return which attack by APGD was the first to reach the worst case of most queries.

    APGD keeps the best point of each query, so that a run that begins where another has ended gets
    no less far. Those that begin at random cannot begin there.

    Args:
        members: of one side.
        values: AP of each, float64 ``(Q,)``.
    """
    fit = [
        number
        for number, member in enumerate(members)
        if member.options.get("step") is APGD and not member.starts_at_random
    ]
    if not fit:
        return None
    worst = Worst.over([values[number] for number in fit], targeted=members[0].targeted)
    return members[most_won(worst, fit)]


def points(reached: dict[str, Reached]) -> tuple[Point, ...]:
    """Return the points of a curve."""
    return tuple(
        Point(epsilon=epsilon, worst=estimate(each.ap), broken=int(each.broken.sum()))
        for epsilon, each in reached.items()
    )


def _place(epsilon: str) -> str:
    return f"curve-{epsilon.replace('/', '_')}"
