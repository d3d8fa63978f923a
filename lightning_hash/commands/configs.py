"""The configs that a command line names."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import yaml

from lightning_hash.utils.configs import find_config, read_config

_OPTIONS, _DATA = ("--config", "-c"), ("--data", "--data.class_path")


def resolve_configs(arguments: Sequence[str]) -> list[str]:
    """Put the paths of all configs, which may be names of presets, before the other options.

    So an option of the command line holds wherever it stands; of two configs the later one holds.

    Args:
        arguments: the command line behind the verb.

    Returns:
        The command line with paths.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a preset.
        ValueError: if a file is no config, see :func:`read_config`.
    """
    configs: list[str] = []
    others: list[str] = []
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if before in _OPTIONS and not argument.startswith("--"):
            configs += [others.pop(), str(find_config(argument))]
        elif option in _OPTIONS and equals:
            configs.append(f"{option}={find_config(value)}")
        else:
            others.append(argument)
    for name in config_names(configs):
        read_config(name)  # jsonargparse's own reader takes whatever an alias may stand for
    return configs + others


def config_names(arguments: Sequence[str]) -> list[str]:
    """Return the configs that a command line names, in their order."""
    pairs = pairwise(arguments)
    names = [name for option, name in pairs if option in _OPTIONS and not name.startswith("--")]
    return names + [a.partition("=")[2] for a in arguments if a.startswith("--config=")]


def with_data_class(arguments: Sequence[str]) -> list[str]:
    """Name the class of the data in configs that set options of it alone, as a recipe's batch size.

    So such options hold whatever the order of the configs: jsonargparse keeps them where the class
    is the same, and needs one.

    Args:
        arguments: the command line behind the verb, with paths of configs.

    Returns:
        The command line with the content of such configs in the place of their paths, where another
        config or option names the class.
    """
    contents = {name: read_config(name) for name in config_names(arguments)}
    named = [_data_class(content) for content in contents.values()]
    given = [*arguments, *(part for a in arguments for part in a.split("=", 1) if "=" in a)]
    named += [after for before, after in pairwise(given) if before in _DATA]
    classes = [name for name in named if name is not None]
    if not classes:
        return list(arguments)
    filled = {}
    for name, content in contents.items():
        data = content.get("data")
        if isinstance(data, dict) and "class_path" not in data:
            options = data.get("init_args", data)
            content["data"] = {"class_path": classes[-1], "init_args": options}
            filled[name] = yaml.safe_dump(content)
    line = []
    for before, argument in pairwise(["", *arguments]):
        option, _, value = argument.partition("=")
        if before in _OPTIONS:
            line.append(filled.get(argument, argument))
        elif option in _OPTIONS and value in filled:
            line.append(f"{option}={filled[value]}")
        else:
            line.append(argument)
    return line


def _data_class(content: dict[str, Any]) -> str | None:
    data = content.get("data")
    found = data.get("class_path") if isinstance(data, dict) else data
    return found if isinstance(found, str) else None
