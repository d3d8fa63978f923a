"""How much is said on the screen: ``--quiet``, ``--verbose``, or neither."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

QUIET, VERBOSE = "--quiet", "--verbose"
HELP = (
    f"Anywhere on the line, {QUIET} prints results and errors alone; {VERBOSE} also what the "
    "libraries say, and the traceback of an error."
)


class Volume(Enum):
    """How much is said."""

    QUIET = "results and errors"
    USUAL = "also tables, progress and what this program has to say"
    VERBOSE = "also what libraries say, and tracebacks"


_current = Volume.USUAL  # of the process: its threads have no context of their own


def volume() -> Volume:
    """Return how much is said."""
    return _current


@contextmanager
def speaking(chosen: Volume) -> Iterator[None]:
    """Say so much, while this context lasts.

    Args:
        chosen: how much.

    Example:
        >>> with speaking(Volume.QUIET):
        ...     volume() is Volume.QUIET
        True
    """
    global _current
    before, _current = _current, chosen
    try:
        yield
    finally:
        _current = before


def take_volume(words: Sequence[str]) -> tuple[Volume, list[str]]:
    """Take the two flags off a command line, wherever they stand.

    Args:
        words: a command line.

    Returns:
        How much is said, and the other words.

    Raises:
        ValueError: if both are given, or one with a value.

    Example:
        >>> take_volume(["fit", "--quiet", "--runs", "runs"])[1]
        ['fit', '--runs', 'runs']
    """
    for word in words:
        flag = word.partition("=")[0]
        if flag in (QUIET, VERBOSE) and flag != word:
            msg = f"{word}: {flag} takes no value; give it alone, or leave it out"
            raise ValueError(msg)
    if QUIET in words and VERBOSE in words:
        msg = f"{QUIET} does not go with {VERBOSE}; leave one of them out"
        raise ValueError(msg)
    chosen = Volume.QUIET if QUIET in words else Volume.USUAL
    chosen = Volume.VERBOSE if VERBOSE in words else chosen
    return chosen, [word for word in words if word not in (QUIET, VERBOSE)]
