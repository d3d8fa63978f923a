"""The options of all verbs, for somebody who typed one behind another verb."""

import re
from importlib import import_module

from lightning_hash.commands.help import verb_help
from lightning_hash.commands.table import PROGRAM, VERBS


def elsewhere(verb: str, name: str) -> str | None:
    """Say which other verbs have an option.

    Args:
        verb: the verb that does not have it.
        name: the option, dotted, without dashes.

    Returns:
        What follows its name in an error; ``None`` where no verb has it.

    Example:
        >>> elsewhere("attack", "model.loss")
        'is an option of fit and test, not of attack; see lightning_hash attack --help'
    """
    verbs = [other for other in VERBS if other != verb and _has(other, name)]
    if not verbs:
        return None
    listed = " and ".join(([", ".join(verbs[:-1])] if verbs[1:] else []) + verbs[-1:])
    return f"is an option of {listed}, not of {verb}; see {PROGRAM} {verb} --help"


def _has(verb: str, name: str) -> bool:
    """Return whether a verb has an option, one that it stands below, or any below it."""
    names = option_names(verb)
    below = tuple(f"{known}." for known in names if VERBS[verb].model)
    above = any(known.startswith(f"{name}.") for known in names)
    return name in names or above or name.startswith(below)


def option_names(verb: str) -> list[str]:
    """Return the options of a verb, dotted and without dashes, as its help has them."""
    entry = VERBS[verb]
    if entry.options or entry.model:
        text = verb_help(verb)
    else:
        text = import_module(entry.module).make_parser().format_help()
    found = re.findall(r"^  (?:-\w, )?--([\w.-]+)", text, re.MULTILINE)
    return [name for name in found if name not in ("help", "config", "print_config")]
