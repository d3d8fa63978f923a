"""Which rows share a table, a line or a place in it, and how tables and lines are named."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lightning_hash.reports.grid import Cell
from lightning_hash.results.rows import CLEAN, ResultRow
from lightning_hash.results.settings import canonical, flatten, look_up
from lightning_hash.results.tables import format_epsilon, frames_text, protocol_of

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
    """Return what the numbers of one line share: the attack, but for the seeds of repetitions.

    Args:
        row: a row.
        without: dotted paths that the table varies.
    """
    return tuple(pair for pair in row.key("attack", without=without) if not _is_seed(pair[0]))


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


def in_order(value: Any) -> tuple[bool, Any]:
    """Return what sorts values with the unknown ones last."""
    return (value is None, 0 if value is None else value)


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
            {part: _without(getattr(rows[number], part), part, without) for part in parts}
            for number in same
        ]
        for number, said in zip(same, _told_apart(settings), strict=True):
            if said:
                texts[number] += f" Here {', '.join(said)}."
    return texts


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
    return _told_apart([_setting(row, without) for row in rows])


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
    return ", ".join(_options({**length, "budget": setting.pop("budget", None), **setting}, ""))


def short_class(value: Any) -> str:
    """Return the class of a part, without its module."""
    return str(value).rpartition(".")[2]


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
    return _without(row.attack or {}, "attack", (*without, *seeds))


def _without(mapping: Mapping[str, Any], prefix: str, paths: Sequence[str]) -> dict[str, Any]:
    inner = {f"{prefix}.{key}": key for key in mapping}
    return {
        key: _without(mapping[key], path, paths)
        if isinstance(mapping[key], Mapping)
        else mapping[key]
        for path, key in inner.items()
        if path not in paths
    }


def _told_apart(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    paths = {path for setting in settings for path in _all_paths(setting)}
    counts_frames = any(look_up(each, "perturbation.count") is not None for each in settings)
    differing = [
        [(path, value) for path, value in each if value is not None]
        for each in _distinctions(settings, "")
    ]
    said = []
    for each in differing:
        texts = [
            "all frames"
            if (path, counts_frames) == ("perturbation", True) and _is_plain(value)
            else _named(path, _short_path(path, paths), value)
            for path, value in each
        ]
        said.append(list(dict.fromkeys(texts)))
    if len({tuple(texts) for texts in said}) < len({canonical(each) for each in settings}):
        # Rounded they are alike.
        return [[f"{path}={canonical(value)}" for path, value in each] for each in differing]
    return said


def _distinctions(values: Sequence[Any], path: str) -> list[list[tuple[str, Any]]]:
    """Return for each of several values the paths and values that others have otherwise.

    Parts of several classes differ as wholes, and those of one class also in their options.
    """
    found: list[list[tuple[str, Any]]] = [[] for _ in values]
    if len({canonical(value) for value in values}) == 1:
        return found
    kinds = [value.get("class", "") if isinstance(value, Mapping) else None for value in values]
    if len(set(kinds)) > 1 or None in kinds:
        for place, value in zip(found, values, strict=True):
            place.append((path, value))
    for kind in dict.fromkeys(kind for kind in kinds if kind is not None):
        members = [number for number, other in enumerate(kinds) if other == kind]
        for key in dict.fromkeys(key for number in members for key in values[number]):
            inner = [values[number].get(key) for number in members]
            below = _distinctions(inner, f"{path}.{key}" if path else key)
            for number, more in zip(members, below, strict=True):
                found[number] += more
    return found


def _all_paths(setting: Mapping[str, Any]) -> set[str]:
    """Return the paths of all values and of the mappings that hold them."""
    leaves = [path.split(".") for path in flatten(setting)]
    return {".".join(keys[:end]) for keys in leaves for end in range(1, len(keys) + 1)}


def _short_path(path: str, paths: Iterable[str]) -> str:
    """Return the last components of a path, as many as tell it from the others."""
    keys = path.split(".")
    for start in range(len(keys) - 1, 0, -1):
        end = ".".join(keys[start:])
        if sum(other == end or other.endswith(f".{end}") for other in paths) == 1:
            return end
    return path


def _named(path: str, name: str, value: Any) -> str:
    """Write one setting that lines differ in."""
    if path == "iterations":
        return f"{value} iterations"
    if path == "budget.epsilon":
        return f"ε {format_epsilon(value, None)}"
    if path == "perturbation.count":
        return frames_text(value)
    if path == "perturbation" and isinstance(value, Mapping) and value.get("count") is not None:
        return frames_text(value["count"])
    if "sha256" in path:
        return f"{path[path.index('.') + 1 :]}={str(value)[:8]}"
    return f"{name}={_brief(value)}"


def _is_plain(value: Any) -> bool:
    """Return whether a perturbation is the one of whole queries, each its own."""
    return isinstance(value, Mapping) and short_class(value.get("class")) == "PerQuery"


def _options(setting: Mapping[str, Any], prefix: str) -> list[str]:
    """Write all settings that are not off."""
    said = []
    for key, value in setting.items():
        path = f"{prefix}.{key}" if prefix else key
        if value is None or value is False or key == "class":
            continue
        if isinstance(value, Mapping):
            said.append(_part(path, value))
        elif path == "iterations":
            said += [f"{value} iterations"] if value else []
        elif path == "budget.epsilon":
            said.append(f"ε {format_epsilon(value, setting.get('space'))}")
        elif path != "budget.space":
            said.append(key if value is True else f"{key} {_brief(value)}")
    return said


def _part(path: str, setting: Mapping[str, Any]) -> str:
    name = short_class(setting["class"]) if "class" in setting else path.rpartition(".")[2]
    options = _options(setting, path)
    return f"{name} ({', '.join(options)})" if options else name


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return short_class(value.get("class", canonical(value)))
    if isinstance(value, list):
        return " ".join(_brief(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
