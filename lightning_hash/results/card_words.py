"""What a card says of a threat, in one sentence made from its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

from lightning_hash.results.card_parts import Check, Side, ThreatResult

QUICK = "-quick"  # ends the name of a suite's short form
_SEEN = {
    "logits": "logits without gradients", "codes": "codes alone", "distances": "distances alone",
    "ids": "ids alone",
}  # fmt: skip


class Protocol(NamedTuple):
    """What the numbers of a card were measured under.

    Attributes:
        suite: its version.
        own: whether a query's own clean results stand for labels.
        shape: of one query.
    """

    suite: str
    own: bool
    shape: tuple[int, ...]


def sentence(
    threat: ThreatResult, failed: Sequence[Check], protocol: Protocol, targeted: bool | None = None
) -> str:
    """Say what a threat does to the victim, and what speaks against believing it.

    Args:
        threat: the answer under it.
        failed: checks that failed, of whatever threat.
        protocol: what the numbers were measured under.
        targeted: which side; by default the untargeted one where there is one.
    """
    aimed = threat.untargeted is None if targeted is None else targeted
    side = threat.targeted if aimed else threat.untargeted
    if side is None:
        kind = "targeted" if aimed else "untargeted"
        return f"Under {threat.name} no {kind} attack was run: there is no verdict."
    what = _broken(side, aimed, protocol)
    change = _change(threat, protocol.shape)
    after = f"any change {change} that was tried" if side.broken == 0 else f"a change {change}"
    names = [check.name for check in failed if check.threat in (None, threat.name)]
    return (
        f"{what} among the first {side.k} after {after}; {_map(side, aimed, protocol)}"
        f"{_but(names)}."
    )


def _change(threat: ThreatResult, shape: Sequence[int]) -> str:
    said = f"of at most {threat.epsilon}"
    if threat.norm == "l2":
        said = f"of L2 length at most {threat.epsilon} at {' x '.join(map(str, shape))} values"
    if threat.sees == "gradients":
        return said
    asked = "" if threat.questions is None else f" and asks {threat.questions:,} times a query"
    return f"{said}, by an attacker who sees {_SEEN[threat.sees]}{asked}"


def _broken(side: Side, aimed: bool, protocol: Protocol) -> str:
    """Say how many queries retrieve nothing that they should, or nothing else."""
    n, broken = side.worst.n, side.broken
    own = protocol.own and not aimed
    whole = "The one query" if n == 1 else f"All {n:,} queries"
    if broken == 0:
        what = "one of their clean results" if own else "something relevant"
        what = "something besides items of their targets" if aimed else what
        return f"{whole} still {_retrieve(n)} {what}"
    what = "none of their clean results" if own else "nothing relevant"
    what = "nothing but items of their targets" if aimed else what
    count = whole if broken == n else f"Of {n:,} queries {broken:,}"
    return f"{count} {_retrieve(broken)} {what}"


def _map(side: Side, aimed: bool, protocol: Protocol) -> str:
    """Say what becomes of MAP."""
    suite = f" of suite {protocol.suite}" if protocol.suite.endswith(QUICK) else ""
    judged = ", judged by clean results for want of labels," if protocol.own and not aimed else ""
    top = "" if side.ceiling is None else f"; the anchor codes themselves reach {side.ceiling}"
    return (
        f"the worst case{suite} takes {'t-MAP' if aimed else 'MAP'}{judged} from {side.clean} to "
        f"{side.worst}{top}"
    )


def _but(names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    if not different:
        return ""
    checks = "check" if len(different) == 1 else "checks"
    return f", but {len(different)} {checks} failed: {', '.join(different)}"


def _retrieve(count: int) -> str:
    return "retrieves" if count == 1 else "retrieve"
