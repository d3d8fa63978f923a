"""The parser of verbs that need no jsonargparse; an error is one line with the names there are."""

import argparse
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from lightning_hash.commands.verb_options import elsewhere
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.nearest import offer
from lightning_hash.utils.volume import HELP

_KINDS = {"int": "a whole number", "float": "a number", "Path": "a path"}


class PlainParser(argparse.ArgumentParser):
    """The standard library's parser."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": HELP, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and keep the words: what is unknown among them may be why another is missing."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        self.exit(2, f"error: {visible(self._unknown() or self._explained(message))}\n")

    def _unknown(self) -> str | None:
        """Say which option there is not."""
        known = [name for each in self._actions for name in each.option_strings]
        for word in self._words:
            option = word.partition("=")[0]
            if option.startswith("--") and option != "--" and option not in known:
                said = elsewhere(self.prog.rpartition(" ")[2], option[2:])
                if said is not None:
                    return f"{option} {said}"
                longer = [name for name in known if name.startswith("--") and name != "--help"]
                return f"{option}: there is no such option; {offer(option, longer)}"
        return None

    def _explained(self, message: str) -> str:
        unknown = re.match(r"unrecognized arguments: (\S*)", message)
        if unknown is not None:
            return f"{unknown[1]!r} stands behind no option; options begin with --"
        found = re.match(r"argument ([^:]*): (.*)", message, re.DOTALL)
        if found is not None:
            return self._of_one(found[1].rpartition("/")[2], found[2])
        return required(message, self._actions) or " ".join(message.split())

    def _of_one(self, name: str, said: str) -> str:
        """Say what is wrong with the value of an option."""
        if said.startswith("expected"):
            return f"{name}: the value is missing; give {name}=VALUE"
        choice = re.match(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", said)
        if choice is not None:
            known = [word.strip(" '") for word in choice[2].split(",")]
            return f"{name}: there is no {choice[1]!r}; {offer(choice[1], known)}"
        value = re.match(r"invalid (\w+) value: (.*)", said)
        if value is not None:
            return f"{name} must be {_KINDS.get(value[1], value[1])}, got {value[2]}"
        beside = re.match(r"not allowed with argument (\S+)", said)
        if beside is not None:
            return f"{name} does not go with {beside[1]}; leave one of them out"
        return f"{name}: {said}"


def required(message: str, actions: Iterable[argparse.Action]) -> str | None:
    """Say which options must be given, and what they are; ``None`` of other messages.

    Args:
        message: the parser's.
        actions: its options.
    """
    found = re.search(r"the following arguments are required: (.*)", message)
    if found is None:
        return None
    name = found[1].split(",")[0].strip()
    for action in actions:
        if name in (action.dest, *action.option_strings):
            option = action.option_strings[-1:] or [str(action.metavar or action.dest).upper()]
            told = "" if not action.help else f": {_plain(action.help)}"
            return f"{option[0]} is missing{told}"
    return f"{name} is missing; give it"


def _plain(text: str) -> str:
    """Return the first part of a help text, without its markup."""
    return " ".join(text.split()).replace("``", "").partition(";")[0].rstrip(".")
