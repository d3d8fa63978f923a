"""Which items of which source a split takes."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_hash.data.base import OPEN_SET
from lightning_hash.data.table import Table

FORM = re.compile(
    r"(?:(?P<count>\d+)(?P<groups> groups?)?(?P<each> per class)? from "
    r"|(?P<rest>rest of )|(?P<but>all but query of ))?(?P<name>\S+(?: +\S+)*)"
)
# Names of several words that rather are one of these forms, written wrong.
NO_NAME = re.compile(
    r"(?=.* )(?:.*\bfrom\b.*|(?:rest|all (?:but|of))\b.*|(?:of|per) .*"
    r"|[-+.\d]+(?: .*\b(?:of|per|groups?)\b.*| (?:train|test|query|database|all)))",
    re.IGNORECASE,
)

MESSAGES = 3  # of one split that are shown


@dataclass(frozen=True)
class Choice:
    """A split's items.

    Attributes:
        source: name of the source.
        count: how many are drawn; ``None`` takes all, or the rest.
        per_class: ``count`` of each class.
        groups: ``count`` recordings, each with all of its items.
        rest: all that no other split draws.
        but_query: all that the queries do not draw, training items too.
    """

    source: str
    count: int | None = None
    per_class: bool = False
    groups: bool = False
    rest: bool = False
    but_query: bool = False


def parse_choice(split: str, text: str) -> Choice:
    """Read ``"test"``, ``"200 from test"``, ``"10 per class from test"``, ``"rest of test"``.

    ``"6 groups per class from test"`` draws recordings and takes all items of each; ``"all but
    query of test"`` is what the queries leave, with what the training set draws.

    Args:
        split: name of the split, for the message.
        text: what the user wrote.

    Returns:
        The choice.

    Raises:
        ValueError: if it is none of these, or draws nothing.
    """
    match = FORM.fullmatch(text.strip())
    if match is None or match["count"] == "0" or NO_NAME.fullmatch(match["name"]):
        msg = (
            f"{split} must be 'SOURCE', 'N from SOURCE', 'N per class from SOURCE', 'N groups from "
            "SOURCE', 'N groups per class from SOURCE', 'rest of SOURCE' or 'all but query of "
            f"SOURCE', where SOURCE itself reads like none of these, got {text!r}"
        )
        raise ValueError(msg)
    count = None if match["count"] is None else int(match["count"])
    each, groups, rest, but_query = (
        match[name] is not None for name in ("each", "groups", "rest", "but")
    )
    if split == OPEN_SET and (rest or but_query):
        msg = f"open_set cannot be {text!r}: no other split draws from its source"
        raise ValueError(msg)
    if but_query and split == "query":
        msg = f"query cannot be {text!r}: it leaves out what the queries draw"
        raise ValueError(msg)
    return Choice(match["name"], count, each, groups, rest, but_query)


def choose(
    choices: Mapping[str, Choice], tables: Mapping[str, Table], seed: int
) -> dict[str, Table]:
    """Draw the splits; draws from one source never share an item.

    Args:
        choices: a choice per split.
        tables: the sources by name.
        seed: seed of the draws; the order of a source's items is kept.

    Returns:
        A table per split.

    Raises:
        ValueError: if sources have fewer items than are drawn, or nothing is left; names all that
            do not fit, and what there is.
    """
    problems: list[str] = []
    free = {name: np.ones(len(table), bool) for name, table in tables.items()}
    rows: dict[str, NDArray[np.int64]] = {}
    # Draws come first, then what they leave.
    for split in sorted(choices, key=lambda split: (choices[split].count is None, split)):
        choice = choices[split]
        table, left = tables[choice.source], free[choice.source]
        if choice.rest:
            rows[split] = np.flatnonzero(left)
        elif choice.but_query:
            drawn = choices["query"].source == choice.source and choices["query"].count is not None
            queries = rows["query"] if drawn else np.empty(0, np.int64)
            rows[split] = np.setdiff1d(np.arange(len(table)), queries)
        elif choice.count is None:
            rows[split] = np.arange(len(table))
        else:
            digest = hashlib.sha256(f"{seed} {split} {choice.source}".encode()).digest()
            random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
            if choice.groups:
                rows[split], missing = _per_group(split, choice, table, left, random)
            elif choice.per_class:
                rows[split], missing = _per_class(split, choice, table, left, random)
            else:
                rows[split], missing = _draw(
                    choice.count, np.flatnonzero(left), table.source, random
                )
            left[rows[split]] = False
            if missing:
                problems.append(f"{split}: {_some(missing)}")
        if not len(rows[split]) and not problems:
            problems.append(
                f"{split} is empty: the other splits drew all {len(table)} items of {table.source}"
            )
    if problems:
        msg = (
            f"{'; '.join(problems)}; ask for as many as there are, or fewer for other splits, such "
            'as --data.train "20 per class from all"'
        )
        raise ValueError(msg)
    return {split: tables[choices[split].source].take(rows[split]) for split in choices}


Drawn = tuple[NDArray[np.int64], list[str]]  # rows, and what was missing


def _draw(count: int, free: NDArray[np.int64], source: str, random: np.random.Generator) -> Drawn:
    if count > len(free):
        msg = f"{count} items asked for, {source} has {len(free)} that no other split drew"
        return free, [msg]
    return np.sort(random.choice(free, count, replace=False)), []


def _per_class(
    split: str,
    choice: Choice,
    table: Table,
    left: NDArray[np.bool_],
    random: np.random.Generator,
) -> Drawn:
    drawn = [
        _draw(choice.count or 0, np.flatnonzero(left & members), source, random)
        for source, members in _classes(split, table)
    ]
    rows = np.sort(np.concatenate([rows for rows, _ in drawn]))
    return rows, [message for _, missing in drawn for message in missing]


def _per_group(
    split: str,
    choice: Choice,
    table: Table,
    left: NDArray[np.bool_],
    random: np.random.Generator,
) -> Drawn:
    """Draw recordings that are whole; one that has items of several classes counts for each."""
    if table.groups is None:
        msg = f"{split}: draws of groups need `group`, a pattern that tells the recording of a path"
        raise ValueError(msg)
    groups, missing = np.array(table.groups), []
    broken, taken = np.unique(groups[~left]), np.empty(0, groups.dtype)
    everything = [(table.source, np.ones(len(table), bool))]
    for source, members in _classes(split, table) if choice.per_class else everything:
        free = np.setdiff1d(groups[members], broken)
        wanted = (choice.count or 0) - len(np.intersect1d(free, taken))
        others = np.setdiff1d(free, taken)
        if wanted > len(others):
            missing.append(
                f"{choice.count} groups asked for, {source} has {len(free)} that no other split "
                "drew from"
            )
            wanted = len(others)
        if wanted > 0:
            taken = np.concatenate([taken, random.choice(others, wanted, replace=False)])
    return np.flatnonzero(np.isin(groups, taken)), missing


def _some(messages: list[str]) -> str:
    """Return the first messages, and how many more there are."""
    more = len(messages) - MESSAGES
    return ", ".join(messages[:MESSAGES]) + (f", and {more} classes more" if more > 0 else "")


def _classes(split: str, table: Table) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Return the name of each class with source, and which items are of it."""
    if table.labels.shape[1] == 0:
        msg = (
            f"{split}: 'per class' needs labels, {table.source} has none; give 'N from SOURCE', "
            "'rest of SOURCE' or 'SOURCE'"
        )
        raise ValueError(msg)
    if (table.labels.sum(axis=1) != 1).any():
        msg = (
            f"{split}: 'per class' needs one label per item, {table.source} has items of several, "
            "or of none; give 'N from SOURCE'"
        )
        raise ValueError(msg)
    for column in range(table.labels.shape[1]):
        name = table.class_names[column] if table.class_names else f"label {column}"
        yield f"{table.source}, {name}", table.labels[:, column] == 1
