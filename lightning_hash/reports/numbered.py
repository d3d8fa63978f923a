"""Numbered tables from result rows."""

from collections.abc import Sequence

from lightning_hash.reports.grid import Grid, Line
from lightning_hash.reports.lines import (
    captions,
    cell_of,
    close_to,
    final,
    grouped,
    in_order,
    protocol_key,
    setting_key,
    setting_of,
    settings_apart,
)
from lightning_hash.reports.papers import Choice, NumberedTable
from lightning_hash.reports.published import (
    published,
    published_data,
    published_grid,
    published_line,
)
from lightning_hash.results.rows import CLEAN, ResultRow


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
    usable = [r for r in rows if r.transfer is None and not r.quantized and table.where(r)]
    panels = grouped(usable, protocol_key)
    panels.sort(key=lambda rows: (str(rows[0].get("data.dataset")), _backbone(rows[0])))
    grids, shown = [], set()
    for panel, caption in zip(panels, captions([rows[0] for rows in panels]), strict=True):
        grid, data = _grid(table, panel, caption)
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


def _backbone(row: ResultRow) -> str:
    return str(row.get("victim.backbone"))


def _grid(
    table: NumberedTable, panel: Sequence[ResultRow], caption: str
) -> tuple[Grid | None, str | None]:
    lines: dict[str, list[ResultRow]] = {}
    notes: dict[str, None] = {}
    for choice in table.choices:
        found = [r for r in panel if (r.name, r.metric) == (choice.attack, choice.metric)]
        for label, rows in _lines(table, choice, found):
            lines.setdefault(label, []).extend(rows)
            if choice.attack != CLEAN:
                name = choice.attack if choice.by else label
                notes[f"{name}: {setting_of(rows[0], (table.column, choice.by))}."] = None
    lines = {
        label: rows
        for label, rows in lines.items()
        if len({row.get(table.column) for row in rows}) >= table.least
    }
    data = published_data(panel[0])
    known = published(table.name).get(data or "", {})
    compared = len(lines) > 1 or known or any(choice.by for choice in table.choices)
    if not compared or all(rows[0].name == CLEAN for rows in lines.values()):
        return None, None
    values = {row.get(table.column) for rows in lines.values() for row in rows}
    columns = {table.heading(value): value for value in sorted(values, key=in_order)}
    headings = sorted(
        {*columns, *(c for _, c in known)},
        key=lambda c: in_order(columns[c] if c in columns else _number(c)),
    )
    body: list[Line] = []
    for label in [*lines, *(x for x in dict.fromkeys(x for x, _ in known) if x not in lines)]:
        rows = lines.get(label, [])
        at = {
            heading: [
                r for r in rows if heading in columns and r.get(table.column) == columns[heading]
            ]
            for heading in headings
        }
        if rows:
            body.append(Line(label, tuple(cell_of(at[heading]) for heading in headings)))
        if any((label, heading) in known for heading in headings):
            body.append(published_line(known, label, headings, table.scale))
    return Grid(
        title=table.title,
        about=f"{panel[0].get('data.dataset')}, {_backbone(panel[0])}",
        caption=caption, corner=table.corner,
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
        rows = [r for r in rows if r.iteration in (*table.shown, r.get("attack.iterations"))]
    by = choice.by
    if by is None:
        groups = {choice.label: rows}
    else:
        values = sorted({row.get(by) for row in rows}, key=in_order)
        groups = {
            choice.label.format("unknown" if value is None else value): [
                row for row in rows if row.get(by) == value
            ]
            for value in values
        }
    lines = []
    for label, group in groups.items():
        if choice.attack == CLEAN:
            lines.append((label, list(group)))
        else:
            lines += _settings(table, choice, label, _preferred(table, group))
    return lines


def _number(heading: str) -> float:
    """Return the number in a published heading, such as ``16 bits``."""
    return float("".join(character for character in heading if character in "0123456789."))


def _preferred(table: NumberedTable, rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    for path, value in table.prefer.items():
        rows = [row for row in rows if close_to(row.get(path), value)] or rows
    return rows


def _settings(
    table: NumberedTable, choice: Choice, label: str, rows: Sequence[ResultRow]
) -> list[tuple[str, list[ResultRow]]]:
    """Give each setting of an attack a line of its own, named by what it differs in."""
    varied = [path for path in (table.column, choice.by) if path]
    groups = grouped(rows, lambda row: setting_key(row, varied))
    names = settings_apart([group[0] for group in groups], varied)
    return [
        (f"{label} ({', '.join(said)})" if said else label, group)
        for said, group in zip(names, groups, strict=True)
    ]
