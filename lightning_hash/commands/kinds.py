"""Types of options in words, and whether one takes a value."""

import re
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser

from lightning_hash.commands.given_nodes import is_typed
from lightning_hash.utils.yaml_text import construct

_WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text",
    type(None): "null", list: "a list", dict: "a mapping",
}  # fmt: skip
_NAMES = {"timedelta": "a time", "Path": "a path"}
LONGEST = 60  # letters of a value that are shown


def union_members(hint: Any) -> list[Any]:
    """Return the types of a union, or the type itself."""
    if get_origin(hint) in (Union, types.UnionType):
        return [inner for member in get_args(hint) for inner in union_members(member)]
    return [hint]


def own_type(hint: Any) -> Any:
    """Return ``list`` or ``dict`` for every type that is filled from one, else the type."""
    origin = get_origin(hint) or hint
    if not isinstance(origin, type) or origin in (str, bytes):
        return hint
    if issubclass(origin, Mapping):
        return dict
    return list if issubclass(origin, Iterable) else hint


def kind_of(hint: Any) -> str:
    """Say what a type takes.

    Example:
        >>> kind_of(list[int]), kind_of(Literal["a", "b"]), kind_of(bool)
        ('a list of whole numbers', "'a' or 'b'", 'true or false')
    """
    if get_origin(hint) is Literal:
        return " or ".join(repr(word) for word in get_args(hint))
    own = own_type(hint)
    if own is list:
        inner = [kind_of(member) for arg in get_args(hint)[:1] for member in union_members(arg)]
        plain = [f"{kind.removeprefix('a ')}s" for kind in inner if kind.startswith("a ")]
        return f"a list of {' or '.join(plain)}" if plain else "a list"
    if own in _WORDS:
        return _WORDS[own]
    name = getattr(hint, "__name__", str(hint))
    return _NAMES.get(name, f"a {name}")


def shown(value: yaml.Node) -> str:
    """Return a value as an error shows it, in one line.

    Example:
        >>> shown(yaml.compose("[1, a]")), shown(yaml.compose("''"))
        ("[1, 'a']", "''")
    """
    if isinstance(value, yaml.ScalarNode) and is_typed(value):
        text = repr(str(value.value))
    else:
        text = repr(construct(value))
    for ours, theirs in (("true", "True"), ("false", "False"), ("null", "None")):
        text = ours if text == theirs else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def takes(hint: Any, value: yaml.Node) -> bool:
    """Return whether jsonargparse takes a value for a type.

    Example:
        >>> takes(type(None), yaml.compose("null")), takes(type(None), yaml.compose("3"))
        (True, False)
    """
    if hint is type(None):  # on its own it is no type of jsonargparse's
        if not isinstance(value, yaml.ScalarNode):
            return False
        try:
            node = yaml.compose(str(value.value)) if is_typed(value) else value
        except yaml.YAMLError:
            return False
        return node is not None and construct(node) is None
    parser = _parser_of(_Key(hint))
    try:
        if isinstance(value, yaml.ScalarNode) and is_typed(value):
            parser.parse_args([f"--value={value.value}"])
        else:
            parser.parse_object({"value": construct(value)})
    except Exception:  # of the types' own readers as well
        return False
    return True


def remedy_of(hints: list[Any], value: yaml.Node) -> str:
    """Return what to write instead of a value, where that is known."""
    text = str(value.value) if isinstance(value, yaml.ScalarNode) else ""
    fraction = re.fullmatch(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)", text)
    if fraction and float in hints and float(fraction[2]):
        return f"; write {float(fraction[1]) / float(fraction[2]):.4g}"
    if str in hints and not is_typed(value) and value.tag != "tag:yaml.org,2002:str":
        return "; put it in quotes" if isinstance(value, yaml.ScalarNode) else ""
    return ""


class _Key:
    """A type as a key of the cache, which two types that are equal but not the same need."""

    def __init__(self, hint: Any) -> None:
        self.hint = hint

    def __hash__(self) -> int:
        return hash(repr(self.hint))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and repr(other.hint) == repr(self.hint)


@cache
def _parser_of(key: _Key) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=key.hint)
    return parser
