"""Numbered tables from result rows."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from lightning_hash.reports.grid import Grid, Line
from lightning_hash.reports.lines import (
    captions,
    cell_of,
    distinct_headings,
    final,
    grouped,
    in_order,
    left_out_note,
    of_draws,
    preferred,
    protocol_key,
    setting_key,
    setting_of,
    settings_apart,
    shared_protocol,
    unended,
)
from lightning_hash.reports.papers import BITS, Choice, NumberedTable
from lightning_hash.reports.published import (
    compare_protocols,
    published,
    published_data,
    published_grid,
    published_line,
)
from lightning_hash.reports.settings import differing_settings, one_for_all, warnings_of
from lightning_hash.reports.victims import length_names, victim_key, victims_note
from lightning_hash.results.rows import CLEAN, ResultRow
from lightning_hash.results.settings import canonical

START, RANDOM_START = "attack.start_seed", "(random start)"


def numbered_grids(
    table: NumberedTable, rows: Sequence[ResultRow], *, alone: bool = False
) -> list[Grid]:
    """Lay out a numbered table.

    Args:
        table: the table.
        rows: of any runs.
        alone: whether a single line, which compares nothing, is a table as well.

    Returns:
        A grid for each protocol that the rows were measured under, no two of one heading, with the
        published values where the paper gives any for the data and what their protocol has
        otherwise; then the published values that nothing of these is beside. Of several victims of
        one code length each has its own column or line.
    """
    usable = [r for r in rows if r.transfer is None and not r.quantized and table.where(r)]
    panels = grouped(usable, protocol_key)
    panels.sort(key=lambda rows: (str(rows[0].get("data.dataset")), _backbone(rows[0])))
    made = [(panel, *_grid(table, panel, alone)) for panel in panels]
    firsts = [panel[0] for panel, grid, _ in made if grid is not None]
    abouts = [f"{row.get('data.dataset')}, {_backbone(row)}" for row in firsts]
    said = zip(
        distinct_headings(abouts, [shared_protocol(row) for row in firsts]),
        captions(firsts),
        strict=True,
    )
    grids, shown = [], set()
    for _, grid, data in made:
        if grid is not None:
            about, caption = next(said)
            grids.append(dataclasses.replace(grid, about=about, caption=caption))
            shown.add(data)
    for data in published(table.name):
        if data not in shown:
            varied = [table.column, *(choice.by for choice in table.choices)]
            grids.append(
                published_grid(
                    table.name, data, table.title, table.corner, table.scale, table.digits, varied
                )
            )
    return grids


def _backbone(row: ResultRow) -> str:
    return str(row.get("victim.backbone"))


def _grid(
    table: NumberedTable, panel: Sequence[ResultRow], alone: bool
) -> tuple[Grid | None, str | None]:
    """Return the grid of one protocol, without heading and caption, and the paper's data of it."""
    attacks = [row for row in panel if row.is_attack]
    clean = of_draws([row for row in panel if row.name == CLEAN], attacks)
    panel = [*clean, *(row for row in panel if row.name != CLEAN)]
    if not panel:  # clean queries of other draws than the attacks'
        return None, None
    lines: dict[str, list[ResultRow]] = {}
    notes: dict[str, None] = {}
    for choice in table.choices:
        found = [r for r in panel if (r.name, r.metric) == (choice.attack, choice.metric)]
        for label, rows, left_out in _lines(table, choice, found):
            lines.setdefault(label, []).extend(rows)
            if choice.attack != CLEAN:
                name = choice.attack if choice.by else label
                notes[f"{name}: {setting_of(rows[0], (table.column, choice.by))}."] = None
                notes.update(dict.fromkeys(f"{name}: {said}" for said in left_out))
    places = {label: {_place(table, row) for row in rows} for label, rows in lines.items()}
    lines = {label: rows for label, rows in lines.items() if len(places[label]) >= table.least}
    data = published_data(panel[0])
    known = published(table.name).get(data or "", {})
    compared = alone or len(lines) > 1 or known or any(choice.by for choice in table.choices)
    if not compared or all(rows[0].name == CLEAN for rows in lines.values()):
        return None, None
    shown = [row for rows in lines.values() for row in rows]
    headings = _headings(table, shown, [column for _, column in known])
    body: list[Line] = []
    labels = [*lines, *(x for x in dict.fromkeys(x for x, _ in known) if x not in lines)]
    settings = differing_settings([lines.get(label, []) for label in labels], [table.column])
    for number, label in enumerate(labels):
        at = {
            heading: [row for row in lines.get(label, []) if _place(table, row) == place]
            for heading, place in headings.items()
        }
        if label in lines:
            texts = tuple(each[number] for each in settings.values())
            body.append(Line(label, tuple(map(cell_of, at.values())), settings=texts))
        if any((label, heading) in known for heading in headings):
            body.append(published_line(known, label, list(headings), table.scale))
    varied = (table.column, *(choice.by for choice in table.choices))
    compare = [compare_protocols(table.name, data, shown, varied)] if known and data else []
    stopped = [f"{name}: not at its end, {reached}." for name, reached in _milestones(shown)]
    more = [*stopped, *warnings_of(lines), victims_note(shown), *one_for_all(shown), *compare]
    return Grid(
        title=table.title, about="", corner=table.corner,
        columns=tuple(headings), lines=tuple(body), notes=(*notes, *filter(None, more)),
        settings=tuple(settings), scale=table.scale, digits=table.digits,
    ), data  # fmt: skip


def _place(table: NumberedTable, row: ResultRow) -> Any:
    """Return what decides the column of a row: the victim itself, or the value that is varied."""
    return victim_key(row) if table.column == BITS else canonical(row.get(table.column))


def _headings(
    table: NumberedTable, rows: Sequence[ResultRow], known: Sequence[str]
) -> dict[str, Any]:
    """Return the columns and what :func:`_place` gives for each, in order; ``None`` if published.

    Args:
        table: the table.
        rows: its numbers.
        known: the columns of published values.
    """
    columns: dict[str, Any] = {}
    order: dict[str, Any] = {}
    lengths = length_names(rows)
    for group in grouped(rows, lambda row: _place(table, row)):
        value, place = group[0].get(table.column), _place(table, group[0])
        name = lengths[victim_key(group[0])] if table.column == BITS else table.heading(value)
        if name in columns:  # rounded they are alike
            name = f"{name} ({canonical(value)})"
        columns[name], order[name] = place, in_order(value)
    for name in known:
        columns.setdefault(name, None)
        order.setdefault(name, in_order(_number(name)))
    return {name: columns[name] for name in sorted(columns, key=lambda name: (order[name], name))}


def _milestones(rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    """Return name and reach of attacks whose milestones are shown without their end."""
    return [
        (group[0].name, f"iteration {max(row.iteration for row in group)} of "
         f"{group[0].get('attack.iterations')}")
        for group in unended(rows)
    ]  # fmt: skip


def _lines(
    table: NumberedTable, choice: Choice, rows: Sequence[ResultRow]
) -> list[tuple[str, list[ResultRow], list[str]]]:
    """Return the lines of a choice, several where attacks were set otherwise.

    Returns:
        Of each the name, the rows, and what is said of rows that are left out.
    """
    if choice.by != "iteration":
        rows = final(rows)
    elif table.shown:
        rows = [r for r in rows if r.iteration in (*table.shown, r.get("attack.iterations"))]
    lines = []
    for label, group in _values(choice, rows):
        if choice.attack == CLEAN:
            lines.append((label, group, list[str]()))
            continue
        kept, left_out = preferred(group, table.prefer)
        varied = [path for path in (table.column, choice.by) if path]
        said = list(filter(None, [left_out_note(kept, left_out, varied)]))
        lines += [(name, own, said) for name, own in _settings(table, choice, label, kept)]
    return lines


def _values(choice: Choice, rows: Sequence[ResultRow]) -> list[tuple[str, list[ResultRow]]]:
    """Return a name and the rows of each value that the choice has lines for."""
    by = choice.by
    if by is None:
        return [(choice.label, list(rows))] if rows else []
    if by == BITS:
        return [
            (name, [row for row in rows if victim_key(row) == key])
            for key, name in length_names(rows).items()
        ]
    groups = grouped(rows, lambda row: (canonical(row.get(by)), _starts_elsewhere(row, by)))
    groups.sort(key=lambda group: in_order(group[0].get(by)))
    return [(_label(choice, group[0]), group) for group in groups]


def _label(choice: Choice, row: ResultRow) -> str:
    value = row.get(str(choice.by))
    label = choice.label.format("unknown" if value is None else value)
    return f"{label} {RANDOM_START}" if _starts_elsewhere(row, choice.by) else label


def _starts_elsewhere(row: ResultRow, by: str | None) -> bool:
    """Return whether it is the beginning of an attack that is not the clean query."""
    return by == "iteration" and row.iteration == 0 and row.get(START) is not None


def _number(heading: str) -> float:
    """Return the number in a published heading, such as ``16 bits``."""
    return float("".join(character for character in heading if character in "0123456789."))


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
