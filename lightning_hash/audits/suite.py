"""The standard suite: which attacks are run, how long, in which order. A version never changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from lightning_hash.attacks import (
    APGD,
    HAG,
    L2,
    PTA,
    SAAT,
    AlphaSchedule,
    AnchorCode,
    FeatureShift,
    Hinge,
    Objective,
    Oracle,
    Square,
)
from lightning_hash.attacks.oracle import Shows
from lightning_hash.audits.threats import Threat
from lightning_hash.victims.victim import Victim

K = 10  # ranks in which something relevant must be left
TOP = 100  # items that are retrieved, where an adversary sees distances or ids
QUICK = "-quick"


@dataclass(frozen=True, kw_only=True)
class Member:
    """An attack of the suite.

    Attributes:
        name: of it.
        objective: makes what is minimised; an objective belongs to one run.
        iterations: its length; of a search the questions about each query.
        targeted: whether it has a goal.
        options: further arguments of :class:`lightning_hash.AttackModule`.
        searches: whether it asks, and takes no gradient.
        sees_features: whether it looks at what the hash layer sees, which a foreign network hides.
        starts_at_random: whether it begins at a random place in the budget.
        needs_negatives: whether every query must have items of a label that its target has not.
    """

    name: str
    objective: Callable[[], Objective]
    iterations: int
    targeted: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    searches: bool = False
    sees_features: bool = False
    starts_at_random: bool = False
    needs_negatives: bool = False

    def arguments(
        self, threat: Threat, victim: Victim, start_seed: int | None, n_items: int
    ) -> dict[str, Any]:
        """Return the arguments of the AttackModule that decide the perturbations.

        Args:
            threat: budget, and what is seen.
            victim: one that gives codes shows a search no more.
            start_seed: of a random start; the member's own start where it is ``None``.
            n_items: of the database, of which at most so many are shown.
        """
        found = {"objective": self.objective(), "epsilon": threat.epsilon, **self.options}
        if threat.norm == "l2":
            found["budget"] = L2
        if self.starts_at_random or start_seed is not None:
            found["start_seed"] = start_seed or 0
        if self.searches:
            shows: Shows = "logits"
            if threat.sees != "gradients":
                shows = threat.sees
            elif victim.gives_codes:
                shows = "codes"
            found["oracle"] = Oracle(shows, top=min(TOP, n_items))
        return found


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A version of the suite.

    Attributes:
        name: ``v1``; its short form is ``v1-quick``.
        n_queries: queries that are drawn, where nothing is said.
        members: the attacks, in their order; searches come last of their side.
        checks_longer: whether it is looked whether longer attacks and restarts change anything.
    """

    name: str
    n_queries: int
    members: tuple[Member, ...]
    checks_longer: bool = True

    @cached_property
    def by_name(self) -> Mapping[str, Member]:
        """The members by their names."""
        return {member.name: member for member in self.members}

    def of(self, threat: Threat, victim: Victim, has_gradient: bool = True) -> tuple[Member, ...]:
        """Return the members that a threat model allows and a victim admits.

        Args:
            threat: where it has no gradients, the searches are left. Square is a search of the
                L-infinity ball.
            victim: a foreign network has no features.
            has_gradient: whether its outputs have one; searches need none.
        """
        blind = not (threat.white_box and has_gradient)
        return tuple(
            member
            for member in self.members
            if (member.searches or not blind)
            and (threat.norm == "linf" or not member.searches)
            and not (member.sees_features and not has_features(victim))
        )


def has_features(victim: Victim) -> bool:
    """Return whether what the hash layer sees of an input can be looked at."""
    try:
        victim.check_features()
    except ValueError:
        return False
    return True


def _members(hag: int, apgd: int, square: int) -> tuple[Member, ...]:
    """Return the members of version 1 at some lengths."""
    flat = AlphaSchedule([1.0], [0.0])  # losses at two slopes cannot be compared
    gradient = {"step": APGD, "alpha": flat}
    search = {"step": Square, "alpha": flat}

    def by_apgd(name: str, objective: Callable[[], Objective], **more: Any) -> Member:
        return Member(name=name, objective=objective, iterations=apgd, options=gradient, **more)

    def by_square(name: str, objective: Callable[[], Objective], **more: Any) -> Member:
        return Member(
            name=name, objective=objective, iterations=square, options=search, searches=True, **more
        )

    return (
        Member(name="hag", objective=HAG, iterations=hag),
        by_apgd("apgd-hag", HAG),
        by_apgd("apgd-mainstay", SAAT),
        by_apgd("apgd-hinge", Hinge),
        by_apgd("apgd-feature", FeatureShift, sees_features=True, starts_at_random=True),
        by_square("square", Hinge),
        by_apgd("apgd-anchor", AnchorCode, targeted=True),
        by_apgd("apgd-mainstay-targeted", partial(SAAT, targeted=True), targeted=True),
        by_apgd("apgd-ranking", PTA, targeted=True, needs_negatives=True),
        by_square("square-targeted", AnchorCode, targeted=True),
    )


V1 = Suite(name="v1", n_queries=100, members=_members(hag=500, apgd=100, square=1000))
V1_QUICK = Suite(
    name=f"v1{QUICK}", n_queries=50, members=_members(hag=100, apgd=20, square=100),
    checks_longer=False,
)  # fmt: skip
