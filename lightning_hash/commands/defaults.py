"""What a verb takes where the user says nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_hash.commands.configs import config_names
from lightning_hash.utils.configs import read_config


def keep_defaults(defaults: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the defaults of a verb, without the classes that the user replaces.

    jsonargparse passes the options of a default class on to the class that replaces it, where that
    has options of the same name (jsonargparse issue 460): AdamW's weight decay to SGD, the demo's
    sizes to the user's own data.

    Args:
        defaults: dotted names and values.
        arguments: the command line behind the verb.

    Returns:
        Those that hold.
    """
    configs = [read_config(name) for name in config_names(arguments)]
    return {
        key: value
        for key, value in defaults.items()
        if not (isinstance(value, dict) and _replaces(key, arguments, configs))
    }


def is_given(key: str, arguments: Sequence[str]) -> bool:
    """Return whether the user gives an option, or a part of it.

    Args:
        key: its dotted name.
        arguments: the command line behind the verb.
    """
    words = (f"--{key}", f"--{key}=", f"--{key}.", f"--{key}+")
    if any(a == words[0] or a.startswith(words[1:]) for a in arguments):
        return True
    return any(_value(read_config(name), key) is not None for name in config_names(arguments))


def _replaces(key: str, arguments: Sequence[str], configs: list[Any]) -> bool:
    option = f"--{key}"
    if any(a == option or a.startswith((f"{option}=", f"{option}.class_path")) for a in arguments):
        return True
    values = [_value(config, key) for config in configs]
    return any(isinstance(v, str) or (isinstance(v, dict) and "class_path" in v) for v in values)


def _value(config: Any, key: str) -> Any:
    """Return the value that a config has for an option, or ``None``."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config
