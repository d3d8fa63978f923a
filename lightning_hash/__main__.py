"""``python -m lightning_hash`` and the console script."""

import io
import logging
import os
import signal
import sys
import warnings

from lightning_hash._version import __version__
from lightning_hash.commands.errors import explained
from lightning_hash.commands.run_verb import run_verb
from lightning_hash.commands.table import PROGRAM, VERBS, help_text, unknown
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.signals import ends_by_signal


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
    verb, *arguments = (sys.argv[1:] if args is None else args) or [""]
    if verb in ("--version", "-V"):
        print(f"{PROGRAM} {__version__}")
        return 0
    if verb in ("", "--help", "-h"):
        print(help_text())
        return 0 if verb else 2
    if verb not in VERBS:
        print(f"error: {unknown(verb)}", file=sys.stderr)
        return 2
    _quieten()
    try:
        with ends_by_signal():
            return run_verb(verb, arguments)
    except BrokenPipeError:  # such as `... | head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        line = explained(error)
        if line is None or os.environ.get("LIGHTNING_HASH_TRACEBACK"):
            raise
        print(f"error: {visible(line)}", file=sys.stderr)
        return 1


def _print_any_text() -> None:
    """Let what a terminal cannot show, as under ``LC_ALL=C``, be escaped rather than end a verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _quieten() -> None:
    """Leave out what the libraries say about each other, and advice that does not fit attacks."""
    # jsonargparse tells its callers about renamed functions; the caller here is Lightning.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # It would let variables of the environment change options without a word.
    if os.environ.pop("JSONARGPARSE_DEFAULT_ENV", "false").lower() != "false":
        print(
            "JSONARGPARSE_DEFAULT_ENV is passed over: options come from the command line and from "
            "configs alone", file=sys.stderr,
        )  # fmt: skip
    for message in (
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning and torch
        ".*does not have many workers.*",  # images are in memory
        "LightningCLI's args parameter is intended",  # main's own argument
        r"The number of training batches .* is smaller than the logging interval",
        r"Checkpoint directory .* exists and is not empty",  # what is in it is kept
        r"Image size \(\d+ pixels\) exceeds limit",  # such images are refused, and named
        r"Found \d+ module\(s\) in eval mode",  # the victim is
    ):
        warnings.filterwarnings("ignore", message=message)
    tips = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    tips.addFilter(lambda record: "Tip:" not in record.getMessage())


if __name__ == "__main__":
    sys.exit(main())
