"""The curve of a card, in the coordinates of a drawing that any page can show."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_hash.results.card import Card, Estimate, ThreatResult

WIDTH, HEIGHT = 480, 215
LEFT, RIGHT, TOP, BOTTOM = 36, 24, 10, 40  # margins
APART = 42  # pixels between two names on the axis


@dataclass(frozen=True)
class Tick:
    """A name on an axis.

    Attributes:
        at: its place.
        text: its name.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A measured point.

    Attributes:
        x: its place.
        y: its place.
        low: where two standard errors below it are.
        high: where two standard errors above it are.
        said: its numbers.
    """

    x: float
    y: float
    low: float
    high: float
    said: str


@dataclass(frozen=True)
class Chart:
    """MAP against epsilon, and the share of queries with nothing relevant left.

    Attributes:
        name: of the threat.
        axis: what epsilon is.
        marks: worst-case MAP, the clean one first.
        broken: corners of the other line.
        x_ticks: names of epsilons.
        y_ticks: names of shares.
        k: among how many results nothing relevant is left.
    """

    name: str
    axis: str
    marks: tuple[Mark, ...]
    broken: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    k: int

    @property
    def line(self) -> str:
        """The line of MAP, as SVG writes points."""
        return _points([(mark.x, mark.y) for mark in self.marks])

    @property
    def broken_line(self) -> str:
        """The line of broken queries, as SVG writes points."""
        return _points(self.broken)

    @property
    def alt(self) -> str:
        """The chart in words."""
        return f"Worst-case MAP against epsilon, {self.name}: " + "; ".join(
            mark.said for mark in self.marks
        )


def chart_of(card: Card, threat: ThreatResult) -> Chart | None:
    """Lay out the curve of a threat.

    Args:
        card: its card.
        threat: the threat.

    Returns:
        The chart, or ``None`` where the audit measured no curve, or nothing untargeted.
    """
    side = threat.untargeted
    if side is None or not threat.curve:
        return None
    largest = threat.curve[-1].size
    if largest <= 0:
        return None
    clean = ("0", 0.0, side.clean)
    points = [clean, *((each.epsilon, each.size, each.worst) for each in threat.curve)]
    marks = [_mark(text, _x(size / largest), value) for text, size, value in points]
    return Chart(
        name=threat.name, axis=axis_of(card, threat), marks=tuple(marks),
        broken=tuple((_x(share), _y(value)) for share, value in _broken(threat, largest)),
        x_ticks=_ticks(threat, largest),
        y_ticks=tuple(Tick(_y(each / 4), f"{each / 4:g}") for each in range(5)), k=side.k,
    )  # fmt: skip


def axis_of(card: Card, threat: ThreatResult) -> str:
    """Say what the epsilon of a threat is."""
    if threat.norm == "linf":
        return "epsilon, the largest change of any value"
    return f"epsilon, the L2 length of the change at {' x '.join(map(str, card.input_shape))}"


def _broken(threat: ThreatResult, largest: float) -> list[tuple[float, float]]:
    """Return shares of the axis and of the queries: each by its own epsilon where it is known."""
    found = sorted(each for each in threat.smallest if each is not None and each <= largest)
    n = len(threat.smallest)
    if n == 0:
        return [(0.0, 0.0)] + [
            (each.size / largest, each.broken / each.worst.n) for each in threat.curve
        ]
    corners = [(0.0, 0.0)]
    for place, size in enumerate(found):
        corners += [(size / largest, place / n), (size / largest, (place + 1) / n)]
    return [*corners, (1.0, len(found) / n)]


def _ticks(threat: ThreatResult, largest: float) -> tuple[Tick, ...]:
    """Return names of epsilons that do not touch each other: the threat's own, then the largest."""
    wanted = {each.size: each.epsilon for each in reversed(threat.curve)}
    first = [threat.size] if threat.size in wanted else []
    chosen: list[tuple[float, str]] = [(_x(0.0), "0")]
    for size in [*first, *wanted]:
        at = _x(size / largest)
        if all(abs(at - other) >= APART for other, _ in chosen):
            chosen.append((at, wanted[size]))
    return tuple(Tick(at, text) for at, text in sorted(chosen))


def _mark(text: str, x: float, value: Estimate) -> Mark:
    error = 2 * (value.se or 0.0)
    low, high = max(value.value - error, 0.0), min(value.value + error, 1.0)
    return Mark(x, _y(value.value), _y(low), _y(high), f"{text}: {value}")


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float) -> float:
    return round(TOP + (1 - value) * (HEIGHT - TOP - BOTTOM), 1)


def _points(corners: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in corners)
