"""HAG Tables IV to VI: perturbations on other victims, from result rows."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.lines import (
    captions,
    cell_of,
    final,
    grouped,
    setting_key,
    setting_of,
    settings_apart,
)
from lightning_hash.reports.papers import EPSILON, SIZE
from lightning_hash.reports.published import published_data, published_grid
from lightning_hash.results.rows import CLEAN, ResultRow
from lightning_hash.results.tables import format_epsilon
from lightning_hash.utils.names import source_names

NAMES = {"MS-COCO": "hag_table4", "FLICKR25K": "hag_table5", "NUS-WIDE": "hag_table6"}
TITLE = "HAG Tables IV to VI, {} of perturbations on other victims"
START, FILE = "attack.start_seed", "attack.targets.file"
WITHIN = (EPSILON, SIZE, FILE, START)  # what the lines of a table may differ in


def transfer_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out perturbations on victims.

    Args:
        rows: of any runs; those of ``transfer`` and of attacks on several victims count, and the
            clean queries on the victims of these.

    Returns:
        For each protocol and attack a grid of MAP and, where it is targeted, one of t-MAP: a line
        per perturbation, the clean queries first, and a column per victim. Single perturbations
        are r1, r2, ... in the order of the rows.
    """
    attacked = [row for row in rows if row.transfer is not None and row.is_attack]
    panels = grouped(attacked, lambda row: (_protocol(row), setting_key(row, WITHIN)))
    said = captions([panel[0] for panel in panels], victims=False)
    grids = []
    for panel, caption in zip(panels, said, strict=True):
        victims = {row.get("victim.sha256") for row in panel}
        clean = [r for r in rows if r.name == CLEAN and r.get("victim.sha256") in victims]
        clean = [row for row in clean if _protocol(row) == _protocol(panel[0])]
        shown = [("map", "MAP")]
        if panel[0].get("attack.targeted"):
            shown.append(("t_map", "t-MAP"))
        for metric, name in shown:
            grid = _grid(metric, name, panel, clean, caption)
            if grid is not None:
                grids.append(grid)
    return grids


def published_transfers(rows: Sequence[ResultRow]) -> list[Grid]:
    """Return the published tables of the rows' data, or all where the paper has none of them."""
    data = {published_data(row) for row in rows if row.transfer is not None}
    known = [name for name in NAMES if name in data] or list(NAMES)
    title = TITLE.format("MAP")
    return [published_grid(NAMES[name], name, title, "perturbation") for name in known]


def _protocol(row: ResultRow) -> Any:
    return row.key("data", "ranking")


def _grid(
    metric: str,
    name: str,
    panel: Sequence[ResultRow],
    clean: Sequence[ResultRow],
    caption: str,
) -> Grid | None:
    found = [row for row in final(panel) if row.metric == metric and not row.quantized]
    if not found:
        return None
    victims = dict.fromkeys(
        (row.get("victim.backbone"), row.get("victim.bits"), row.get("victim.sha256"))
        for row in found
    )
    columns = _short(source_names(list(victims))).split("+")
    single = [_source(row) for row in found if row.get("transfer.combination") == "single"]
    numbers = {key: f"r{number}" for number, key in enumerate(dict.fromkeys(single), 1)}

    def cells(rows: Iterable[ResultRow]) -> tuple[Cell | None, ...]:
        rows = [row for row in rows if row.metric == metric]
        return tuple(
            cell_of([row for row in rows if row.get("victim.sha256") == sha]) for *_, sha in victims
        )

    groups = sorted(grouped(found, lambda row: (row.key("transfer"), setting_key(row))), key=_rank)
    labels = [_label(group[0], numbers) for group in groups]
    sizes = [SIZE] if len({row.get(SIZE) for row in found}) > 1 else []
    for same in grouped(range(len(groups)), labels.__getitem__):
        apart = settings_apart([groups[number][0] for number in same], (EPSILON, START))
        for number, said in zip(same, apart, strict=True):
            labels[number] = ", ".join([labels[number], *said])
    lines = [Line("None", cells(clean))]
    lines += [Line(*line) for line in zip(labels, map(cells, groups), strict=True)]
    first = found[0]
    setting = setting_of(first, (EPSILON, START, FILE, *sizes))
    return Grid(
        title=TITLE.format(name),
        about=str(first.get("data.dataset")),
        caption=caption,
        corner="perturbation",
        columns=tuple(columns),
        lines=tuple(lines),
        notes=(
            f"{first.name}: {setting}. Sums may exceed ε; clip: the sum, "
            "clipped to ε; joint: one attack on all its victims. Images before rounding to 8 bits.",
        ),
    )


def _source(row: ResultRow) -> tuple[str, int | None]:
    return row.get("transfer.sources"), row.get(START)


def _rank(group: Sequence[ResultRow]) -> tuple[int, int]:
    order = ("single", "sum", "clipped", "average", "best", "joint")
    combination = group[0].get("transfer.combination")
    place = order.index(combination) if combination in order else len(order)
    return place, group[0].get("transfer.sources").count("+")


def _label(row: ResultRow, numbers: dict[tuple[str, int | None], str]) -> str:
    sources: list[str] = row.get("transfer.sources").split("+")
    combination: str = row.get("transfer.combination")
    parts = [numbers.get((source, None), _short(source)) for source in sources]
    victims = _short(" + ".join(sources))
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
