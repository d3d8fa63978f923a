"""Every attack on a victim, side by side."""

from collections.abc import Callable, Sequence

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
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import format_epsilon, frames_of, protocol_of

COLUMNS = (
    ("MAP", "map", False), ("MAP 8-bit", "map", True), ("t-MAP", "t_map", False),
    ("t-MAP 8-bit", "t_map", True), ("perceptibility", "perceptibility", False),
)  # fmt: skip
# Fields that must agree before numbers stand in one table.
VICTIM_FIELDS = ("victim_sha256", "bits", "target_rule", *DATA_FIELDS)


def overview_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out all attacks, a table for each victim and protocol.

    Args:
        rows: of any runs; those of transfers and of attacks on several victims are left out.

    Returns:
        The grids: a line for the clean queries, one per attack and setting, and one for the ceiling
        of each size of anchor sets.
    """
    single = [row for row in rows if row.combination is None and row.sources is None]
    found = [panel for panel in grouped(single, VICTIM_FIELDS) if _has_attack(panel)]
    found.sort(key=lambda rows: (str(rows[0].dataset), str(rows[0].backbone), rows[0].bits or 0))
    return [_grid(panel) for panel in found]


def _has_attack(rows: Sequence[ResultRow]) -> bool:
    return any(row.attack not in ("none", "anchor") for row in rows)


def _grid(panel: Sequence[ResultRow]) -> Grid:
    lines = [_line("clean query", [row for row in panel if row.attack == "none"])]
    notes = []
    ended = [row for row in final(panel) if row.attack not in ("none", "anchor")]
    unended = {row.attack for row in panel} - {row.attack for row in ended} - {"none", "anchor"}
    attacks = grouped(sorted(ended, key=_rank), ("attack", *ATTACK_FIELDS))
    names = distinct_names([rows[0] for rows in attacks])
    for name, rows in zip(names, attacks, strict=True):
        lines.append(_line(name, rows))
        seconds = max(row.seconds or 0.0 for row in rows)
        notes.append(f"{name}: {setting_of(rows[0])}; {seconds:.1f} s on {rows[0].devices}.")
    for n_t in sorted({row.n_t or 0 for row in panel if row.attack == "anchor"}):
        ceiling = [row for row in panel if row.attack == "anchor" and row.n_t == n_t]
        lines.append(_line(f"ceiling n_t={n_t}", ceiling))
    notes += [f"{name}: not at its end, no number." for name in sorted(unended)]
    return Grid(
        title="Attacks",
        about=f"{panel[0].dataset}, {panel[0].backbone}, {panel[0].bits} bits",
        caption=protocol_of(panel[0]),
        corner="attack",
        columns=tuple(name for name, *_ in COLUMNS),
        lines=tuple(lines),
        notes=tuple(notes),
    )


def _rank(row: ResultRow) -> tuple[str, int, float, float]:
    return row.attack, row.n_t or 0, row.epsilon or 0.0, row.frames or float("inf")


def _line(label: str, rows: Sequence[ResultRow]) -> Line:
    def cell(metric: str, quantized: bool) -> Cell | None:
        return cell_of([r for r in rows if (r.metric, r.quantized) == (metric, quantized)])

    return Line(label, tuple(cell(metric, quantized) for _, metric, quantized in COLUMNS))


def distinct_names(attacks: Sequence[ResultRow]) -> list[str]:
    """Name attacks, with what tells those of one name apart."""
    shown: dict[str, Callable[[ResultRow], str]] = {
        "iterations": lambda row: f"{row.iterations} iterations",
        "frames": frames_of,
        "epsilon": lambda row: f"ε {format_epsilon(row.epsilon, row.epsilon_space)}",
    }
    names = []
    for row in attacks:
        same = [other for other in attacks if other.attack == row.attack]
        differ = differing(same, ATTACK_FIELDS)
        said = [shown[f](row) if f in shown else f"{f}={getattr(row, f)}" for f in differ]
        names.append(", ".join([row.attack, *said]))
    return names
