"""``python -m lightning_hash`` and the console script."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from lightning_hash._version import __version__
from lightning_hash.commands.verbs import VERBS


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the arguments; those of the process by default.

    Returns:
        The exit status: 0, or 1 after a message on stderr where the input was wrong.
    """
    arguments = sys.argv[1:] if args is None else args
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"lightning_hash {__version__}")
        return 0
    _quieten()
    try:
        verb = arguments[0] if arguments else ""
        if (
            verb == "sweep"
        ):  # computes nothing itself: starts without torch, with configs of its own
            return _main_of(verb)(arguments[1:])
        from lightning_hash.commands.cli import HashCLI  # after the filters, and not for --version
        from lightning_hash.commands.defaults import config_paths

        _check_configs(config_paths(arguments))
        if verb in VERBS:
            return _main_of(verb)(arguments[1:])
        HashCLI(args)
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("LIGHTNING_HASH_TRACEBACK"):
            raise
        print(f"error: {_explained(error)}", file=sys.stderr)
        return 1
    return 0


def _main_of(verb: str) -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = import_module(
        f"lightning_hash.commands.{verb.replace('-', '_')}"
    ).main
    return main


def _explained(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename2 or error.filename or "the run folder"
        return (
            f"no space left on the disk of {where}; what was written is whole: make room and "
            "go on from the newest checkpoint with --ckpt_path, or write elsewhere with --runs"
        )
    return str(error)


def _quieten() -> None:
    """Leave out what the libraries say about each other, and advice that does not fit attacks."""
    # jsonargparse tells its callers about renamed functions; the caller here is Lightning.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for message in (
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning and torch
        ".*does not have many workers.*",  # images are in memory
        "LightningCLI's args parameter is intended",  # main's own argument
        r"The number of training batches .* is smaller than the logging interval",
        r"Found \d+ module\(s\) in eval mode",  # the victim is
    ):
        warnings.filterwarnings("ignore", message=message)
    tips = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    tips.addFilter(lambda record: "Tip:" not in record.getMessage())


def _check_configs(paths: list[Path]) -> None:
    """Name the configs there are where the one asked for does not exist."""
    for path in paths:
        if not path.exists():
            known = sorted(str(p) for p in path.parent.glob("*.yaml")) or ["none in that folder"]
            msg = f"--config {path} does not exist; there are: {', '.join(known)}"
            raise FileNotFoundError(msg)


if __name__ == "__main__":
    sys.exit(main())
