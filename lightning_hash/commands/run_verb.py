"""A verb of the table, run."""

from collections.abc import Sequence
from importlib import import_module

from lightning_hash.commands.configs import resolve_configs
from lightning_hash.commands.help import verb_help
from lightning_hash.commands.notices import show_visibly
from lightning_hash.commands.table import VERBS
from lightning_hash.utils.trust import OPTION, check_flag, trusting


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Run a verb.

    Args:
        verb: one of the table.
        arguments: the command line behind it.

    Returns:
        The exit status.

    Raises:
        ValueError: or a TypeError, if the input is wrong.
        OSError: if a file cannot be read or written.
    """
    entry, line = VERBS[verb], list(arguments)
    trust = entry.trust and OPTION in line
    if entry.trust:  # no option of the parser, which configs could set
        check_flag(line)
        line = [argument for argument in line if argument != OPTION]
    line = resolve_configs(line)
    if (entry.options or entry.model) and {"--help", "-h"} & set(line):
        print(verb_help(verb), flush=True)
        return 0
    with trusting(trust):
        if not entry.model:
            module = import_module(entry.module)
            show_visibly()
            status: int = getattr(module, entry.function)(line)
            return status
        from lightning_hash.commands.cli import HashCLI  # Lightning: for the verbs that need it

        show_visibly()
        return HashCLI(verb, line).run()
