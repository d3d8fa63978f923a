"""``python -m lightning_hash leaderboard``: cards of many victims as one sortable page."""

import dataclasses
import sys
from pathlib import Path

from lightning_hash.commands.plain_parser import PlainParser
from lightning_hash.reports.leaderboard import (
    CARDS,
    INDEX,
    MARKDOWN,
    Entry,
    boards_of,
    card_address,
    card_page,
    check_about,
    leaderboard_markdown,
    leaderboard_page,
    read_entries,
)
from lightning_hash.results.card_build import ABOUT, check_name
from lightning_hash.results.card_files import read_card, write_card
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder, write_whole

SITE = "site"


def main(arguments: list[str]) -> int:
    """Write the page of a leaderboard, and with ``--add`` a card into it first.

    Args:
        arguments: what stands behind ``leaderboard``.

    Returns:
        0, also where some cards could not be read: they are named on the page and on stderr.

    Raises:
        FileNotFoundError: if the folder or the card to add is not there, or it holds no cards.
        FileExistsError: if the leaderboard has a card of this id.
        ValueError: if the card to add is none, or its id cannot name a file.
    """
    options = make_parser().parse_args(arguments)
    folder: Path = options.folder
    if options.add is not None:
        print(
            visible(
                str(_add(folder, options.add, {name: getattr(options, name) for name in ABOUT}))
            )
        )
    else:
        given = next((name for name in ABOUT if getattr(options, name) is not None), None)
        if given is not None:
            msg = f"--{given} is said of a card that is added; give --add as well, or leave it out"
            raise ValueError(msg)
    if not folder.is_dir():
        msg = f"{folder} is no folder; give one with cards, or add the first with --add"
        raise FileNotFoundError(msg)
    entries, left_out = read_entries(folder)
    if not entries and not left_out:
        msg = f"{folder} holds no cards (*.json); add one with --add"
        raise FileNotFoundError(msg)
    place = options.output or folder / SITE
    _write(entries, left_out, place, folder if options.output is None else place)
    for path, reason in [] if volume() is Volume.QUIET else left_out:
        print(visible(f"left out: {path}: {reason}"), file=sys.stderr)
    cards = "1 card" if len(entries) == 1 else f"{len(entries)} cards"
    print(visible(f"{cards}: {place / INDEX}"))
    return 0


def make_parser() -> PlainParser:
    """Return the parser of the options."""
    parser = PlainParser(prog="lightning_hash leaderboard", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("leaderboard"),
        help="folder with a card, ID.json, for each victim; leaderboard by default",
    )  # fmt: skip
    parser.add_argument(
        "--output",
        type=Path,
        help=f"folder to write {INDEX}, {MARKDOWN} and {CARDS}/ to; FOLDER/{SITE} by default",
    )
    parser.add_argument(
        "--add",
        type=Path,
        help="put this card into FOLDER first: folder of an audit",
    )
    parser.add_argument("--id", help="name of the card to add, and of its file")
    parser.add_argument("--by", help="who ran the audit of the card to add")
    parser.add_argument("--paper", help="title or address of the paper of its victim")
    parser.add_argument("--venue", help="where that paper was published")
    parser.add_argument("--weights", help="address of the weights that were audited")
    return parser


def _add(folder: Path, source: Path, said: dict[str, str | None]) -> Path:
    """Put a card into the folder; return its file."""
    card = read_card(source)
    about = {**card.about, **{name: text for name, text in said.items() if text is not None}}
    for name in ("id", "by"):
        if not about.get(name, "").strip():
            what = "the name of the card" if name == "id" else "who ran the audit"
            msg = f"--{name} is missing: {what}"
            raise ValueError(msg)
    check_name("--id", about["id"])
    path = folder / f"{about['id']}.json"
    if path.exists() or path.is_symlink():
        msg = f"{path} is there already; give another --id, or remove the file"
        raise FileExistsError(msg)
    added = dataclasses.replace(card, about=about, queries=())
    check_about(added, path)
    ready_folder(folder, "leaderboard", "give another folder")
    return write_card(path, added)


def _write(entries: list[Entry], left_out: list[tuple[str, str]], place: Path, given: Path) -> None:
    for each in (place, place / CARDS):
        check_inside(each, given, "remove it, or give another folder with --output")
    ready_folder(place, "leaderboard", "give another folder with --output")
    boards = boards_of(entries)
    for entry in entries:
        write_whole(place / card_address(entry), utf8(card_page(entry)))
    addresses = {entry.name: card_address(entry) for entry in entries}
    write_whole(place / MARKDOWN, utf8(f"{leaderboard_markdown(boards, addresses)}\n"))
    write_whole(place / INDEX, utf8(leaderboard_page(boards, left_out)))
