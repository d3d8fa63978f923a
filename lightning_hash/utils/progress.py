"""Progress with the time that is left, of what has no Trainer: on a terminal alone."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.volume import Volume, volume

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Item = TypeVar("Item")
SECONDS = 30.0  # between two lines where there is no terminal

_watched: list[str] = []  # what inner loops are shown as, the innermost last


def shows_bars() -> bool:
    """Return whether stderr is a terminal, and not only results are wanted."""
    return volume() is not Volume.QUIET and sys.stderr.isatty()


def make_bar(console: "Console | None" = None, unit: str = "", more: str = "") -> "Progress":
    """Return a bar: what, how many of all, the time that is left.

    Args:
        console: where it is drawn; stderr by default.
        unit: of what is counted.
        more: name of a field that is shown last.
    """
    from rich.console import Console  # help and --version do without
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
    ]  # fmt: skip
    columns += [TextColumn(unit)] if unit else []
    columns += [TimeRemainingColumn()]
    columns += [TextColumn(f"{{task.fields[{more}]}}")] if more else []
    return Progress(*columns, console=Console(stderr=True) if console is None else console)


def tracked(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield items, and show how many are done.

    Args:
        items: any.
        total: how many.
        what: is done with them.

    Yields:
        The items. On a terminal a bar on stderr shows the time that is left; elsewhere a line is
        printed every SECONDS; with ``--quiet`` nothing is shown.

    Example:
        >>> list(tracked("ab", 2, "letters"))
        ['a', 'b']
    """
    if shows_bars():
        with make_bar() as bar:
            task = bar.add_task(visible(what), total=total)
            for item in items:
                yield item
                bar.advance(task)
        return
    last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS and number < total and volume() is not Volume.QUIET:
            last = now
            print(visible(f"{what}: {number}/{total}"), file=sys.stderr)


@contextmanager
def watched(what: str) -> Iterator[None]:
    """Show the loops over :func:`steps` that run in this context.

    Args:
        what: they do.
    """
    _watched.append(what)
    try:
        yield
    finally:
        _watched.pop()


def steps(items: list[Item]) -> Iterator[Item]:
    """Yield items; where somebody watches, show how many are done."""
    if not _watched:
        return iter(items)
    return tracked(items, len(items), _watched[-1])
