"""Options that are true where they are given, and take a value as well."""

from collections.abc import Iterable, Mapping

from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.table import Option

VALUES = ("true", "false")


def add_options(parser: OneLineParser, options: Mapping[str, Option]) -> None:
    """Add options of the table to a parser; those of type bool take a value, see :func:`valued`.

    Args:
        parser: gets them.
        options: by name.
    """
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option._asdict())


def valued(arguments: Iterable[str], options: Mapping[str, Option]) -> list[str]:
    """Give a value to each option of type bool that stands without one.

    Args:
        arguments: a command line.
        options: by name.

    Returns:
        The command line, in which a value stands behind an equals sign, whatever comes next.

    Example:
        >>> flag = {"quick": Option("the short form", False, bool)}
        >>> valued(["--quick", "a.png"], flag), valued(["--quick", "false"], flag)
        (['--quick=true', 'a.png'], ['--quick=false'])
    """
    flags = {f"--{name}" for name, option in options.items() if option.type is bool}
    words, found = list(arguments), []
    while words:
        word = words.pop(0)
        if word in flags:
            word += f"={words.pop(0) if words and words[0] in VALUES else VALUES[0]}"
        found.append(word)
    return found
