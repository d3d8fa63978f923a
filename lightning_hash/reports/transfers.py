"""HAG Tables IV to VI: perturbations on other victims, from result rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning_hash.reports.apart import pruned, told_apart
from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.lines import (
    captions,
    cell_of,
    distinct_headings,
    final,
    grouped,
    of_draws,
    setting_key,
    setting_of,
    settings_apart,
    unended,
)
from lightning_hash.reports.papers import EPSILON, SIZE
from lightning_hash.reports.published import published_data, published_grid
from lightning_hash.reports.settings import differing_settings, one_for_all, warnings_of
from lightning_hash.reports.victims import add_checkpoints, checkpoint_of, victim_key
from lightning_hash.results.rows import CLEAN, ResultRow
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import format_epsilon
from lightning_hash.utils.names import victim_names

NAMES = {"MS-COCO": "hag_table4", "FLICKR25K": "hag_table5", "NUS-WIDE": "hag_table6"}
TITLE = "HAG Tables IV to VI, {} of perturbations on other victims"
PARTS = ("backbone", "bits", "sha256")
START, FILE = "attack.start_seed", "attack.targets.file"
WITHIN = (EPSILON, SIZE, FILE, START)  # what the lines of a table may differ in
VARIED = ("victim.backbone",)  # the columns of the published tables


def transfer_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out perturbations on victims.

    Args:
        rows: of any runs; those of ``transfer`` and of attacks on several victims count, and the
            clean queries on the victims of these.

    Returns:
        For each protocol and attack a grid of MAP and, where it is targeted, one of t-MAP, no two
        of one heading: a line per perturbation, the clean queries first, and a column per victim.
        Single perturbations are r1, r2, ... in the order of the rows.
    """
    attacked = [row for row in rows if row.transfer is not None and row.is_attack]
    panels = grouped(attacked, lambda row: (_protocol(row), setting_key(row, WITHIN)))
    firsts = [panel[0] for panel in panels]
    said = captions(firsts, victims=False)
    names = distinct_headings(
        [str(row.get("data.dataset")) for row in firsts], [_shared(row) for row in firsts]
    )
    grids = []
    for panel, about, caption in zip(panels, names, said, strict=True):
        victims = {victim_key(row) for row in panel}
        clean = [r for r in rows if r.name == CLEAN and victim_key(r) in victims]
        clean = [row for row in clean if _protocol(row) == _protocol(panel[0])]
        shown = [("map", "MAP")]
        if panel[0].get("attack.targeted"):
            shown.append(("t_map", "t-MAP"))
        for metric, name in shown:
            grid = _grid(metric, name, panel, of_draws(clean, panel), (about, caption))
            if grid is not None:
                grids.append(grid)
    return grids


def published_transfers(rows: Sequence[ResultRow]) -> list[Grid]:
    """Return the published tables of the rows' data, or all where the paper has none of them."""
    data = {published_data(row) for row in rows if row.transfer is not None}
    known = [name for name in NAMES if name in data] or list(NAMES)
    title = TITLE.format("MAP")
    return [
        published_grid(NAMES[name], name, title, "perturbation", varied=VARIED) for name in known
    ]


def _protocol(row: ResultRow) -> Any:
    return row.key("data", "ranking")


def _shared(row: ResultRow) -> dict[str, Any]:
    """Return what the numbers of a table share: protocol and attack, but for its seeds."""
    seeds = [path for path in row.leaves if path.endswith(".seed")]
    attack = pruned(row.attack or {}, "attack", (*WITHIN, *seeds))
    return {"data": row.data, "ranking": row.ranking, "attack": attack}


def _grid(
    metric: str,
    name: str,
    panel: Sequence[ResultRow],
    clean: Sequence[ResultRow],
    said: tuple[str, str],
) -> Grid | None:
    found = [row for row in final(panel) if row.metric == metric and not row.quantized]
    if not found:
        return None
    victims = [group[0] for group in grouped(found, victim_key)]
    columns = _distinct(
        victim_names([tuple(row.get(f"victim.{part}") for part in PARTS) for row in victims]),
        victims,
    )

    def cells(rows: Iterable[ResultRow]) -> tuple[Cell | None, ...]:
        rows = [row for row in rows if row.metric == metric]
        return tuple(
            cell_of([row for row in rows if victim_key(row) == victim_key(other)])
            for other in victims
        )

    groups = grouped(found, lambda row: (row.key("transfer"), setting_key(row)))
    groups.sort(key=_rank)
    labels = _labels(groups)
    settings = differing_settings([clean, *groups])
    sizes = [SIZE] if len({canonical(row.get(SIZE)) for row in found}) > 1 else []
    lines = [
        Line(label, cells(rows), settings=tuple(texts[number] for texts in settings.values()))
        for number, (label, rows) in enumerate([("None", clean), *zip(labels, groups, strict=True)])
    ]
    first = found[0]
    setting = setting_of(first, (EPSILON, START, FILE, *sizes))
    pairs = zip(columns, victims, strict=True)
    carried = [f"{column}: {checkpoint_of(row)}" for column, row in pairs]
    doubts = warnings_of(dict(zip(labels, groups, strict=True)))
    stopped = [f"{rows[0].name}: not at its end, no number." for rows in unended(panel)]
    return Grid(
        title=TITLE.format(name),
        about=said[0],
        caption=said[1],
        corner="perturbation",
        columns=tuple(columns),
        lines=tuple(lines),
        notes=(
            f"{first.name}: {setting}. Sums may exceed ε; clip: the sum, "
            "clipped to ε; joint: one attack on all its victims. Images before rounding to 8 bits.",
            *stopped, *doubts, f"Victims: {'; '.join(carried)}.", *one_for_all([*clean, *found]),
        ),
        settings=tuple(settings),
    )  # fmt: skip


def _distinct(names: Sequence[str], victims: Sequence[ResultRow]) -> list[str]:
    """Leave out the modules of class names, and tell apart what is alike without them."""
    return add_checkpoints([_short(name) for name in names], victims)


def _labels(groups: Sequence[Sequence[ResultRow]]) -> list[str]:
    """Name the perturbation of each group of rows, no two alike."""
    firsts = [group[0] for group in groups]
    single = [row for row in firsts if row.get("transfer.combination") == "single"]
    numbers: dict[Any, str] = {}
    for row in single:
        numbers.setdefault(_source(row), f"r{len(numbers) + 1}")
    several = {
        rows[0].get("transfer.sources")
        for rows in grouped(single, lambda row: row.get("transfer.sources"))
        if len({canonical(_prints(row)) for row in rows}) > 1
    }
    labels = [_label(row, numbers, several) for row in firsts]
    for same in grouped(range(len(groups)), labels.__getitem__):
        apart = settings_apart([firsts[number] for number in same], (EPSILON, START))
        origins = told_apart([_origin(firsts[number]) for number in same])
        for number, said, source in zip(same, apart, origins, strict=True):
            labels[number] = ", ".join([labels[number], *said, *source])
    return labels


def _origin(row: ResultRow) -> dict[str, Any]:
    """Return what a perturbation was made of, beyond its name: weights, and runs where known."""
    parts = row.get("transfer.parts")
    runs = (
        [part.get("run") for part in parts if isinstance(part, Mapping)]
        if (isinstance(parts, list))
        else None
    )
    return {"sha256": _prints(row), "runs": runs}


def _prints(row: ResultRow) -> Any:
    """Return the fingerprints of the victims that a perturbation was made on, where known."""
    return row.get("transfer.sha256")


def _source(row: ResultRow) -> tuple[str, str]:
    """Return what tells single perturbations apart: weights, or the name, and the random start."""
    known = _prints(row) or row.get("transfer.sources")
    return canonical(known), canonical(row.get(START))


def _rank(group: Sequence[ResultRow]) -> tuple[int, int]:
    order = ("single", "sum", "clipped", "average", "best", "joint")
    combination = group[0].get("transfer.combination")
    place = order.index(combination) if combination in order else len(order)
    return place, group[0].get("transfer.sources").count("+")


def _label(row: ResultRow, numbers: Mapping[Any, str], several: set[str]) -> str:
    """Name a perturbation.

    Args:
        row: a row of it.
        numbers: what single perturbations are called, by :func:`_source`.
        several: names that single perturbations of several victims have.
    """
    sources, prints = row.get("transfer.sources").split("+"), _prints(row)
    if not isinstance(prints, list) or len(prints) != len(sources):
        prints = [None] * len(sources)
    called = [
        f"{source}-{sha[:6]}" if source in several and isinstance(sha, str) else source
        for source, sha in zip(sources, prints, strict=True)
    ]
    combination: str = row.get("transfer.combination")
    parts = [
        numbers.get((canonical([sha] if sha else source), canonical(None)), _short(name))
        for source, sha, name in zip(sources, prints, called, strict=True)
    ]
    victims = _short(" + ".join(called))
    joined, start = " + ".join(parts), row.get(START)
    names = {
        "single": f"{victims} ({numbers.get(_source(row), '')})", "sum": joined,
        "clipped": f"clip({joined})", "average": f"({joined}) / {len(parts)}",
        "best": f"best of {row.get('transfer.restarts')} on {victims}",
        "joint": f"joint({', '.join(parts)})",
    }  # fmt: skip
    name = names.get(combination, f"{combination}({', '.join(parts)})")
    started = "" if start is None else f", start {start}"
    return f"{name}{started}, ε {format_epsilon(row.get(EPSILON), None)}"


def _short(names: str) -> str:
    """Leave out the modules of class names."""
    return re.sub(r"(?:\w+\.)+(?=\w)", "", names)
