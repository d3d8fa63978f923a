"""How victims are named in a report: never two by one name."""

from collections.abc import Iterable, Sequence

from lightning_hash.reports.apart import pruned
from lightning_hash.reports.lines import Key, distinct_headings, grouped, in_order
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import bits_text

BITS = "victim.bits"


def victim_key(row: ResultRow) -> Key:
    """Return what tells victims apart: their weights and network, or the name where that is all."""
    known = row.get("victim.sha256") is not None
    return row.key("victim", without=("victim.name",) if known else ())


def checkpoint_of(row: ResultRow) -> str:
    """Write a victim's name and the beginning of its fingerprint."""
    name, sha256 = row.get("victim.name"), row.get("victim.sha256")
    parts = ["" if name is None else str(name), "" if sha256 is None else str(sha256)[:8]]
    return " ".join(filter(None, parts)) or "unnamed"


def victims_of(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return a row of each victim, by length and name."""
    victims = [group[0] for group in grouped(rows, victim_key)]
    return sorted(victims, key=lambda row: (in_order(row.get(BITS)), checkpoint_of(row)))


def add_checkpoints(texts: Sequence[str], victims: Sequence[ResultRow]) -> list[str]:
    """Add the checkpoint to texts that several victims would share, and what else they differ in.

    Args:
        texts: what is said of each victim, such as its length.
        victims: a row of each.
    """
    said = list(texts)
    for same in grouped(range(len(texts)), texts.__getitem__):
        if len({victim_key(victims[number]) for number in same}) > 1:
            for number in same:
                said[number] = f"{texts[number]}, {checkpoint_of(victims[number])}"
    settings = [pruned(row.victim, "victim", ["victim.name"]) for row in victims]
    return distinct_headings(said, settings)


def length_names(rows: Iterable[ResultRow]) -> dict[Key, str]:
    """Name the victims of some rows by code length, with the checkpoint where that is not enough.

    Args:
        rows: of any victims.

    Returns:
        The name by :func:`victim_key`, in the order of :func:`victims_of`.
    """
    victims = victims_of(rows)
    names = add_checkpoints([bits_text(row.get(BITS)) for row in victims], victims)
    return {victim_key(row): name for row, name in zip(victims, names, strict=True)}


def victims_note(rows: Iterable[ResultRow]) -> str:
    """Say which checkpoint each code length of a table is."""
    victims = victims_of(rows)
    said = [f"{bits_text(row.get(BITS))}: {checkpoint_of(row)}" for row in victims]
    return f"Victims: {'; '.join(said)}." if said else ""
