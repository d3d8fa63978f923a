"""Every attack on a victim, side by side."""

from collections.abc import Sequence

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.lines import (
    Key,
    captions,
    cell_of,
    distinct_names,
    final,
    grouped,
    setting_key,
    setting_of,
)
from lightning_hash.reports.papers import EPSILON, FRAMES, SIZE
from lightning_hash.results.rows import CEILING, CLEAN, ResultRow
from lightning_hash.results.tables import LABELS, bits_text, metrics_of

COLUMNS = (
    ("MAP", "map", False), ("MAP 8-bit", "map", True), ("t-MAP", "t_map", False),
    ("t-MAP 8-bit", "t_map", True), ("perceptibility", "perceptibility", False),
)  # fmt: skip


def overview_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out all attacks, a table for each victim and protocol.

    Args:
        rows: of any runs; those of transfers and of attacks on several victims are left out.

    Returns:
        The grids: a line for the clean queries, one per attack and setting, and one for the ceiling
        of each size of anchor sets. A metric that is none of COLUMNS and has no label has a column
        of its own.
    """
    single = [row for row in rows if row.transfer is None]
    clean = [row for row in single if row.name == CLEAN]
    panels = []
    others = grouped(
        (row for row in single if row.name != CLEAN), lambda row: (_victim(row), _targets(row))
    )
    for panel in others:
        if any(row.is_attack for row in panel):
            victim, targets = _victim(panel[0]), _targets(panel[0])
            own = [r for r in clean if _victim(r) == victim and _targets(r) in ((), targets)]
            panels.append([*panel, *own])
    panels.sort(
        key=lambda rows: (
            *(str(rows[0].get(path)) for path in ("data.dataset", "victim.backbone")),
            rows[0].get("victim.bits") or 0,
        )
    )
    abouts = [_about(rows[0]) for rows in panels]
    said = captions([rows[0] for rows in panels], without=("victim.name",), headings=abouts)
    return [_grid(*each) for each in zip(panels, abouts, said, strict=True)]


def _about(row: ResultRow) -> str:
    bits = bits_text(row.get("victim.bits"))
    return f"{row.get('data.dataset')}, {row.get('victim.backbone')}, {bits}"


def _victim(row: ResultRow) -> Key:
    return row.key("victim", "data", "ranking", without=("victim.name",))


def _targets(row: ResultRow) -> Key:
    """Return how targets are chosen, but for their number and seed; empty where it is not known."""
    prefix = "attack.targets." if row.attack is not None else "run.draw.targets."
    return tuple(
        (path.removeprefix(prefix), text)
        for path, text in row.leaves.items()
        if path.startswith(prefix) and path.removeprefix(prefix) not in ("n_t", "seed")
    )


def _grid(panel: Sequence[ResultRow], about: str, caption: str) -> Grid:
    more = [metric for metric in metrics_of(panel) if metric not in LABELS]
    columns = (*COLUMNS, *((metric, metric, False) for metric in more))

    def line(label: str, rows: Sequence[ResultRow]) -> Line:
        def cell(metric: str, quantized: bool) -> Cell | None:
            return cell_of([r for r in rows if (r.metric, r.quantized) == (metric, quantized)])

        return Line(label, tuple(cell(metric, quantized) for _, metric, quantized in columns))

    lines = [line("clean query", [row for row in panel if row.name == CLEAN])]
    notes = []
    ended = [row for row in final(panel) if row.is_attack]
    unended = {row.name for row in panel if row.is_attack} - {row.name for row in ended}
    attacks = grouped(sorted(ended, key=_rank), setting_key)
    names = distinct_names([rows[0] for rows in attacks])
    for name, rows in zip(names, attacks, strict=True):
        lines.append(line(name, rows))
        notes.append(f"{name}: {setting_of(rows[0])}; {_cost(rows)}.")
    ceilings = [row for row in panel if row.name == CEILING]
    for n_t in sorted({row.get(SIZE) or 0 for row in ceilings}):
        own = [row for row in ceilings if (row.get(SIZE) or 0) == n_t]
        lines.append(line(f"ceiling n_t={n_t}", own))
    notes += [f"{name}: not at its end, no number." for name in sorted(unended)]
    return Grid(
        title="Attacks",
        about=about,
        caption=caption,
        corner="attack",
        columns=tuple(name for name, *_ in columns),
        lines=tuple(lines),
        notes=tuple(notes),
    )


def _cost(rows: Sequence[ResultRow]) -> str:
    """Say how long an attack took, and how often it asked where that is counted."""
    seconds = max(row.get("run.seconds") or 0.0 for row in rows)
    asked = [row.queries for row in rows if row.queries is not None]
    questions = f"{max(asked):.6g} questions per query, " if asked else ""
    return f"{questions}{seconds:.1f} s on {rows[0].get('run.devices')}"


def _rank(row: ResultRow) -> tuple[str, int, float, float]:
    return (
        row.name,
        row.get(SIZE) or 0,
        row.get(EPSILON) or 0.0,
        row.get(FRAMES) or float("inf"),
    )
