"""Parsers that say what is wrong in one line: jsonargparse's, and the standard library's."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import jsonargparse

from lightning_hash.commands.class_names import class_names, classes_of
from lightning_hash.commands.class_paths import explained_denial
from lightning_hash.commands.mappings import with_parts
from lightning_hash.commands.mistakes import explain
from lightning_hash.commands.plain_parser import required
from lightning_hash.commands.table import VERBS
from lightning_hash.commands.verb_options import elsewhere
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.nearest import offer

LONGEST = 300  # letters of what jsonargparse says, where nothing better is known


class OneLineParser(jsonargparse.ArgumentParser):
    """jsonargparse's parser; an error is one line, with the names that there are.

    Attributes:
        command_line: what a person typed, where :meth:`parse_args` gets something made of it.
        optional: sections that may be missing.
    """

    command_line: Sequence[str] | None = None
    optional: Sequence[str] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument, as jsonargparse does; one that takes a mapping takes its parts too."""
        return with_parts(super().add_argument(*args, **kwargs))

    def parse_args(self, args: Any = None, *more: Any, **kwargs: Any) -> Any:
        """Parse, and refuse sections that are no mappings, which jsonargparse lets pass."""
        repeated = self._repeated(sys.argv[1:] if args is None else args)
        if repeated is not None:
            said = "is given twice, and of a list the second replaces the first"
            self.exit(2, f"error: {repeated} {said}; give all values behind one {repeated}\n")
        parsed = super().parse_args(args, *more, **kwargs)
        for group in self.groups or ():
            if group in self.optional and parsed.get(group) is None:
                continue
            if group in parsed and not isinstance(parsed[group], jsonargparse.Namespace):
                self.error(f"{group} must be a mapping of options, got {parsed[group]!r}")
        return parsed

    def _repeated(self, words: Sequence[str]) -> str | None:
        """Return an option of several values that is there twice."""
        counts = Counter(word.partition("=")[0] for word in words if word.startswith("--"))
        several = [a.option_strings for a in self._actions if a.nargs == "+"]
        return next((name for name in counts if [name] in several and counts[name] > 1), None)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and end with status 2; a parser inside another only tells that one."""
        if not self.exit_on_error:
            super().error(message, ex)
        self.exit(2, f"error: {visible(self._explained(message))}\n")

    def _explained(self, message: str) -> str:
        denied = explained_denial(message)
        if denied is not None:
            return denied
        typed = self.command_line if self.command_line is not None else getattr(self, "args", [])
        verb = str(self.prog).rpartition(" ")[2]
        defaults = VERBS[verb].defaults.items() if verb in VERBS else ()
        usual = {key: value["class_path"] for key, value in defaults if isinstance(value, dict)}
        line = explain(self, typed, lambda name: elsewhere(verb, name), usual)
        if line is None:
            line = self._class_missing(message) or required(message, self._actions)
        return line if line is not None else _shortened(message)

    def _class_missing(self, message: str) -> str | None:
        """Say which classes there are, where one must be given."""
        for action in self._actions:
            classes = classes_of(getattr(action, "_typehint", None))
            if classes and message.endswith(f"arguments are required: {action.dest}"):
                return f"--{action.dest} is missing; {offer('', class_names(classes))}"
        return None


def _shortened(message: str) -> str:
    """Return what jsonargparse says in one line, or which option it is about."""
    key = re.match(r'Parser key "([\w.]+)"', message)
    if key is not None:
        return f"--{key[1]} cannot take the value that was given; see its type with --help"
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
