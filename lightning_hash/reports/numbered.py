"""Numbered tables from result rows."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.papers import Choice, NumberedTable
from lightning_hash.reports.published import published, published_data
from lightning_hash.reports.results import ResultRow
from lightning_hash.reports.tables import format_epsilon

# What all numbers of one table share; numbers that differ in one of these stand in several tables.
DATA_FIELDS = (
    "dataset", "data_seed", "list_sha256_query", "list_sha256_database", "list_sha256_open_set",
    "n_query", "n_database", "n_leaked", "n_skipped", "database_codes", "target_database",
    "relevance", "top_k", "normalizer", "empty", "ties", "backbone", "loss",
)  # fmt: skip
# What all numbers of one line share; those that differ in one of these stand in several lines.
ATTACK_FIELDS = (
    "objective", "step_rule", "lr", "momentum", "iterations", "alpha_schedule", "threshold",
    "inputs", "start_seed", "epsilon", "epsilon_space", "n_t", "anchor_tie", "anchor_set",
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
    panels: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        if row.sources is None and not row.quantized and table.where(row):
            panels.setdefault(_key(row, DATA_FIELDS), []).append(row)
    grids, shown = [], set()
    for panel in sorted(
        panels.values(), key=lambda rows: (str(rows[0].dataset), str(rows[0].backbone))
    ):
        grid, data = _grid(table, panel)
        if grid is not None:
            grids.append(grid)
            shown.add(data)
    for data in published(table.name):
        if data not in shown:
            grids.append(_published_grid(table, data))
    return grids


def protocol_of(row: ResultRow, *, victims: bool = True) -> str:
    """Say under which protocol the numbers of a table were measured.

    Args:
        row: one of its rows.
        victims: whether all are of one kind of victim, to be named.
    """
    ranks = "the whole database" if row.top_k is None else f"the first {row.top_k}"
    parts = [
        f"{row.dataset} ({row.n_query} queries, {row.n_database} database items)",
        f"{row.backbone}, {row.loss or 'foreign model'}" if victims else "",
        f"AP over {ranks}, divided by {row.normalizer}",
        f"ties {row.ties}, empty {row.empty}",
        "" if row.target_database in (None, "database") else f"t-MAP ranks {row.target_database}",
        f"database codes of {row.database_codes}" if row.database_codes else "",
    ]
    return "; ".join(part for part in parts if part) + "."


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


def _key(row: ResultRow, fields: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, field) for field in fields)


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
            body.append(_published_line(table, known, label, headings))
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
    groups: dict[Any, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(getattr(row, choice.by) if choice.by else None, []).append(row)
    lines = []
    for value in sorted(groups, key=lambda value: (value is not None, value)):
        label = choice.label.format(value)
        if choice.attack == "none":
            lines.append((label, groups[value]))
            continue
        lines += _settings(table, choice, label, _preferred(table, groups[value]))
    return lines


def _number(heading: str) -> float:
    """Return the number in a published heading, such as ``16 bits``."""
    return float("".join(character for character in heading if character in "0123456789."))


def _preferred(table: NumberedTable, rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    for field, value in table.prefer.items():
        close = [row for row in rows if close_to(getattr(row, field), value)]
        rows = close or rows
    return rows


def close_to(found: Any, wanted: float) -> bool:
    """Return whether a field has a value, to rounding."""
    return isinstance(found, int | float) and abs(found - wanted) < 1e-6


def _settings(
    table: NumberedTable, choice: Choice, label: str, rows: Sequence[ResultRow]
) -> list[tuple[str, list[ResultRow]]]:
    """Give each setting of an attack a line of its own, named by what it differs in."""
    fields = [field for field in ATTACK_FIELDS if field not in (table.column, choice.by)]
    settings: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        settings.setdefault(_key(row, fields), []).append(row)
    differ = [f for number, f in enumerate(fields) if len({key[number] for key in settings}) > 1]
    lines = []
    for found in settings.values():
        names = [f"{field}={_brief(getattr(found[0], field))}" for field in differ]
        lines.append((f"{label} ({', '.join(names)})" if names else label, found))
    return lines


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _published_line(
    table: NumberedTable,
    known: Mapping[tuple[str, str], float],
    label: str,
    headings: Sequence[str],
) -> Line:
    cells = [known.get((label, heading)) for heading in headings]
    return Line(
        label, tuple(None if v is None else Cell((v / table.scale,)) for v in cells), published=True
    )


def _published_grid(table: NumberedTable, data: str) -> Grid:
    known = published(table.name)[data]
    headings = tuple(dict.fromkeys(column for _, column in known))
    labels = dict.fromkeys(label for label, _ in known)
    return Grid(
        title=table.title,
        about=data, caption="Published values; nothing was measured on these data.",
        corner=table.corner, columns=headings, scale=table.scale, digits=table.digits,
        lines=tuple(_published_line(table, known, label, headings) for label in labels),
    )  # fmt: skip
