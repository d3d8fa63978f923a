"""A card: what an audit says of one victim, as data. Written by audits, read by pages; no torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_hash.results.card_parts import (
    CLEAN_QUERY,
    Check,
    Estimate,
    MemberResult,
    Point,
    QueryResult,
    Sees,
    Side,
    ThreatResult,
)
from lightning_hash.results.card_words import Protocol, sentence
from lightning_hash.utils.nearest import offer

SCHEMA = 1
__all__ = [
    "CLEAN_QUERY",
    "SCHEMA",
    "Card",
    "Check",
    "Estimate",
    "MemberResult",
    "Point",
    "QueryResult",
    "Sees",
    "Side",
    "ThreatResult",
]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What an audit says of one victim.

    Attributes:
        schema: version of this format.
        suite: version of the suite, such as ``v1``; ``v1-quick`` is its short form.
        victim: as in result rows: ``name``, ``sha256``, ``backbone``, ``bits``, ``loss``, ...
        data: as in result rows: the data set, fingerprints and sizes of its splits.
        ranking: as in result rows, with ``relevance``: ``labels``, ``groups``, or ``clean`` where a
            query's own clean results stand for labels.
        run: ``version``, ``date`` (ISO 8601, UTC), ``seconds`` (of the attacks that a killed audit
            had ended too), ``devices``, ``kernels``.
        input_shape: of one query.
        chance: MAP of a ranking at random.
        threats: the first is the one that the sentence is about.
        checks: all that was looked at, failed or not.
        queries: in their order, from ``queries.csv``; empty where the card was read without it.
        about: what whoever made it says for the leaderboard: ``id``, ``paper``, ``venue``,
            ``weights``, ``by``; empty by default.
    """

    schema: int = SCHEMA
    suite: str
    victim: Mapping[str, Any]
    data: Mapping[str, Any]
    ranking: Mapping[str, Any]
    run: Mapping[str, Any]
    input_shape: tuple[int, ...]
    chance: float
    threats: tuple[ThreatResult, ...]
    checks: tuple[Check, ...]
    queries: tuple[QueryResult, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def map(self) -> float | None:
        """Clean MAP of the queries of the first threat; ``None`` where it is targeted alone."""
        side = self.threats[0].untargeted
        return None if side is None else side.clean.value

    @property
    def worst_map(self) -> float | None:
        """Worst-case MAP under the first threat; ``None`` where it is targeted alone."""
        side = self.threats[0].untargeted
        return None if side is None else side.worst.value

    @property
    def worst_t_map(self) -> float | None:
        """Worst-case t-MAP under the first threat; ``None`` where nothing was targeted."""
        side = self.threats[0].targeted
        return None if side is None else side.worst.value

    @property
    def broken(self) -> int | None:
        """Queries left with nothing relevant in the first k, under the first threat."""
        side = self.threats[0].untargeted
        return None if side is None else side.broken

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that say that numbers of this card are to be doubted."""
        return tuple(check for check in self.checks if check.failed)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The same as text: check and threat, what was found, what to do."""
        return tuple(map(str, self.failed))

    @property
    def sentence(self) -> str:
        """What the first threat does to the victim, from the numbers."""
        return self.sentence_of(self.threats[0].name)

    def threat(self, name: str) -> ThreatResult:
        """Return the answer under a threat.

        Args:
            name: such as ``linf-8``.

        Raises:
            ValueError: if the audit had no such threat.
        """
        named = {threat.name: threat for threat in self.threats}
        if name not in named:
            msg = f"threat: this card has no {name!r}; {offer(name, list(named))}"
            raise ValueError(msg)
        return named[name]

    def sentence_of(self, name: str, targeted: bool | None = None) -> str:
        """Say in a sentence what a threat does to the victim, and what speaks against believing it.

        Args:
            name: of the threat.
            targeted: which side; by default the untargeted one where there is one.

        Raises:
            ValueError: if there is no such threat.
        """
        protocol = Protocol(self.suite, self.ranking.get("relevance") == "clean", self.input_shape)
        return sentence(self.threat(name), self.failed, protocol, targeted)

    def worst_queries(self, count: int = 6, name: str | None = None) -> tuple[QueryResult, ...]:
        """Return the queries that a threat harms most: the lowest worst AP first.

        Among equals those of different labels come first, then those of the higher clean AP.

        Args:
            count: at most so many.
            name: of the threat; the first by default. Where it is targeted alone, the highest t-AP
                comes first.

        Raises:
            ValueError: if there is no such threat.
        """
        threat = self.threats[0] if name is None else self.threat(name)
        aimed = threat.untargeted is None

        def harm(query: QueryResult) -> float:
            return -query.best[threat.name][0] if aimed else query.worst[threat.name][0]

        found = [q for q in self.queries if threat.name in (q.best if aimed else q.worst)]
        found.sort(key=lambda query: (harm(query), -(query.clean or 0.0), query.index))
        seen: Counter[tuple[float, str]] = Counter()
        turns: list[tuple[float, int, int]] = []
        for place, query in enumerate(found):
            turns.append((harm(query), seen[harm(query), query.label], place))
            seen[harm(query), query.label] += 1
        return tuple(found[place] for *_, place in sorted(turns)[:count])
