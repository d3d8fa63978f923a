"""A card's files: ``card.json``, and ``queries.csv`` beside it."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_hash.results.card import CLEAN_QUERY, Card, QueryResult, Side
from lightning_hash.results.card_build import COLUMNS, build_card
from lightning_hash.results.ranges import LARGEST, check_kind, check_range
from lightning_hash.utils.escapes import csv_text
from lightning_hash.utils.foreign_files import read_bytes
from lightning_hash.utils.json_text import brief, parse_json
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.whole_file import write_whole

CARD, TABLE = "card.json", "queries.csv"
MOST_CARD, MOST_TABLE = 16 * 2**20, 256 * 2**20  # bytes
REMEDY = "run the audit again, or remove the file"
_FIRST = ("index", "path", "label", "target", "clean")
_BYTES = "surrogateescape"  # those of paths that are no UTF-8


def write_card(place: Path | str, card: Card) -> Path:
    """Write a card.

    Args:
        place: a folder, for ``card.json`` and ``queries.csv`` in it; or a ``.json`` file, which is
            written without the table of queries.
        card: the card.

    Returns:
        The JSON file. It is written last: where it is, all is.

    Raises:
        ValueError: if the card says what no card can, naming the field; nothing is written.
        OSError: if a file cannot be written.
    """
    path = _file(Path(place))
    content = check_card(card, str(path))
    if path.name == CARD:
        table = path.with_name(TABLE)
        if card.queries:
            rows = csv_text(_lines(card))
            write_whole(table, rows.encode(errors=_BYTES))
        else:
            table.unlink(missing_ok=True)  # of another card
    write_whole(path, f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())
    return path


def check_card(card: Card, said: str) -> dict[str, Any]:
    """Check that a card can be written.

    Args:
        card: the card.
        said: where to, for the error.

    Returns:
        The card as JSON, without its queries.

    Raises:
        ValueError: if it says what no card can; names the field.
    """
    try:
        content = _plain(card)
        _check_table(build_card(content), card.queries)
    except ValueError as error:
        msg = f"{said} is not written: {error}"
        raise ValueError(msg) from error
    return content


def read_card(place: Path | str) -> Card:
    """Read what :func:`write_card` wrote, or what somebody else says is one.

    Args:
        place: a folder with a ``card.json``, or a ``.json`` file.

    Returns:
        The card; with its queries if it is a ``card.json`` with a ``queries.csv`` beside it.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if a file cannot be read.
        ValueError: if a file is no card, or leads out of its folder; names file, field and value.
    """
    path = _file(Path(place))
    if not path.exists():
        msg = f"{path} does not exist; python -m lightning_hash audit writes one at its end"
        raise FileNotFoundError(msg)
    if path.name == CARD:
        check_inside(path, path.parent)
    try:
        card = build_card(parse_json(_read(path, MOST_CARD), str(path), REMEDY))
    except RecursionError as error:
        msg = f"{path} is nested too deeply to be read; {REMEDY}"
        raise ValueError(msg) from error
    except ValueError as error:
        said = str(error)
        if said.startswith(str(path)):
            raise
        msg = f"{path}: {said}; {REMEDY}"
        raise ValueError(msg) from error
    table = path.with_name(TABLE)
    if path.name != CARD or not table.exists():
        return card
    check_inside(table, path.parent)
    try:
        queries = tuple(_queries(card, _read(table, MOST_TABLE).decode(errors=_BYTES)))
        _check_table(card, queries)
    except (ValueError, csv.Error) as error:
        said = str(error)
        if said.startswith(str(table)):
            raise
        msg = f"{table}: {said}; {REMEDY}"
        raise ValueError(msg) from error
    return dataclasses.replace(card, queries=queries)


def _file(place: Path) -> Path:
    return place if place.suffix == ".json" and not place.is_dir() else place / CARD


def _read(path: Path, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except ValueError as error:  # no regular file, or too large
        msg = f"{path} is not read: {error}"
        raise ValueError(msg) from error


def _plain(card: Card) -> dict[str, Any]:
    """Return a card as JSON, without its queries and what a subclass has beside."""
    names = [each.name for each in dataclasses.fields(Card) if each.name != "queries"]
    whole = {name: getattr(card, name) for name in names}
    plain = {
        name: [dataclasses.asdict(each) for each in value]
        if name in ("threats", "checks")
        else value
        for name, value in whole.items()
    }
    content: dict[str, Any] = json.loads(json.dumps(plain, default=_refuse))
    return content


def _refuse(value: object) -> object:
    msg = f"a card must be JSON, got {brief(value)} in it"
    raise ValueError(msg)


def _sides(card: Card) -> Iterator[tuple[str, str, Side]]:
    """Yield threat, what its extreme is called, and side."""
    for threat in card.threats:
        if threat.untargeted is not None:
            yield threat.name, "worst", threat.untargeted
        if threat.targeted is not None:
            yield threat.name, "best", threat.targeted


def _header(card: Card) -> list[str]:
    names = [*_FIRST]
    for threat, extreme, side in _sides(card):
        names += [f"{threat}/{member.name}" for member in side.members]
        names += [f"{threat}/{extreme}", f"{threat}/{extreme}_by"]
    return names


def _lines(card: Card) -> Iterator[Sequence[object]]:
    header = _header(card)
    yield header
    for query in card.queries:
        known: dict[str, object] = {name: getattr(query, name) for name in _FIRST}
        known |= query.members
        for extreme, found in (("worst", query.worst), ("best", query.best)):
            for threat, (value, member) in found.items():
                known |= {f"{threat}/{extreme}": value, f"{threat}/{extreme}_by": member}
        yield [known.get(name) for name in header]


def _queries(card: Card, text: str) -> Iterator[QueryResult]:
    """Read the table."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [_unmarked(cell) for cell in next(lines, [])]
    wanted = _header(card)
    if header != wanted:
        wrong = next((name for name in header if name not in wanted), None)
        missing = next((name for name in wanted if name not in header), None)
        said = f"no column {brief(missing)}" if missing else f"a column {brief(wrong)} too many"
        msg = f"its columns must be those of the card beside it, got {said}"
        raise ValueError(msg)
    for number, line in enumerate(lines, 1):
        if len(line) != len(header):
            msg = f"row {number} must have {len(header)} cells, got {len(line)}"
            raise ValueError(msg)
        cells = dict(zip(header, map(_unmarked, line), strict=True))
        try:
            yield _query(card, cells)
        except ValueError as error:
            msg = f"row {number}: {error}"
            raise ValueError(msg) from error


def _query(card: Card, cells: dict[str, str]) -> QueryResult:
    members: dict[str, float] = {}
    extremes: dict[str, dict[str, tuple[float, str]]] = {"worst": {}, "best": {}}
    for threat, extreme, side in _sides(card):
        for member in side.members:
            value = _number(cells, f"{threat}/{member.name}", 1)
            if value is not None:
                members[f"{threat}/{member.name}"] = value
        value, by = _number(cells, f"{threat}/{extreme}", 1), cells[f"{threat}/{extreme}_by"]
        if value is not None:
            extremes[extreme][threat] = value, by
    index = _number(cells, "index", LARGEST, int)
    if index is None:
        msg = "index must be a whole number, got ''"
        raise ValueError(msg)
    return QueryResult(
        index=int(index), path=cells["path"], label=cells["label"], target=cells["target"],
        clean=_number(cells, "clean", 1), members=members, **extremes,
    )  # fmt: skip


def _number(
    cells: dict[str, str], name: str, most: float, kind: Callable[[str], float] = float
) -> float | None:
    text = cells[name]
    if text == "":
        return None
    try:
        value = kind(text)
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        msg = f"{name} must be {what}, got {brief(text)}"
        raise ValueError(msg) from error
    check_kind(name, value, (float, int))
    check_range(name, value, 0, most)
    return value


def _unmarked(cell: str) -> str:
    """Take off the mark that keeps a spreadsheet from finding a formula."""
    return cell.removeprefix("'")


def _check_table(card: Card, queries: Sequence[QueryResult]) -> None:
    """Compare the queries with what the card says of them."""
    if not queries:
        return
    known = {name for name in _header(card) if name.partition("/")[2] not in ("", *COLUMNS)}
    for query in queries:
        strange = next((name for name in query.members if name not in known), None)
        if strange is not None:
            msg = f"query {query.index}: members must be of the card, got {brief(strange)}"
            raise ValueError(msg)
    for threat, extreme, side in _sides(card):
        found = [getattr(q, extreme)[threat] for q in queries if threat in getattr(q, extreme)]
        names = [CLEAN_QUERY, *(member.name for member in side.members)]
        strange = next((by for _, by in found if by not in names), None)
        if strange is not None:
            rule = "must be a member of the card or 'clean'"
            msg = f"{threat}/{extreme}_by {rule}, got {brief(strange)}"
            raise ValueError(msg)
        if len(found) != side.worst.n:
            msg = f"{threat}/{extreme} must be there of {side.worst.n} queries, got {len(found)}"
            raise ValueError(msg)
        mean = math.fsum(value for value, _ in found) / len(found)
        if not math.isclose(mean, side.worst.value, abs_tol=1e-5):
            msg = (
                f"{threat}/{extreme} must have the mean that the card says, {side.worst.value}, "
                f"got {mean}"
            )
            raise ValueError(msg)
