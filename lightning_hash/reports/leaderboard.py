"""The leaderboard: a line for each card and threat, a table for each protocol."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_hash.reports.card_chart import axis_of
from lightning_hash.reports.card_page import render_card
from lightning_hash.reports.lines import distinct_headings, grouped
from lightning_hash.reports.page import render
from lightning_hash.reports.sortable import Line, Table, counted, rounded
from lightning_hash.results.card import Card, Estimate, ThreatResult
from lightning_hash.results.card_files import read_card
from lightning_hash.results.settings import canonical
from lightning_hash.utils.escapes import markdown
from lightning_hash.utils.places import check_inside

CARDS, INDEX, MARKDOWN = "cards", "index.html", "leaderboard.md"
SHORT = 8  # digits of a fingerprint
COLUMNS = (
    "id", "clean MAP", "worst-case MAP", "worst-case t-MAP", "broken", "failed checks", "backbone",
    "bits", "loss", "data", "by", "weights",
)  # fmt: skip
TEXTS = COLUMNS.index("failed checks")
# What each victim has of its own: no two of them could stand in one table with it.
OWN = ("database_codes", "n_skipped")
NOTE = (
    "In brackets: the standard error over the queries in units of the last digit. Broken: queries "
    "that retrieve nothing relevant among the first {k}. The highest worst-case MAP stands first; "
    "models with failed checks stand last, since their numbers are not to be believed."
)
EMPTY = "No card could be read."


@dataclass(frozen=True)
class Entry:
    """A card of the leaderboard.

    Attributes:
        path: its file, named by the card's id.
        card: the card.
    """

    path: Path
    card: Card

    @property
    def name(self) -> str:
        """The id."""
        return self.card.about["id"]


@dataclass(frozen=True)
class Board:
    """What one protocol has measured.

    Attributes:
        heading: threat, suite and data, and what tells it from other protocols.
        note: what stands behind the numbers.
        lines: card and threat, the most robust first.
    """

    heading: str
    note: str
    lines: tuple[tuple[Entry, ThreatResult], ...]


def read_entries(folder: Path) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Read the cards of a leaderboard.

    Args:
        folder: with a ``.json`` file for each.

    Returns:
        The cards by name, and path and reason of each file that is left out.
    """
    entries, left_out = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            check_inside(path, folder)
            card = read_card(path)
            check_about(card, path)
        except (OSError, ValueError) as error:
            left_out.append((str(path), " ".join(str(error).removeprefix(f"{path}: ").split())))
            continue
        entries.append(Entry(path, card))
    return entries, left_out


def check_about(card: Card, path: Path) -> None:
    """Check that a card says what the leaderboard shows of it.

    Args:
        card: a card that was read.
        path: its file.

    Raises:
        ValueError: if its id is not the file's name, or nobody says that it is theirs.
    """
    if card.about.get("id") != path.stem:
        msg = f"about.id must be the file's name, {path.stem!r}, got {card.about.get('id')!r}"
        raise ValueError(msg)
    if not card.about.get("by", "").strip():
        msg = "about.by must say who ran the audit, got nothing"
        raise ValueError(msg)
    if not all(key in card.victim for key in ("backbone", "bits", "sha256")):
        msg = f"victim must have backbone, bits and sha256, got {', '.join(card.victim) or 'none'}"
        raise ValueError(msg)


def boards_of(entries: Sequence[Entry]) -> list[Board]:
    """Put what was measured under one protocol together.

    Args:
        entries: the cards.

    Returns:
        A board for each protocol: threat, suite, data and its fingerprints, ranking, relevance and
        the number of queries are the same in it.
    """
    lines = [(entry, threat) for entry in entries for threat in entry.card.threats]
    groups = grouped(lines, lambda line: canonical(protocol_of(line[0].card, line[1])))
    headings = [_heading(*group[0]) for group in groups]
    protocols = [protocol_of(group[0][0].card, group[0][1]) for group in groups]
    boards = [
        Board(heading, _note(group), tuple(sorted(group, key=_order)))
        for heading, group in zip(distinct_headings(headings, protocols), groups, strict=True)
    ]
    return sorted(boards, key=lambda board: (-len(board.lines), board.heading))


def protocol_of(card: Card, threat: ThreatResult) -> dict[str, Any]:
    """Return all that two numbers must share to stand in one table."""
    sides = [side for side in (threat.untargeted, threat.targeted) if side is not None]
    return {
        "suite": card.suite,
        "threat": {
            name: getattr(threat, name) for name in ("name", "norm", "epsilon", "sees", "questions")
        },
        "data": {key: value for key, value in card.data.items() if key not in OWN},
        "input_shape": list(card.input_shape),
        "ranking": card.ranking,
        "n": [side.worst.n for side in sides],
        "k": [side.k for side in sides],
        "goals": [threat.untargeted is not None, threat.targeted is not None],
    }


def tables_of(boards: Sequence[Board]) -> list[tuple[Table, str]]:
    """Lay out the boards for the page; a line leads to the page of its card."""
    return [
        (
            Table(
                name=f"board-{number}", heading=board.heading, columns=COLUMNS,
                lines=[
                    Line(_cells(entry.card, threat), card_address(entry))
                    for entry, threat in board.lines
                ],
            ),
            board.note,
        )
        for number, board in enumerate(boards, 1)
    ]  # fmt: skip


def card_address(entry: Entry) -> str:
    """Return where the page of a card stands, beside the index."""
    return f"{CARDS}/{entry.name}.html"


def leaderboard_page(boards: Sequence[Board], left_out: Sequence[tuple[str, str]]) -> str:
    """Write the page of the leaderboard.

    Args:
        boards: its tables.
        left_out: path and reason of files that could not be read.
    """
    return render(
        "leaderboard.html.j2", tables=tables_of(boards), left_out=left_out, empty=EMPTY,
        title="Robustness of retrieval by deep hashing",
    )  # fmt: skip


def leaderboard_markdown(boards: Sequence[Board], addresses: Mapping[str, str]) -> str:
    """Write the leaderboard in Markdown.

    Args:
        boards: its tables.
        addresses: where each id leads.
    """
    parts = []
    for board in boards:
        rows = [COLUMNS, ["---:" if 0 < n < TEXTS else "---" for n in range(len(COLUMNS))]]
        for entry, threat in board.lines:
            name, *others = [markdown(text) for text, _ in _cells(entry.card, threat)]
            rows.append([f"[{name}]({addresses[entry.name]})", *others])
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts.append(f"## {markdown(board.heading)}\n\n{table}\n\n{markdown(board.note)}")
    return "\n\n".join(parts or [EMPTY])


def card_page(entry: Entry) -> str:
    """Write the page of a card, which leads back to the leaderboard."""
    return render_card(entry.card, back=f"../{INDEX}")


def _heading(entry: Entry, threat: ThreatResult) -> str:
    data = entry.card.data
    sides = [side for side in (threat.untargeted, threat.targeted) if side is not None]
    n = sides[0].worst.n if sides else 0
    said = f"{data.get('dataset') or 'unnamed data'}, {threat.name}, suite {entry.card.suite}"
    return f"{said}: {n:,} queries, {data.get('n_database') or 0:,} database items"


def _note(lines: Sequence[tuple[Entry, ThreatResult]]) -> str:
    entry, threat = lines[0]
    side = threat.untargeted or threat.targeted
    judged = (
        " Relevant is what the clean query retrieves first: the data have no labels."
        if entry.card.ranking.get("relevance") == "clean"
        else ""
    )
    axis = axis_of(entry.card, threat)
    said = f"Threat: {axis}, at most {threat.epsilon}; the attacker sees {threat.sees}"
    asked = "" if threat.questions is None else f" and asks {threat.questions:,} times a query"
    return f"{said}{asked}.{judged} {NOTE.format(k=side.k if side else 10)}"


def _order(line: tuple[Entry, ThreatResult]) -> tuple[bool, float, float, str]:
    """Sort what is believed before what is not, then the most robust first."""
    entry, threat = line
    worst = math.inf if threat.untargeted is None else -threat.untargeted.worst.value
    aimed = math.inf if threat.targeted is None else threat.targeted.worst.value
    return bool(_failed(entry.card, threat)), worst, aimed, entry.name


def _failed(card: Card, threat: ThreatResult) -> list[str]:
    names = [check.name for check in card.failed if check.threat in (None, threat.name)]
    return list(dict.fromkeys(names))


def _cells(card: Card, threat: ThreatResult) -> list[tuple[str, float | None]]:
    side, aimed = threat.untargeted, threat.targeted
    failed = _failed(card, threat)
    said = {
        "loss": card.victim.get("loss"), "data": card.data.get("dataset"),
        "by": card.about.get("by"), "weights": (card.victim.get("sha256") or "")[:SHORT],
    }  # fmt: skip
    return [
        (card.about["id"], None),
        _estimate(side.clean if side else None), _estimate(side.worst if side else None),
        _estimate(aimed.worst if aimed else None),
        ("", None) if side is None else counted(side.broken),
        (f"{len(failed)}: {', '.join(failed)}" if failed else "0", len(failed)),
        (card.victim.get("backbone") or "", None), rounded(card.victim.get("bits"), "d"),
        *((text or "", None) for text in said.values()),
    ]  # fmt: skip


def _estimate(value: Estimate | None) -> tuple[str, float | None]:
    return ("", None) if value is None else (str(value), value.value)
