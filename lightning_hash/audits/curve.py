"""Robustness beyond one epsilon: MAP against epsilon, and the smallest epsilon of each query."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_hash.attacks import parse_epsilon

# Levels that are told apart: of an 8-bit image these are all that an L-infinity ball of 16/255
# holds; an L2 ball is cut into as many.
LEVELS = 16
EPSILONS = (1, 2, 4, 8, 16)  # levels of the curve


@dataclass(frozen=True)
class Reached:
    """What attacks have made of Q queries at one epsilon.

    Attributes:
        ap: float ``(Q,)``, AP of the 8-bit images.
        broken: bool ``(Q,)``, whether nothing relevant is left in the first k.
    """

    ap: Tensor
    broken: Tensor

    def worst(self, other: "Reached") -> "Reached":
        """Return what both together have reached."""
        return Reached(torch.minimum(self.ap, other.ap), self.broken | other.broken)


def epsilons_of(norm: Literal["linf", "l2"], epsilon: str) -> tuple[str, ...]:
    """Return the epsilons of a curve where none are given.

    Args:
        norm: of the threat.
        epsilon: of the threat, in [0, 1] units.

    Returns:
        1, 2, 4, 8 and 16 over 255; in L2 1/8, 1/4, 1/2, 1 and 2 times that of the threat.

    Example:
        >>> epsilons_of("l2", "0.5")
        ('0.0625', '0.125', '0.25', '0.5', '1')
    """
    if norm == "linf":
        return tuple(f"{level}/255" for level in EPSILONS)
    return tuple(f"{_size(epsilon) * level / 8:g}" for level in EPSILONS)


def check_epsilons(epsilons: Sequence[str], norm: Literal["linf", "l2"]) -> None:
    """Refuse epsilons that no curve can have, before anything is attacked.

    Args:
        epsilons: numbers or fractions.
        norm: of the threat.

    Raises:
        ValueError: if one is no epsilon of this norm, or two are equal.
    """
    try:
        for epsilon in epsilons:
            parse_epsilon(epsilon, largest=1.0 if norm == "linf" else torch.inf)
        _rising(epsilons)
    except ValueError as error:
        msg = f"curve: {error}"
        raise ValueError(msg) from error


def unit_of(norm: Literal["linf", "l2"], epsilon: str) -> float:
    """Return the epsilon of one of :data:`LEVELS` levels, in [0, 1] units.

    Args:
        norm: of the threat.
        epsilon: of the threat; in L2 the largest level is twice as much.
    """
    return 1 / 255 if norm == "linf" else 2 * _size(epsilon) / LEVELS


def level_of(epsilon: str, unit: float) -> int | None:
    """Return the level of an epsilon; ``None`` where it is none of them.

    Example:
        >>> level_of("4/255", 1 / 255), level_of("1/510", 1 / 255), level_of("32/255", 1 / 255)
        (4, None, None)
    """
    level = round(_size(epsilon) / unit)
    exact = math.isclose(level * unit, _size(epsilon), rel_tol=1e-6)
    return level if exact and 1 <= level <= LEVELS else None


def curve(
    epsilons: Sequence[str],
    run: Callable[[str, str | None], Reached],
    known: Mapping[str, Reached] | None = None,
) -> dict[str, Reached]:
    """Attack at one epsilon after the other, each from where the last has ended.

    A ball lies inside every larger one, so that what a smaller epsilon has reached counts at the
    larger ones too: no query's AP rises with epsilon. An epsilon that is known is not attacked
    again.

    Args:
        epsilons: numbers or fractions, in any order.
        run: ``(epsilon, previous) -> Reached``, attacks all queries at an epsilon, warm-started
            from the run at the previous one.
        known: what is reached already at some epsilons, also at those that the curve leaves out.

    Returns:
        The worst case at each of ``epsilons``, the smallest first.

    Raises:
        ValueError: if two epsilons are equal.
    """
    known = known or {}
    order = _rising(epsilons)
    found: dict[str, Reached] = {}
    worst: Reached | None = None
    previous: str | None = None
    for epsilon in order:
        inside = [values for size, values in known.items() if _size(size) <= _size(epsilon)]
        if not any(_size(size) == _size(epsilon) for size in known):
            inside.append(run(epsilon, previous))
            previous = epsilon
        for values in inside:
            worst = values if worst is None else worst.worst(values)
        assert worst is not None  # what is known at it, or was run
        found[epsilon] = worst
    return found


class Bisection:
    """The smallest level per query at which an attack succeeds, for many queries at a time.

    A query's answer is a level at which it was seen to succeed, never one that is merely between
    two others. Where success does not rise with the level, it is the smallest seen, which may not
    be the smallest there is.

    Args:
        count: queries.
        levels: the largest level; levels are 1 to this.
        largest_first: ask a query that was never seen to succeed for the largest level, at which
            its search ends where it fails; else for the middle, and no query is asked for more than
            ceil(log2(levels + 1)) levels.

    Raises:
        ValueError: if one of them is below 1.

    Example:
        >>> search = Bisection(2, levels=8)
        >>> search.know([0, 1], 8, [True, False])
        >>> search.ask()
        {4: [0]}
        >>> search.know([0], 4, [False])
        >>> search.ask()
        {6: [0]}
    """

    def __init__(self, count: int, levels: int = LEVELS, *, largest_first: bool = True) -> None:
        if count < 1 or levels < 1:
            msg = f"count and levels must be at least 1, got {count} and {levels}"
            raise ValueError(msg)
        self.levels, self.largest_first = levels, largest_first
        self._failed: list[set[int]] = [set() for _ in range(count)]
        self._shown: list[int | None] = [None] * count

    def know(self, rows: Sequence[int], level: int, success: Sequence[bool]) -> None:
        """Take what an attack has shown.

        Args:
            rows: the queries.
            level: at which they were attacked.
            success: of each.

        Raises:
            ValueError: if there is no such level.
        """
        if not 1 <= level <= self.levels:
            msg = f"level must be from 1 to {self.levels}, got {level}"
            raise ValueError(msg)
        for row, held in zip(rows, success, strict=True):
            shown = self._shown[row]
            if held and (shown is None or level < shown):
                self._shown[row] = level
            elif not held:
                self._failed[row].add(level)

    def ask(self) -> dict[int, list[int]]:
        """Return the level to try next, with the queries that it is for; empty once it is done."""
        wanted: dict[int, list[int]] = {}
        for row, (failed, shown) in enumerate(zip(self._failed, self._shown, strict=True)):
            # A failure above a success says nothing of what is below it.
            top = self.levels + 1 if shown is None else shown
            below = max((each for each in failed if each < top), default=0)
            level, left = (below + top) // 2, top - below > 1
            if shown is None and self.largest_first:
                level = self.levels
            if left:
                wanted.setdefault(level, []).append(row)
        return dict(sorted(wanted.items()))

    def result(self) -> tuple[int | None, ...]:
        """Return the smallest level seen to succeed per query; ``None`` where none did."""
        return tuple(self._shown)


def smallest_levels(
    count: int,
    run: Callable[[int, Sequence[int]], Sequence[bool]],
    known: Mapping[int, Sequence[bool]] | None = None,
    levels: int = LEVELS,
) -> tuple[int | None, ...]:
    """Find per query the smallest level of epsilon at which an attack succeeds.

    Args:
        count: queries.
        run: ``(level, rows) -> success`` of an attack on these queries alone.
        known: success of all queries at some levels.
        levels: the largest.

    Returns:
        The levels; ``None`` where the attack fails at the largest too.
    """
    search = Bisection(count, levels)
    for level, success in sorted((known or {}).items()):
        search.know(range(count), level, success)
    while wanted := search.ask():
        for level, rows in wanted.items():
            search.know(rows, level, run(level, rows))
    return search.result()


def _size(epsilon: str) -> float:
    return parse_epsilon(epsilon, largest=torch.inf)


def _rising(epsilons: Sequence[str]) -> list[str]:
    order = sorted(epsilons, key=_size)
    for one, other in itertools.pairwise(order):
        if _size(one) == _size(other):
            msg = f"epsilons of a curve must differ, got {one} and {other}"
            raise ValueError(msg)
    return order
