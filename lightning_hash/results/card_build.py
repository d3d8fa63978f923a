"""JSON made into a card: every field of the right type and in its range, or refused by its path."""

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lightning_hash.results.card import SCHEMA, Card
from lightning_hash.results.card_parts import (
    CLEAN_QUERY,
    Check,
    Estimate,
    MemberResult,
    Point,
    Side,
    ThreatResult,
    epsilon_number,
)
from lightning_hash.results.ranges import INNER, LARGEST, check_kind, check_range
from lightning_hash.results.settings import as_json, flatten, look_up
from lightning_hash.utils.json_text import brief

LONGEST = 10_000  # characters of a text, and of a value in a mapping as JSON
MOST = 100_000  # entries of a list, but for these
SHORTER = {"threats": 100, "members": 100, "checks": 1000, "curve": 1000, "warnings": 1000}
ABOUT = ("id", "paper", "venue", "weights", "by")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # also of a file and of a column
COLUMNS = (
    CLEAN_QUERY,
    "worst",
    "worst_by",
    "best",
    "best_by",
)  # of queries.csv, so no names of members
_EPSILON = re.compile(r"\d{1,9}(\.\d{1,9})?(/[1-9]\d{0,8})?")
_MAPPINGS = ("victim", "data", "ranking", "run")
_TEXTS = ("victim.output", "ranking.relevance", "run.version", "run.date", "run.devices")
_COUNTS = {"won", "left_alone", "iterations", "broken", "questions"}
_AT_LEAST_0 = _COUNTS | {"se", "seconds"}
_SHARES = {"budget_used", "chance"}
_AT_LEAST_1 = {"n", "k"}


def build_card(content: Any) -> Card:
    """Make a card of JSON.

    Args:
        content: what :mod:`json` has read.

    Returns:
        The card, without its queries, which are a table of their own.

    Raises:
        ValueError: naming the path of the first value that cannot stand where it stands.
    """
    if not isinstance(content, dict):
        msg = f"must be a mapping, got {brief(content)}"
        raise ValueError(msg)
    if content.get("schema") != SCHEMA or isinstance(content.get("schema"), bool):
        msg = (
            f"schema must be {SCHEMA}, got {brief(content.get('schema'))}: made by another version "
            "of this program, or no card"
        )
        raise ValueError(msg)
    card = _built(Card, content, "")
    assert isinstance(card, Card)
    for part in _MAPPINGS:
        for path, value in flatten(getattr(card, part), part).items():
            _check_length(path, json.dumps(value))
    whole = {part: getattr(card, part) for part in _MAPPINGS}
    for path, inner in INNER.items():
        if path.partition(".")[0] in _MAPPINGS and (value := look_up(whole, path)) is not None:
            check_kind(path, value, inner.kinds)
            if inner.least is not None:
                check_range(path, value, inner.least)
    for path in _TEXTS:
        check_kind(path, look_up(whole, path), (str, types.NoneType))
    _check_card(card)
    return card


def _built(kind: Any, value: Any, path: str) -> Any:
    """Return a value as an annotation says, with tuples in place of lists."""
    if kind is Any:
        return as_json(value, path)
    if dataclasses.is_dataclass(kind):
        return _part(kind, value, path)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        rest = next(each for each in inner if each is not types.NoneType)
        return None if value is None else _built(rest, value, path)
    if origin is typing.Literal:
        if not isinstance(value, str) or value not in inner:
            msg = f"{path} must be {' or '.join(inner)}, got {brief(value)}"
            raise ValueError(msg)
        return value
    if origin is tuple:
        return _entries(inner, value, path)
    if origin is Mapping:
        check_kind(path, value, (dict,))
        # One by one: a name of a stranger's stands in a message shortened.
        return {key: _built(inner[1], each, f"{path}.{_key(key)}") for key, each in value.items()}
    check_kind(path, value, (float, int) if kind is float else (kind,))
    if isinstance(value, str):
        _check_length(path, value)
    if isinstance(value, int):
        check_range(path, value, -LARGEST)
    return value


def _part(kind: Any, value: Any, path: str) -> Any:
    """Make a dataclass of a mapping that has its fields and no others."""
    if not isinstance(value, dict):
        msg = f"{path} must be a mapping, got {brief(value)}"
        raise ValueError(msg)
    fields = {each.name: each for each in dataclasses.fields(kind) if each.name != "queries"}
    unknown = next((name for name in value if name not in fields), None)
    if unknown is not None:
        msg = f"{_join(path, _key(unknown))} is no field; known are {', '.join(fields)}"
        raise ValueError(msg)
    missing = next((name for name in fields if name not in value), None)
    if missing is not None:
        msg = f"{_join(path, missing)} is missing"
        raise ValueError(msg)
    hints = typing.get_type_hints(kind)
    made = kind(**{name: _built(hints[name], value[name], _join(path, name)) for name in fields})
    _check_numbers(made, fields, path)
    return made


def _entries(inner: Sequence[Any], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        msg = f"{path} must be a list, got {brief(value)}"
        raise ValueError(msg)
    most = SHORTER.get(path.rpartition(".")[2], MOST)
    if len(value) > most:
        msg = f"{path} must have at most {most:,} entries, got {len(value):,}"
        raise ValueError(msg)
    return tuple(_built(inner[0], each, f"{path}.{place}") for place, each in enumerate(value))


def _check_numbers(part: object, names: Iterable[str], path: str) -> None:
    for name in names:
        value = getattr(part, name)
        where = _join(path, name)
        if value is None:
            continue
        if name in _SHARES or (name == "value" and isinstance(part, Estimate)):
            check_range(where, value, 0, 1)
        elif name in _AT_LEAST_0 or name in _AT_LEAST_1:
            check_range(where, value, int(name in _AT_LEAST_1))
    if isinstance(part, ThreatResult | MemberResult | Check):
        check_name(_join(path, "name"), part.name)
    if isinstance(part, ThreatResult | Point):
        _check_epsilon(_join(path, "epsilon"), part.epsilon, zero=isinstance(part, Point))


def check_name(path: str, name: str) -> None:
    """Check a name, which may become one of a file or of a column.

    Args:
        path: where it stands.
        name: the name.

    Raises:
        ValueError: if it has other signs than letters, digits, ``.``, ``_`` and ``-``, begins with
            one of these three, or is longer than 100.
    """
    if NAME.fullmatch(name) is None:
        msg = (
            f"{path} must be at most 100 letters, digits, '.', '_' or '-', beginning with a letter "
            f"or digit, got {brief(name)}"
        )
        raise ValueError(msg)


def _check_epsilon(path: str, text: str, *, zero: bool) -> None:
    if _EPSILON.fullmatch(text) is None or not (epsilon_number(text) > 0 or zero):
        msg = f"{path} must be a positive number such as 8/255 or 0.5, got {brief(text)}"
        raise ValueError(msg)


def _check_card(card: Card) -> None:
    """Check what one field says of another."""
    check_name("suite", card.suite)
    if not card.threats:
        msg = "threats must not be empty, got []"
        raise ValueError(msg)
    if not card.input_shape or not all(0 < side < 2**31 for side in card.input_shape):
        msg = f"input_shape must hold positive whole numbers, got {brief(card.input_shape)}"
        raise ValueError(msg)
    _check_once("threats", [threat.name for threat in card.threats])
    for place, threat in enumerate(card.threats):
        _check_threat(threat, f"threats.{place}")
    known = [threat.name for threat in card.threats]
    for place, check in enumerate(card.checks):
        if check.threat is not None and check.threat not in known:
            msg = f"checks.{place}.threat must be one of threats, got {brief(check.threat)}"
            raise ValueError(msg)
    wrong = next((key for key in card.about if key not in ABOUT), None)
    if wrong is not None:
        msg = f"about.{_key(wrong)} is no field; known are {', '.join(ABOUT)}"
        raise ValueError(msg)
    if "id" in card.about:
        check_name("about.id", card.about["id"])


def _check_threat(threat: ThreatResult, path: str) -> None:
    sizes = [point.size for point in threat.curve]
    if any(one >= other for one, other in pairwise(sizes)):
        said = [point.epsilon for point in threat.curve]
        msg = f"{path}.curve must have the smallest epsilon first and each once, got {brief(said)}"
        raise ValueError(msg)
    for place, point in enumerate(threat.curve):
        check_range(f"{path}.curve.{place}.broken", point.broken, 0, point.worst.n)
    for place, smallest in enumerate(threat.smallest):
        if smallest is not None:
            check_range(f"{path}.smallest.{place}", smallest, 0)
    sides = {"untargeted": threat.untargeted, "targeted": threat.targeted}
    _check_once(
        f"{path}: members",
        [member.name for side in sides.values() if side for member in side.members],
    )
    for name, side in sides.items():
        if side is not None:
            _check_side(side, f"{path}.{name}", 1 if name == "untargeted" else -1)


def _check_side(side: Side, path: str, sign: int) -> None:
    n = side.worst.n
    check_range(f"{path}.broken", side.broken, 0, n)
    for place, member in enumerate(side.members):
        where = f"{path}.members.{place}"
        if member.name in COLUMNS:
            msg = f"{where}.name must not be one of {', '.join(COLUMNS)}, got {member.name!r}"
            raise ValueError(msg)
        check_range(f"{where}.won", member.won, 0, n)
        check_range(f"{where}.left_alone", member.left_alone, 0, n)
        worst, own = side.worst.value, member.result.value
        if member.result.n == n and sign * worst > sign * own and not _near(worst, own):
            rule = "most" if sign > 0 else "least"
            msg = f"{path}.worst.value must be at {rule} that of {member.name}, {own}, got {worst}"
            raise ValueError(msg)
    if sum(member.won for member in side.members) > n:
        msg = f"{path}.members: together they must have won at most {n} queries"
        raise ValueError(msg)


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-6)


def _check_once(path: str, names: Sequence[str]) -> None:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        msg = f"{path} must have different names, got {twice!r} twice"
        raise ValueError(msg)


def _check_length(path: str, text: str) -> None:
    if len(text) > LONGEST:
        msg = f"{path} must have at most {LONGEST:,} characters, got {len(text):,}"
        raise ValueError(msg)


def _key(key: Any) -> str:
    return brief(key)[1:-1] if isinstance(key, str) else brief(key)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
