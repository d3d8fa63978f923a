"""Errors of parts and of the Trainer, under the names that options have for who gave them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from lightning_hash.commands.given_nodes import Given, config_nodes, nested, place, typed

_VERBS = "must|should|goes|is|are|has|holds|does|begins"
_SUBJECT = re.compile(rf"([\w.]+)(?=(?: \S+| \([^)]*\))?(?: (?:{_VERBS})\b|:| = ))")
_OF_ALL = r"of the Union subtypes|^Problem with given class_path|^Parser key|^Type .* expects a "
_OF_TORCH = re.compile(r"Invalid (learning rate|\w+)(?: parameter| value)?:? (.*)")


@contextmanager
def options_named(parser: Any, arguments: Sequence[str]) -> Iterator[None]:
    """Name options as they were given in the errors of what they are given to.

    ``bits must be at least 1, got 0`` becomes ``--model.bits must ...``, or ``a.yaml, line 3:
    model.bits must ...``.

    Args:
        parser: what parses the command line.
        arguments: the command line, with the paths of configs.

    Raises:
        Exception: what was raised inside, under the name of the option where it begins with one.
    """
    try:
        yield
    except Exception as error:
        cause = _of_the_part(error)
        if type(cause) not in (ValueError, TypeError, FileNotFoundError):
            if cause is error:
                raise
            raise cause from None
        said = named(str(cause), places(parser, arguments))
        if said == str(error):
            raise
        raise type(cause)(said) from error


def _of_the_part(error: BaseException) -> BaseException:
    """Return what a part raised, without what jsonargparse says about all the types it tried."""
    while error.__cause__ is not None and re.search(_OF_ALL, str(error)):
        error = error.__cause__
    return error


def places(parser: Any, arguments: Sequence[str]) -> dict[str, str]:
    """Return where each option was given, by its dotted name without ``init_args``.

    Args:
        parser: what parses the command line.
        arguments: the command line, with the paths of configs.
    """
    found: dict[str, str] = {}
    for node in config_nodes(arguments, ("--config", "-c")):
        _collect("", node, found)
    for given in typed(arguments, parser):
        if isinstance(given, Given):
            for value in given.values[:1]:
                _collect("", nested(given.name, value), found)
    return found


def named(text: str, where: dict[str, str]) -> str:
    """Put the place of an option before an error that begins with its name.

    Args:
        text: the error.
        where: as :func:`places` returns it.

    Example:
        >>> named("bits must be at least 1, got 0", {"model.bits": "--model.bits"})
        '--model.bits must be at least 1, got 0'
    """
    invalid = _OF_TORCH.fullmatch(text)
    if invalid is not None:
        name = "lr" if invalid[1] == "learning rate" else invalid[1]
        text = f"{name} is out of the range of this optimizer, got {invalid[2]}"
    subject = _SUBJECT.match(text)
    if subject is None:
        return text
    name = subject[1]
    meant = [each for each in where if each == name or each.endswith(f".{name}")]
    if len(meant) != 1:
        return text
    return where[meant[0]] + text[len(name) :]


def _collect(name: str, node: yaml.Node, found: dict[str, str]) -> None:
    dotted = ".".join(part for part in name.split(".") if part != "init_args")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _collect(f"{name}.{key.value}" if name else key.value, value, found)
    if name:
        found[dotted] = place(name, node)
