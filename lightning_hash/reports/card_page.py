"""A card as one HTML page that needs no other file and no network."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from lightning_hash.reports.card_chart import chart_of
from lightning_hash.reports.examples import small_picture
from lightning_hash.reports.page import Picture, render
from lightning_hash.reports.sortable import Line, Table, counted, rounded
from lightning_hash.results.card import Card, Estimate, MemberResult, Side, ThreatResult
from lightning_hash.results.settings import flatten
from lightning_hash.results.tables import bits_text

ERRORS = (
    "In brackets: the standard error over the queries in units of the last digit; lines in the "
    "chart: two standard errors."
)
MOST_QUERIES = 1000  # in the table of the page; queries.csv has all
SHORT = 300  # characters of a setting in the table


def render_card(card: Card, pictures: Sequence[Picture] = (), back: str = "") -> str:
    """Write the page of a card.

    Args:
        card: the card.
        pictures: strips of its worst queries, as PNG; see
            :func:`lightning_hash.engine.callbacks.figures.retrieval_strip`.
        back: address of the leaderboard that it stands on; empty without.

    Returns:
        HTML. Tables are sorted by a click on a heading where the browser runs scripts; all else is
        there without.

    Raises:
        ValueError: if a picture has too many pixels.
        OSError: if a picture is no image.
    """
    charts = {threat.name: chart_of(card, threat) for threat in card.threats}
    first = next((chart for chart in charts.values() if chart is not None), None)
    threats = [
        (
            _members(threat), [*_sentences(card, threat)] if place else [],
            None if charts[threat.name] is first else charts[threat.name],
        )
        for place, threat in enumerate(card.threats)
    ]  # fmt: skip
    return render(
        "card.html.j2", card=card, title=title_of(card), back=back,
        said=[*_sentences(card, card.threats[0])][1:], bars=[*_bars(card)], chart=first,
        pictures=[_small(picture) for picture in pictures], errors=ERRORS, threats=threats,
        doubts=[*_doubts(card)], checks=_checks(card), queries=_queries(card),
        protocol=_protocol(card), links=_links(card),
    )  # fmt: skip


def title_of(card: Card) -> str:
    """Name the victim and the data of a card."""
    known = [card.about.get("id"), card.victim.get("backbone")]
    name = next((each for each in known if each), card.victim.get("name")) or "a victim"
    said = [name, bits_text(card.victim.get("bits")), card.victim.get("loss")]
    return ", ".join(filter(None, [*said, card.data.get("dataset")]))


def _sentences(card: Card, threat: ThreatResult) -> Iterator[str]:
    """Yield what the numbers of a threat say, :attr:`Card.sentence` first."""
    yield card.sentence_of(threat.name)
    if threat.untargeted is not None and threat.targeted is not None:
        yield card.sentence_of(threat.name, targeted=True)
    if threat.smallest:
        yield _smallest(threat)


def _smallest(threat: ThreatResult) -> str:
    """Say how the smallest epsilons of the queries are distributed."""
    found = sorted(each for each in threat.smallest if each is not None)
    n = len(threat.smallest)
    scale, unit = (255.0, "/255") if threat.norm == "linf" else (1.0, "")
    if len(found) * 2 < n:
        return f"Of {len(found)} of {n} queries a smallest epsilon is known, {threat.name}."
    tenth, half = (f"{found[-(-n // parts) - 1] * scale:.2g}{unit}" for parts in (10, 2))
    return (
        f"Half of the queries lose all that is relevant at an epsilon of {half} or less, a tenth "
        f"at {tenth} or less ({threat.name}, {len(found)} of {n} queries at any epsilon tried)."
    )


def _sides(threat: ThreatResult) -> Iterator[tuple[str, Side]]:
    if threat.untargeted is not None:
        yield "MAP", threat.untargeted
    if threat.targeted is not None:
        yield "t-MAP", threat.targeted


def _bars(card: Card) -> Iterator[tuple[str, Estimate, Estimate, Estimate | None]]:
    """Yield label, clean, worst case and noise."""
    for threat in card.threats:
        for metric, side in _sides(threat):
            yield f"{metric}, {threat.name}", side.clean, side.worst, side.noise


def _members(threat: ThreatResult) -> Table:
    columns = (
        "member", "goal", "result", "won", "left alone", "iterations", "questions", "budget used",
        "seconds",
    )  # fmt: skip
    lines = [_line(metric, each) for metric, side in _sides(threat) for each in side.members]
    heading = f"Members of the suite, {threat.name}"
    return Table(name=f"members-{threat.name}", heading=heading, columns=columns, lines=lines)


def _line(metric: str, member: MemberResult) -> Line:
    texts: list[tuple[str, float | None]] = [
        (member.name, None), (metric, None), (str(member.result), member.result.value),
        counted(member.won), counted(member.left_alone), counted(member.iterations),
        rounded(member.questions, ",.0f"), rounded(member.budget_used, ".2f"),
        rounded(member.seconds, ",.1f"),
    ]  # fmt: skip
    return Line(texts)


def _checks(card: Card) -> Table:
    columns = ("check", "threat", "found", "figure", "threshold", "result")
    lines = [
        Line([
            (check.name, None), (check.threat or "", None), (check.said, None),
            rounded(check.figure, ".3g"), rounded(check.threshold, ".3g"),
            ("failed" if check.failed else "passed", None),
        ])
        for check in card.checks
    ]  # fmt: skip
    return Table(name="checks", heading="All checks", columns=columns, lines=lines)


def _doubts(card: Card) -> Iterator[str]:
    yield from card.warnings
    for threat in card.threats:
        for _, side in _sides(threat):
            for member in side.members:
                for warning in member.warnings:
                    yield f"{threat.name}, {member.name}: {warning}"


def _queries(card: Card) -> Table:
    threat = card.threats[0].name
    columns = (
        "query", "label", "target", "clean AP", "worst AP", "by", "best t-AP", "by", "path",
    )  # fmt: skip
    lines = []
    for query in card.queries[:MOST_QUERIES]:
        worst, best = query.worst.get(threat), query.best.get(threat)
        lines.append(
            Line([
                (str(query.index), query.index), (query.label, None), (query.target, None),
                rounded(query.clean, ".3f"), rounded(worst and worst[0], ".3f"),
                (worst[1] if worst else "", None), rounded(best and best[0], ".3f"),
                (best[1] if best else "", None), (query.path, None),
            ])
        )  # fmt: skip
    more = "" if len(card.queries) <= MOST_QUERIES else f", the first {MOST_QUERIES:,}"
    return Table(name="queries", heading=f"Queries, {threat}{more}", columns=columns, lines=lines)


def _protocol(card: Card) -> list[tuple[str, str]]:
    said: dict[str, Any] = {
        "suite": card.suite, "schema": card.schema, "input_shape": list(card.input_shape),
        "chance": card.chance,
    }  # fmt: skip
    for threat in card.threats:
        said |= {
            f"threats.{threat.name}.{name}": getattr(threat, name)
            for name in ("norm", "epsilon", "sees", "questions")
        }
    for part in ("victim", "data", "ranking", "run"):
        said |= flatten(getattr(card, part), part)
    return [(name, _setting(value)) for name, value in said.items() if value is not None]


def _setting(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]} ..."


def _links(card: Card) -> list[tuple[str, str, str]]:
    """Return name, text and address of what its maker says of it; no address but one of the web."""
    return [
        (name, text, web_address(text))
        for name in ("paper", "venue", "weights", "by")
        if (text := card.about.get(name, ""))
    ]


def web_address(text: str) -> str:
    """Return a text if it is an address of the web, and nothing otherwise.

    Example:
        >>> web_address("https://arxiv.org/abs/2004.07955"), web_address("javascript:alert(1)")
        ('https://arxiv.org/abs/2004.07955', '')
    """
    return text if text.startswith(("https://", "http://")) and text.isprintable() else ""


def _small(picture: Picture) -> Picture:
    if picture.kind != "png":
        return picture
    return dataclasses.replace(picture, content=small_picture(picture.content), kind="webp")
