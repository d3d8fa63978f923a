"""Names that exist, offered to somebody who wrote another."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

LIKE = 0.6  # how like a name must be to count as what was meant
LONGEST = 160  # letters of an offer


def nearest_first(word: str, names: Iterable[str]) -> list[str]:
    """Return names in their order, but those that are spelled like a word before the others.

    Args:
        word: what was written.
        names: what there is.

    Example:
        >>> nearest_first("CSQ", ["DCHLoss", "DPSHLoss", "CSQLoss"])
        ['CSQLoss', 'DCHLoss', 'DPSHLoss']
    """
    return sorted(dict.fromkeys(names), key=lambda name: -_likeness(word, name))


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that was meant, or ``None`` where none is spelled like the word.

    Example:
        >>> nearest("objectve", ["budget", "objective"]), nearest("x", ["budget"])
        ('objective', None)
    """
    first = next(iter(nearest_first(word, names)), None)
    return first if first is not None and _likeness(word, first) else None


def offer(word: str, names: Sequence[str]) -> str:
    """Say which names there are, as many as one line holds, the nearest first.

    Args:
        word: what was written.
        names: what there is.

    Example:
        >>> offer("HAGG", ["Feature", "HAG"])
        'there are: HAG, Feature'
    """
    found = nearest_first(word, names)
    if not found:
        return "there are none"
    shown, length = 0, 0
    for name in found:
        length += len(name) + 2
        if shown and length > LONGEST:
            break
        shown += 1
    more = f" and {len(found) - shown} more" if shown < len(found) else ""
    return f"there are: {', '.join(found[:shown])}{more}"


def _likeness(word: str, name: str) -> float:
    """Return 0 below LIKE; names that begin or end as the word are like it."""
    short, long = sorted((word.lower(), name.lower()), key=len)
    ratio = SequenceMatcher(None, short, long).ratio()
    if len(short) > 2 and (long.startswith(short) or long.endswith(short)):
        ratio = max(ratio, 0.9 + ratio / 20)
    return ratio if ratio >= LIKE else 0.0
