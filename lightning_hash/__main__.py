"""``python -m lightning_hash`` and the console script."""

import io
import os
import signal
import sys
import traceback

from lightning_hash._version import __version__
from lightning_hash.commands.errors import explained, show_fault
from lightning_hash.commands.notices import fewer_warnings
from lightning_hash.commands.run_verb import run_verb
from lightning_hash.commands.table import PROGRAM, VERBS, help_text, unknown
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.signals import ends_by_signal
from lightning_hash.utils.volume import Volume, speaking, take_volume


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the arguments; those of the process by default.

    Returns:
        The exit status: 0; 1 after a message on stderr where the input was wrong or a run was
        stopped before its end; 2 where there is no verb, or no such option; 128 + the signal that
        stopped it; 141 where nobody reads what is printed.
    """
    _print_any_text()
    try:
        chosen, words = take_volume(sys.argv[1:] if args is None else args)
    except ValueError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2
    verb, *arguments = words or [""]
    if verb in ("--version", "-V"):
        print(f"{PROGRAM} {__version__}")
        return 0
    if verb in ("", "--help", "-h"):
        print(help_text())
        return 0 if verb else 2
    if verb not in VERBS:
        print(f"error: {unknown(verb)}", file=sys.stderr)
        return 2
    _ignore_environment()
    try:
        with speaking(chosen), fewer_warnings(), ends_by_signal():
            return run_verb(verb, arguments)
    except BrokenPipeError:  # such as `... | head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        line = explained(error)
        if line is None:
            raise
        if chosen is Volume.VERBOSE:
            traceback.print_exc()
        print(f"error: {visible(line)}", file=sys.stderr)
        return 1


def command() -> int:
    """Run the command line of this process, where a fault of the program is one line as well."""
    sys.excepthook = show_fault
    return main()


def _print_any_text() -> None:
    """Let what a terminal cannot show, as under ``LC_ALL=C``, be escaped rather than end a verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _ignore_environment() -> None:
    """Keep variables of the environment from jsonargparse."""
    # It tells its callers about renamed functions; the caller here is Lightning.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # It would let variables of the environment change options without a word.
    if os.environ.pop("JSONARGPARSE_DEFAULT_ENV", "false").lower() != "false":
        print(
            "JSONARGPARSE_DEFAULT_ENV is passed over: options come from the command line and from "
            "configs alone", file=sys.stderr,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(command())
