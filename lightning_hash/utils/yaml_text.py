"""YAML that people write: read so that nothing in it is lost or taken otherwise in silence."""

import re
from typing import Any

import yaml

_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_FLOAT, _TIME = "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"
# What PyYAML says, and what a person can do about it.
_REMEDIES = {
    r"'\t'": "YAML indents by spaces, replace the tab",
    "mapping values are not allowed": "look at the indentation, and quote texts that hold ': '",
    "expected <block end>": "look at the indentation",
    "could not find expected ':'": "a key needs ': ' behind it; look at the indentation",
    "unknown escape": "write backslashes in single quotes, or / in paths",
    "escape sequence": "write backslashes in single quotes, or / in paths",
    "another document": "a file holds one config: remove the line ---",
    "undefined alias": "* begins an alias: put the text in quotes",
    "alphabetic or numeric": "* and & begin aliases: put the text in quotes",
    "constructor for the tag": "tags (!) are not read, put the text in quotes",
    "cannot start any token": "put the text in quotes",
    "end of stream": "a quote or bracket is not closed",
    "<stream end>": "a quote or bracket is not closed",
    "expected ',' or": "a bracket is not closed, or a comma is missing",
}


class _Loader(yaml.SafeLoader):
    """Reads numbers as the command line does: 1e-3 is one, a date is a text."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag not in (_FLOAT, _TIME)]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
        |\.[0-9_]+(?:[eE][-+]?[0-9]+)?
        |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)


MOST_VALUES = 200_000  # of a document, those behind an alias counted as often as it stands there


def load_yaml(text: str | bytes, what: str) -> Any:
    """Read a YAML document.

    Args:
        text: the document; bytes are UTF-8, with or without a byte order mark.
        what: what to call it in an error, such as ``config a.yaml``.

    Returns:
        Plain values; ``None`` for an empty document.

    Raises:
        ValueError: if it is no YAML, a key stands twice or is no text, naming the line and the
            remedy; or if its aliases stand for more than MOST_VALUES values or for themselves.

    Example:
        >>> load_yaml("model: {lr: 1e-3}", "config a.yaml")
        {'model': {'lr': 0.001}}
    """
    node = compose_yaml(text, what)
    return None if node is None else construct(node, what)


def compose_yaml(text: str | bytes, what: str) -> yaml.Node | None:
    """Read a YAML document as nodes, which know their lines; see :func:`load_yaml`."""
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        loader = _Loader(decoded)
        loader.name = what
        node: yaml.Node | None = loader.get_single_node()
        values = 0 if node is None else _values(node, {})
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        kind = "it is UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "of Latin-1?"
        msg = (
            f"{what} is no YAML: it has bytes that are no UTF-8 text ({kind}) in line "
            f"{before.count(10) + 1}; save it as UTF-8"
        )
        raise ValueError(msg) from error
    except yaml.YAMLError as error:
        raise ValueError(_explained(error, what, decoded)) from error
    except RecursionError as error:
        msg = (
            f"{what} is not read: its lists and mappings are nested too deep, or an alias stands "
            "for what it is in"
        )
        raise ValueError(msg) from error
    if values > MOST_VALUES:
        msg = (
            f"{what} is not read: its aliases stand for {values:,} values, at most "
            f"{MOST_VALUES:,} are read"
        )
        raise ValueError(msg)
    if node is not None:
        _check_keys(node, what, set())
    return node


def construct(node: yaml.Node, what: str = "YAML") -> Any:
    """Return the plain values of a node.

    Raises:
        ValueError: if it has a tag that is not read.
    """
    try:
        return _Loader("").construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(_explained(error, what, "")) from error


def line_of(node: yaml.Node) -> int:
    """Return the line at which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def _values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Count the values of a node, each as often as aliases repeat it."""
    if node not in known:
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = inner if isinstance(node, yaml.MappingNode) else [(each,) for each in inner]
        known[node] = 1 + sum(_values(each, known) for pair in pairs for each in pair)
    return known[node]


def _check_keys(node: yaml.Node, what: str, seen: set[int]) -> None:
    """Refuse keys that stand twice, of which YAML takes the last, and such as are no text."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _check_keys(inner, what, seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_STRING, _MERGE):
            shown = key.value if isinstance(key, yaml.ScalarNode) else "that is a list or mapping"
            kind = str(key.tag).rpartition(":")[2]
            read = f"is read as {kind}, not as a text" if kind in _KINDS else "is no text"
            msg = f"{what} is no config: line {line_of(key)}, key {shown} {read}; put it in quotes"
            raise ValueError(msg)
        if key.tag == _STRING and key.value in lines:
            msg = (
                f"{what} is no config: line {line_of(key)}, key {key.value} stands in line "
                f"{lines[key.value]} too, and one of them would be lost; leave one out"
            )
            raise ValueError(msg)
        lines[key.value] = line_of(key)
        _check_keys(value, what, seen)


_KINDS = ("bool", "int", "float", "null")


def _explained(error: yaml.YAMLError, what: str, text: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None)
    if problem is None:  # a character that no YAML may hold
        position = int(getattr(error, "position", 0))
        number = text[:position].count("\n") + 1
        code = getattr(error, "character", "?")
        problem = f"a character that is no text ({code:#04x})" if isinstance(code, int) else "bytes"
        return f"{what} is no YAML: line {number}, {problem}; save it as UTF-8 text"
    line = "" if mark is None else f"line {mark.line + 1}, "
    remedy = next((told for part, told in _REMEDIES.items() if part in problem), None)
    said = " ".join(str(problem).split())
    return f"{what} is no YAML: {line}{said}" + ("" if remedy is None else f"; {remedy}")
