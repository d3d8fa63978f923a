"""Numbered tables from result rows."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.papers import Choice, NumberedTable
from lightning_hash.reports.published import (
    published,
    published_data,
    published_grid,
    published_line,
)
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import format_epsilon, frames_of, protocol_of

# What all numbers of one table share; numbers that differ in one of these stand in several tables.
DATA_FIELDS = (
    "dataset", "data_seed", "inputs_sha256", "input_shape", "list_sha256_query",
    "list_sha256_database", "list_sha256_open_set", "n_query", "n_database", "n_leaked",
    "n_skipped", "database_codes", "target_database", "relevance", "top_k", "normalizer", "empty",
    "ties", "backbone", "loss",
)  # fmt: skip
# What all numbers of one line share; those that differ in one of these stand in several lines.
ATTACK_FIELDS = (
    "objective", "step_rule", "lr", "momentum", "iterations", "alpha_schedule", "threshold",
    "inputs", "start_seed", "frames", "epsilon", "epsilon_space", "n_t", "anchor_tie", "anchor_set",
    "target_rule",
)  # fmt: skip


def numbered_grids(table: NumberedTable, rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out a numbered table.

    Args:
        table: the table.
        rows: of any runs.

    Returns:
        A grid for each protocol that the rows were measured under, with the published values
        where the paper gives any for the data; then the published values that nothing of these is
        beside.
    """
    usable = [r for r in rows if r.sources is None and not r.quantized and table.where(r)]
    panels = grouped(usable, DATA_FIELDS)
    panels.sort(key=lambda rows: (str(rows[0].dataset), str(rows[0].backbone)))
    grids, shown = [], set()
    for panel in panels:
        grid, data = _grid(table, panel)
        if grid is not None:
            grids.append(grid)
            shown.add(data)
    for data in published(table.name):
        if data not in shown:
            grids.append(
                published_grid(
                    table.name, data, table.title, table.corner, table.scale, table.digits
                )
            )
    return grids


def setting_of(row: ResultRow, without: Iterable[str | None] = ()) -> str:
    """Say how an attack was run.

    Args:
        row: a row of it.
        without: fields to leave out, such as those that a table's columns differ in.
    """
    momentum = f", momentum {row.momentum:g}" if row.momentum else ""
    alpha = row.alpha_schedule if row.objective != "TargetFeatures" else None
    anchored = row.objective in ("AnchorCode", "TargetFeatures")
    said = {
        "iterations": f"{row.iterations} iterations" if row.iterations else None,
        "step_rule": f"{row.step_rule} of rate {row.lr:.4g}{momentum}" if row.step_rule else None,
        "epsilon": f"ε {format_epsilon(row.epsilon, row.epsilon_space)}",
        "alpha_schedule": f"α {alpha}" if alpha else None,  # noqa: RUF001
        "threshold": None if row.threshold is None else f"t {row.threshold:g}",
        "n_t": f"n_t {row.n_t}" if anchored else None,
        "start_seed": None if row.start_seed is None else f"random start {row.start_seed}",
        "inputs": f"inputs {row.inputs}" if row.inputs else None,
        "frames": frames_of(row) if row.frames else None,
    }
    left_out = set(without)
    return ", ".join(text for field, text in said.items() if text and field not in left_out)


def final(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return the rows at an attack's end, without its milestones."""
    return [row for row in rows if row.iteration == (row.iterations or 0) or row.attack == "none"]


def cell_of(rows: Sequence[ResultRow]) -> Cell | None:
    """Join the rows of one place: each victim and seed counts once.

    Runs on the same victim and queries repeat the numbers of the clean queries.
    """
    repeats: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        repeats.setdefault((row.victim_sha256, row.seed), []).append(row.value)
    if not repeats:
        return None
    spread = max(max(values) - min(values) for values in repeats.values())
    return Cell(tuple(statistics.fmean(values) for values in repeats.values()), spread)


def grouped(rows: Iterable[ResultRow], fields: Sequence[str]) -> list[list[ResultRow]]:
    """Put rows that agree in all of some fields together, in the order of the first of each."""
    groups: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, field) for field in fields), []).append(row)
    return list(groups.values())


def differing(rows: Sequence[ResultRow], fields: Sequence[str]) -> list[str]:
    """Return the fields that rows do not agree in."""
    return [field for field in fields if len({getattr(row, field) for row in rows}) > 1]


def _grid(table: NumberedTable, panel: Sequence[ResultRow]) -> tuple[Grid | None, str | None]:
    lines: dict[str, list[ResultRow]] = {}
    notes: dict[str, None] = {}
    for choice in table.choices:
        found = [r for r in panel if (r.attack, r.metric) == (choice.attack, choice.metric)]
        for label, rows in _lines(table, choice, found):
            lines.setdefault(label, []).extend(rows)
            if choice.attack != "none":
                name = choice.attack if choice.by else label
                notes[f"{name}: {setting_of(rows[0], (table.column, choice.by))}."] = None
    lines = {
        label: rows
        for label, rows in lines.items()
        if len({getattr(row, table.column) for row in rows}) >= table.least
    }
    data = published_data(panel[0])
    known = published(table.name).get(data or "", {})
    compared = len(lines) > 1 or known or any(choice.by for choice in table.choices)
    if not compared or all(rows[0].attack == "none" for rows in lines.values()):
        return None, None
    values = {getattr(row, table.column) for rows in lines.values() for row in rows}
    columns = {table.heading(value): value for value in sorted(values)}
    headings = sorted(
        {*columns, *(c for _, c in known)}, key=lambda c: columns.get(c) or _number(c)
    )
    body: list[Line] = []
    for label in [*lines, *(x for x in dict.fromkeys(x for x, _ in known) if x not in lines)]:
        rows = lines.get(label, [])
        at = {
            heading: [r for r in rows if getattr(r, table.column) == columns.get(heading)]
            for heading in headings
        }
        if rows:
            body.append(Line(label, tuple(cell_of(at[heading]) for heading in headings)))
        if any((label, heading) in known for heading in headings):
            body.append(published_line(known, label, headings, table.scale))
    return Grid(
        title=table.title,
        about=f"{panel[0].dataset}, {panel[0].backbone}",
        caption=protocol_of(panel[0]), corner=table.corner,
        columns=tuple(headings), lines=tuple(body), notes=tuple(notes), scale=table.scale,
        digits=table.digits,
    ), data  # fmt: skip


def _lines(
    table: NumberedTable, choice: Choice, rows: Sequence[ResultRow]
) -> list[tuple[str, list[ResultRow]]]:
    """Return name and rows of the lines of a choice; several where attacks were set otherwise."""
    if not rows:
        return []
    if choice.by != "iteration":
        rows = final(rows)
    elif table.shown:
        rows = [row for row in rows if row.iteration in (*table.shown, row.iterations)]
    groups = grouped(rows, [choice.by] if choice.by else [])
    if choice.by is not None:
        by = choice.by
        groups.sort(key=lambda group: getattr(group[0], by))
    lines = []
    for group in groups:
        label = choice.label.format(getattr(group[0], choice.by) if choice.by else "")
        if choice.attack == "none":
            lines.append((label, group))
        else:
            lines += _settings(table, choice, label, _preferred(table, group))
    return lines


def _number(heading: str) -> float:
    """Return the number in a published heading, such as ``16 bits``."""
    return float("".join(character for character in heading if character in "0123456789."))


def _preferred(table: NumberedTable, rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    for field, value in table.prefer.items():
        close = [row for row in rows if close_to(getattr(row, field), value)]
        rows = close or rows
    return rows


def close_to(found: Any, wanted: float | None) -> bool:
    """Return whether a field has a value, to rounding."""
    if wanted is None:
        return found is None
    return isinstance(found, int | float) and abs(found - wanted) < 1e-6


def _settings(
    table: NumberedTable, choice: Choice, label: str, rows: Sequence[ResultRow]
) -> list[tuple[str, list[ResultRow]]]:
    """Give each setting of an attack a line of its own, named by what it differs in."""
    fields = [field for field in ATTACK_FIELDS if field not in (table.column, choice.by)]
    differ = differing(rows, fields)
    lines = []
    for found in grouped(rows, fields):
        names = [f"{field}={_brief(getattr(found[0], field))}" for field in differ]
        lines.append((f"{label} ({', '.join(names)})" if names else label, found))
    return lines


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
