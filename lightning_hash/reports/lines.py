"""Which rows share a table, a line or a place in it, and how tables and lines are named."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lightning_hash.reports.apart import options_of, pruned, told_apart
from lightning_hash.reports.grid import Cell
from lightning_hash.results.rows import CLEAN, ResultRow
from lightning_hash.results.runs import ARITHMETIC
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import protocol_of

Key = tuple[tuple[str, str], ...]
Item = TypeVar("Item")

# What tells victims of one kind apart: their length stands in columns, and each is a repetition.
VICTIM_ITSELF = ("victim.name", "victim.sha256", "victim.bits")


def protocol_key(row: ResultRow, without: Sequence[str] = ()) -> Key:
    """Return what the numbers of one table share: data, ranking and kind of victim.

    Args:
        row: a row.
        without: dotted paths that the table varies.
    """
    return row.key("data", "ranking", "victim", without=(*VICTIM_ITSELF, *without))


def setting_key(row: ResultRow, without: Sequence[str] = ()) -> Key:
    """Return what the numbers of one line share: attack and kernels, but for the seeds.

    Args:
        row: a row.
        without: dotted paths that the table varies.
    """
    attack = tuple(pair for pair in row.key("attack", without=without) if not _is_seed(pair[0]))
    return (*attack, *((path, canonical(row.get(path))) for path in ARITHMETIC))


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> list[list[Item]]:
    """Put items of one key together, in the order of the first of each."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def final(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return the rows at an attack's end, without its milestones."""
    return [
        row
        for row in rows
        if row.name == CLEAN or row.iteration == (row.get("attack.iterations") or 0)
    ]


def unended(rows: Iterable[ResultRow]) -> list[list[ResultRow]]:
    """Return the rows of attacks that have none of their end, by setting, seed and victim."""
    attacks = [row for row in rows if row.is_attack]

    def key(row: ResultRow) -> Key:
        return row.key("attack", "victim", "data", "ranking")

    whole = {key(row) for row in final(attacks)}
    return grouped((row for row in attacks if key(row) not in whole), key)


def in_order(value: Any) -> tuple[bool, bool, float, str]:
    """Return what sorts any values: numbers first, the unknown ones last."""
    is_number = isinstance(value, int | float)
    return (value is None, not is_number, value if is_number else 0.0, canonical(value))


def close_to(found: Any, wanted: float | None) -> bool:
    """Return whether a value is the wanted one, to rounding."""
    if wanted is None:
        return found is None
    return isinstance(found, int | float) and abs(found - wanted) < 1e-6


def cell_of(rows: Sequence[ResultRow]) -> Cell | None:
    """Join the rows of one place: each victim and seed counts once.

    Runs on the same victim and queries repeat the numbers of the clean queries.
    """
    repeats = grouped(rows, _repetition)
    if not repeats:
        return None
    values = [[row.value for row in group] for group in repeats]
    errors = [row.se for row in rows if row.se is not None]
    alone = len(repeats) == 1 and len(errors) == len(rows)
    return Cell(
        tuple(statistics.fmean(group) for group in values),
        spread=max(max(group) - min(group) for group in values),
        se=max(errors) if alone else None,
        queries=tuple(sorted({row.n for row in rows})),
    )


def captions(
    rows: Sequence[ResultRow],
    *,
    victims: bool = True,
    without: Sequence[str] = VICTIM_ITSELF,
    headings: Sequence[str] | None = None,
) -> list[str]:
    """Say under which protocol each of several tables was measured.

    Args:
        rows: a row of each.
        victims: whether all numbers of a table are of one kind of victim.
        without: dotted paths that the numbers of a table do not share.
        headings: what is said above the tables.

    Returns:
        The protocols; those of tables that read alike with what they differ in.
    """
    texts = [protocol_of(row, victims=victims) for row in rows]
    parts = ("victim", "data", "ranking") if victims else ("data", "ranking")
    above = headings or [""] * len(rows)
    for same in grouped(range(len(rows)), lambda number: (above[number], texts[number])):
        settings = [
            {part: pruned(getattr(rows[number], part), part, without) for part in parts}
            for number in same
        ]
        for number, said in zip(same, told_apart(settings), strict=True):
            if said:
                texts[number] += f" Here {', '.join(said)}."
    return texts


def distinct_headings(headings: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add to headings that are alike what their tables differ in.

    Args:
        headings: of each table.
        settings: what the numbers of each table share.

    Returns:
        The headings; fingerprints are named only where nothing else differs.
    """
    distinct = list(headings)
    for same in grouped(range(len(headings)), headings.__getitem__):
        said = told_apart([settings[number] for number in same])
        short = [[text for text in texts if "sha256" not in text] for texts in said]
        enough = len({tuple(texts) for texts in short}) == len(same)
        for number, texts in zip(same, short if enough else said, strict=True):
            distinct[number] = "; ".join(filter(None, [headings[number], ", ".join(texts)]))
    return distinct


def shared_protocol(row: ResultRow) -> dict[str, Any]:
    """Return what the numbers of a numbered table share: data, ranking and kind of victim."""
    victim = pruned(row.victim, "victim", VICTIM_ITSELF)
    return {"data": row.data, "ranking": row.ranking, "victim": victim}


def draw_of(row: ResultRow) -> Any:
    """Return the seed that queries were drawn with; ``None`` where it is not known."""
    return row.get("run.draw.seed" if row.attack is None else "attack.seed")


def preferred(
    rows: Iterable[ResultRow], setting: Mapping[str, Any]
) -> tuple[list[ResultRow], list[ResultRow]]:
    """Divide rows by a setting.

    Args:
        rows: of attacks.
        setting: values at dotted paths.

    Returns:
        The rows of this setting and the others; a path that no row has the value at counts not.
    """
    kept, left_out = list(rows), list[ResultRow]()
    for path, value in setting.items():
        close = [row for row in kept if close_to(row.get(path), value)]
        if close:
            left_out += [row for row in kept if not close_to(row.get(path), value)]
            kept = close
    return kept, left_out


def left_out_note(
    kept: Sequence[ResultRow], left_out: Sequence[ResultRow], varied: Sequence[str] = ()
) -> str:
    """Say which settings are not shown since the paper's is there; empty where all are shown.

    Args:
        kept: rows that are shown.
        left_out: rows that are not.
        varied: dotted paths that the table or figure is of.
    """
    groups = grouped(left_out, lambda row: setting_key(row, varied))
    said = settings_apart([kept[0], *(group[0] for group in groups)], varied)[1:] if groups else []
    others = "; ".join(", ".join(texts) for texts in said)
    return f"left out, since the paper's setting is there: {others}." if others else ""


def of_draws(clean: Iterable[ResultRow], attacks: Iterable[ResultRow]) -> list[ResultRow]:
    """Return the rows of clean queries that were drawn as those of the attacks were."""
    draws = {canonical(draw_of(row)) for row in attacks}
    return [r for r in clean if draw_of(r) is None or canonical(draw_of(r)) in draws]


def distinct_names(rows: Sequence[ResultRow]) -> list[str]:
    """Name attacks, with what tells those of one name apart.

    Args:
        rows: a row of each.
    """
    names = [row.name for row in rows]
    for same in grouped(range(len(rows)), names.__getitem__):
        for number, said in zip(same, settings_apart([rows[i] for i in same]), strict=True):
            names[number] = ", ".join([rows[number].name, *said])
    return names


def settings_apart(rows: Sequence[ResultRow], without: Sequence[str] = ()) -> list[list[str]]:
    """Say for each of several attacks what it was set to that others were not.

    Args:
        rows: a row of each.
        without: dotted paths that are said elsewhere.
    """
    names = {path: path.partition(".")[2] for path in ARITHMETIC}
    return told_apart(
        [
            {**_setting(row, without), **{name: row.get(path) for path, name in names.items()}}
            for row in rows
        ]
    )


def setting_of(row: ResultRow, without: Sequence[str | None] = ()) -> str:
    """Say how an attack was run: all of its settings that are not null or off, but the seeds.

    Args:
        row: a row of it.
        without: dotted paths to leave out, such as those that a table's columns differ in. Targets
            are left out where the attack has none.
    """
    untargeted = () if row.get("attack.targeted") else ("attack.targets",)
    left_out = ("attack.name", "attack.targeted", *untargeted, *(path for path in without if path))
    setting = _setting(row, left_out)
    length = {"iterations": setting.pop("iterations", None)}
    return ", ".join(options_of({**length, "budget": setting.pop("budget", None), **setting}))


def _repetition(row: ResultRow) -> Key:
    """Return what tells repetitions apart: the victim, and the seeds of queries and attack."""
    draw = "attack." if row.attack is not None else "run.draw."
    seeds = [
        (path.removeprefix(draw), text)
        for path, text in row.leaves.items()
        if path.startswith(draw) and _is_seed(path)
    ]
    return (*row.key("victim", without=("victim.name",)), *seeds)


def _is_seed(path: str) -> bool:
    return path.rpartition(".")[2] == "seed"


def _setting(row: ResultRow, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return the attack's settings without its seeds and some paths."""
    seeds = [path for path in row.leaves if _is_seed(path)]
    return pruned(row.attack or {}, "attack", (*without, *seeds))
