"""The configs that a command line names."""

from collections.abc import Sequence
from itertools import pairwise

from lightning_hash.utils.configs import find_config

_OPTIONS = ("--config", "-c")


def resolve_configs(arguments: Sequence[str]) -> list[str]:
    """Put the path of the file in the place of each config, which may be the name of a preset.

    Args:
        arguments: the command line behind the verb.

    Returns:
        The command line with paths.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a preset.
    """
    resolved = []
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if before in _OPTIONS:
            resolved.append(str(find_config(argument)))
        elif option in _OPTIONS and equals:
            resolved.append(f"{option}={find_config(value)}")
        else:
            resolved.append(argument)
    return resolved


def config_names(arguments: Sequence[str]) -> list[str]:
    """Return the configs that a command line names, in their order."""
    names = [value for option, value in pairwise(arguments) if option in _OPTIONS]
    return names + [a.partition("=")[2] for a in arguments if a.startswith("--config=")]
