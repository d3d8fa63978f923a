"""What a person gave, as YAML nodes that know where they stand: in a config or on the command line.

Read once more where a parser has refused a command line, to say which part of it is meant.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_hash.utils.configs import find_config
from lightning_hash.utils.yaml_text import compose_yaml, line_of

COMMAND_LINE = "--"  # in the place of a config's name


class Given(NamedTuple):
    """A word of a command line that is an option, with its values.

    Attributes:
        name: the option, without dashes and without ``+``.
        typed: the option as it was typed.
        values: its values, each a node.
        action: the option of the parser that it is, or stands below; ``None`` if there is none.
        below: the rest of the name below the action's; empty for the option itself.
    """

    name: str
    typed: str
    values: list[yaml.Node]
    action: argparse.Action | None
    below: str


def place(name: str, node: yaml.Node) -> str:
    """Return where a value stands, for the beginning of an error."""
    source = node.start_mark.name
    dotted = name.replace(".init_args", "").replace(".class_path", "")
    if source == COMMAND_LINE:
        return f"--{name.removesuffix('.class_path')}"
    return f"{source}, line {line_of(node)}: {dotted}"


def is_typed(node: yaml.Node) -> bool:
    """Return whether a value was given on the command line, where all values are texts."""
    return bool(node.start_mark.name == COMMAND_LINE)


def config_nodes(arguments: Sequence[str], options: Sequence[str]) -> Iterator[yaml.MappingNode]:
    """Yield the configs that a command line names.

    Args:
        arguments: the command line behind the verb.
        options: the option strings of a config.
    """
    before = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        name = argument if before in options else value if option in options and equals else ""
        if name and Path(name).is_file():
            node = compose_yaml(Path(name).read_bytes(), name)
            if isinstance(node, yaml.MappingNode):
                yield node
        before = argument


def typed(arguments: Sequence[str], parser: argparse.ArgumentParser) -> Iterator[Given | str]:
    """Yield the options of a command line, and the words that belong to none.

    Args:
        arguments: the command line behind the verb.
        parser: what it was parsed with.
    """
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word in ("-", "--") or _is_number(word):
            yield word
            continue
        option, equals, text = word.partition("=")
        action, below = find(parser, option)
        texts = [text] if equals else []
        nargs = None if action is None or below else action.nargs
        if not equals and nargs != 0:
            most = len(words) if nargs in ("+", "*") else 1
            while words and len(texts) < most and not _is_option(words[0]):
                texts.append(words.pop(0))
        name = option.lstrip("-").removesuffix("+")
        yield Given(name, option, [_node(text) for text in texts], action, below)


def find(parser: Any, option: str) -> tuple[argparse.Action | None, str]:
    """Find the option of a parser that a typed one is, or stands below.

    Args:
        parser: the parser.
        option: with its dashes.

    Returns:
        The option, and the rest of the name below it.
    """
    known = parser._option_string_actions
    if option in known:
        return known[option], ""
    name = option.removesuffix("+")
    while "." in name:
        name = name.rpartition(".")[0]
        if name in known and not is_group(known[name]):
            return known[name], option.removesuffix("+")[len(name) + 1 :]
    return None, ""


def is_group(action: argparse.Action) -> bool:
    """Return whether an option stands for a group of others, such as ``--model``."""
    return type(action).__name__ == "_ActionConfigLoad"


def options_of(parser: Any) -> list[str]:
    """Return the names of a parser's options, without those that help or print."""
    names: Iterable[str] = parser._option_string_actions
    return [
        name[2:]
        for name in names
        if name.startswith("--")
        and not name.endswith((".help", "+"))
        and not name.startswith(("--help", "--print_"))
        and not is_group(parser._option_string_actions[name])
    ]


def instead_of(word: str) -> str:
    """Say what to write in place of a word that stands behind no option."""
    try:
        find_config(word)
    except (OSError, ValueError):
        return "options begin with --, as in --name VALUE"
    return f"a config is given as --config {word}"


def nested(below: str, value: yaml.Node) -> yaml.Node:
    """Return the mapping that a dotted name below an option stands for."""
    node = value
    for key in reversed(below.split(".")):
        scalar = yaml.ScalarNode("tag:yaml.org,2002:str", key, value.start_mark, value.end_mark)
        node = yaml.MappingNode(
            "tag:yaml.org,2002:map", [(scalar, node)], value.start_mark, value.end_mark
        )
    return node


def _node(text: str) -> yaml.Node:
    """Return a typed value as jsonargparse reads it: YAML, or else the text."""
    try:
        node = compose_yaml(text, COMMAND_LINE)
    except ValueError:
        node = None
    if node is not None:
        return node
    mark = yaml.Mark(COMMAND_LINE, 0, 0, 0, "", 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _is_number(word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
