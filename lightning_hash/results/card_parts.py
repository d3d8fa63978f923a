"""The parts of a card: one number, one attack, one threat model, one check, one query."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from lightning_hash.results.tables import with_error

DIGITS = 3
Sees = Literal["gradients", "logits", "codes", "distances", "ids"]


CLEAN_QUERY = "clean"  # stands for an attack, where none did worse than to leave a query alone


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over queries.

    Attributes:
        value: the mean, in [0, 1].
        se: its standard error over the queries; ``None`` of a single query.
        n: queries that it is the mean of.
    """

    value: float
    se: float | None
    n: int

    def __str__(self) -> str:
        return with_error(self.value, self.se, DIGITS)


@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """What one attack of the suite has come to.

    Attributes:
        name: of the member, such as ``apgd-hag``.
        result: MAP, of a targeted member t-MAP, of the 8-bit images; a query that was left alone
            counts with what the members before had made of it.
        won: queries of which this member is the first to reach the worst AP (the best t-AP).
        left_alone: queries that the members before had brought to the end already.
        iterations: that were run.
        questions: asked of the victim, mean per query; ``None`` of members that take gradients.
        budget_used: mean share of the budget; ``None`` where nobody says.
        seconds: time that it took.
        warnings: of its run, one line each.
        attack: the settings of the attack, as in its result rows.
    """

    name: str
    result: Estimate
    won: int
    left_alone: int
    iterations: int
    questions: float | None
    budget_used: float | None
    seconds: float
    warnings: tuple[str, ...] = ()
    attack: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Side:
    """The members of one goal, untargeted or targeted, and the worst case over them per query.

    Attributes:
        worst: mean over queries of the lowest AP (targeted: the highest t-AP) of any member and of
            the clean query, which an adversary may leave alone.
        clean: the same metric of the clean queries.
        ceiling: t-MAP of the anchor codes themselves; ``None`` untargeted.
        noise: the same metric of uniform noise in the budget; ``None`` where it was not tried.
        broken: queries with nothing relevant (targeted: nothing but items of the target) among the
            first ``k`` that they retrieve, whatever the order of ties.
        k: how many that is; 10 in suite v1.
        members: in the order in which they were run.
    """

    worst: Estimate
    clean: Estimate
    ceiling: Estimate | None
    noise: Estimate | None
    broken: int
    k: int
    members: tuple[MemberResult, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the curve of MAP against epsilon.

    Attributes:
        epsilon: such as ``4/255``.
        worst: worst-case MAP at it.
        broken: as in :class:`Side`.
    """

    epsilon: str
    worst: Estimate
    broken: int

    @property
    def size(self) -> float:
        """Epsilon as a number, in [0, 1] units."""
        return epsilon_number(self.epsilon)


@dataclass(frozen=True, kw_only=True)
class ThreatResult:
    """The answer under one threat model.

    Attributes:
        name: such as ``linf-8``.
        norm: ``linf`` or ``l2``.
        epsilon: in [0, 1] units, as a fraction such as ``8/255`` or a number such as ``0.5``.
        sees: what the attacker sees of the victim.
        questions: that he may ask about each query; ``None`` where he has gradients.
        untargeted: MAP; ``None`` where there is nothing to rank.
        targeted: t-MAP; ``None`` where there are no targets.
        curve: MAP at several epsilons, the smallest first; empty where it was not wanted.
        smallest: per query the smallest epsilon in [0, 1] units at which nothing relevant is left
            in the first k, ``None`` where there is none up to the largest tried; empty where it was
            not wanted.
    """

    name: str
    norm: Literal["linf", "l2"]
    epsilon: str
    sees: Sees
    questions: int | None
    untargeted: Side | None
    targeted: Side | None
    curve: tuple[Point, ...] = ()
    smallest: tuple[float | None, ...] = ()

    @property
    def size(self) -> float:
        """Epsilon as a number, in [0, 1] units."""
        return epsilon_number(self.epsilon)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that would make the numbers not worth believing, and what was found.

    Attributes:
        name: of the check, such as ``zero-gradient``; the docs have a heading of this name.
        threat: of which threat's numbers; ``None`` is the victim itself.
        figure: what was measured; ``None`` where it could not be, which ``said`` explains.
        threshold: what it is held against.
        failed: whether the numbers are to be doubted.
        said: one sentence with the figure.
        remedy: what to do; empty where nothing is wrong.
    """

    name: str
    threat: str | None
    figure: float | None
    threshold: float
    failed: bool
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        where = self.name if self.threat is None else f"{self.name} ({self.threat})"
        return f"{where}: {self.said}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """A query, before and after.

    Attributes:
        index: in the query set.
        path: as in the data's lists; empty without.
        label: names of its labels, joined by ``|``.
        target: the same of its target; empty without.
        clean: AP of the clean query; ``None`` where it has no relevant item.
        members: by threat and member (``linf-8/hag``) AP, or t-AP of a targeted one, of the 8-bit
            image; a query that was left alone has no entry.
        worst: by threat, the lowest AP and the member that was first to reach it.
        best: by threat, the highest t-AP and the member that was first to reach it.
    """

    index: int
    path: str
    label: str
    target: str
    clean: float | None
    members: Mapping[str, float]
    worst: Mapping[str, tuple[float, str]]
    best: Mapping[str, tuple[float, str]]


def epsilon_number(text: str) -> float:
    """Return epsilon as a number.

    Args:
        text: a fraction or a decimal number.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> epsilon_number("0.5"), epsilon_number("51/255")
        (0.5, 0.2)
    """
    return float(Fraction(text))
