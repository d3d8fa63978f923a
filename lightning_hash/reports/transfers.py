"""HAG Tables IV to VI: perturbations on other victims, from result rows."""

import re
from collections.abc import Iterable, Sequence

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.numbered import (
    ATTACK_FIELDS,
    DATA_FIELDS,
    cell_of,
    differing,
    final,
    grouped,
    setting_of,
)
from lightning_hash.reports.published import published_data, published_grid
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import format_epsilon, protocol_of
from lightning_hash.victims.joint import source_names

NAMES = {"MS-COCO": "hag_table4", "FLICKR25K": "hag_table5", "NUS-WIDE": "hag_table6"}
TITLE = "HAG Tables IV to VI, {} of perturbations on other victims"
SHARED = [field for field in DATA_FIELDS if field not in ("backbone", "loss")]
WITHIN = ("epsilon", "n_t", "anchor_set", "start_seed")  # what the lines of a table may differ in
SET = [field for field in ATTACK_FIELDS if field not in WITHIN]


def transfer_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out perturbations on victims.

    Args:
        rows: of any runs; those of ``transfer`` and of attacks on several victims count, and the
            clean queries on the victims of these.

    Returns:
        For each protocol and attack a grid of MAP and, where targets are known, one of t-MAP: a
        line per perturbation, the clean queries first, and a column per victim. Single
        perturbations are r1, r2, ... in the order of the rows.
    """
    attacked = [r for r in rows if r.combination is not None and r.attack not in ("none", "anchor")]
    grids = []
    for panel in grouped(attacked, ("attack", *SHARED, *SET)):
        victims = {row.victim_sha256 for row in panel}
        clean = [r for r in rows if r.attack == "none" and r.victim_sha256 in victims]
        clean = [r for r in clean if not differing([r, panel[0]], SHARED)]
        for metric, name in (("map", "MAP"), ("t_map", "t-MAP")):
            grid = _grid(metric, name, panel, clean)
            if grid is not None and (metric == "map" or panel[0].objective == "AnchorCode"):
                grids.append(grid)
    return grids


def published_transfers(rows: Sequence[ResultRow]) -> list[Grid]:
    """Return the published tables of the rows' data, or all where the paper has none of them."""
    data = {published_data(row) for row in rows if row.combination is not None}
    known = [name for name in NAMES if name in data] or list(NAMES)
    title = TITLE.format("MAP")
    return [published_grid(NAMES[name], name, title, "perturbation") for name in known]


def _grid(
    metric: str, name: str, panel: Sequence[ResultRow], clean: Sequence[ResultRow]
) -> Grid | None:
    found = [row for row in final(panel) if row.metric == metric and not row.quantized]
    if not found:
        return None
    victims = dict.fromkeys((row.backbone, row.bits, row.victim_sha256) for row in found)
    columns = _short(source_names(list(victims))).split("+")
    single = [(row.sources, row.start_seed) for row in found if row.combination == "single"]
    numbers = {key: f"r{number}" for number, key in enumerate(dict.fromkeys(single), 1)}

    def cells(rows: Iterable[ResultRow]) -> tuple[Cell | None, ...]:
        rows = [row for row in rows if row.metric == metric]
        return tuple(cell_of([r for r in rows if r.victim_sha256 == sha]) for *_, sha in victims)

    lines = [Line("None", cells(clean))]
    groups = grouped(found, ("combination", "sources", "restarts", *WITHIN))
    for group in sorted(groups, key=_rank):
        lines.append(Line(_label(group[0], numbers), cells(group)))
    first = found[0]
    return Grid(
        title=TITLE.format(name),
        about=str(first.dataset),
        caption=protocol_of(first, victims=False),
        corner="perturbation",
        columns=tuple(columns),
        lines=tuple(lines),
        notes=(
            f"{first.attack}: {setting_of(first, ['epsilon'])}. Sums may exceed ε; clip: the sum, "
            "clipped to ε; joint: one attack on all its victims. Images before rounding to 8 bits.",
        ),
    )


def _rank(group: Sequence[ResultRow]) -> tuple[int, int]:
    order = ("single", "sum", "clipped", "average", "best", "joint")
    return order.index(group[0].combination or ""), (group[0].sources or "").count("+")


def _label(row: ResultRow, numbers: dict[tuple[str | None, int | None], str]) -> str:
    sources = (row.sources or "").split("+")
    parts = [numbers.get((source, None), _short(source)) for source in sources]
    victims = _short(" + ".join(sources))
    joined, start = " + ".join(parts), row.start_seed
    names = {
        "single": f"{victims} ({numbers.get((row.sources, start), '')})", "sum": joined,
        "clipped": f"clip({joined})", "average": f"({joined}) / {len(parts)}",
        "best": f"best of {row.restarts} on {victims}",
        "joint": f"joint({', '.join(parts)})",
    }  # fmt: skip
    started = "" if start is None else f", start {start}"
    return f"{names[row.combination or '']}{started}, ε {format_epsilon(row.epsilon, None)}"


def _short(names: str) -> str:
    """Leave out the modules of class names."""
    return re.sub(r"(?:\w+\.)+(?=\w)", "", names)
