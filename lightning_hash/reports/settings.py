"""Columns for the settings that the lines of a table differ in."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lightning_hash.reports.apart import short_class, told_apart
from lightning_hash.reports.grid import WARNING
from lightning_hash.reports.lines import draw_of, grouped, in_order
from lightning_hash.reports.papers import EPSILON
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import format_epsilon

# What says nothing of an attack, but of the arithmetic and the program that its numbers come from.
SOURCE = {"interpolation": "data.interpolation", "checkpoint selected on": "victim.selected_on"}
PROGRAM = {"kernels": "run.kernels", "precision": "run.precision", "version": "run.version"}


def differing_settings(
    lines: Sequence[Sequence[ResultRow]], varied: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Return columns for what the lines of a table differ in.

    Args:
        lines: the rows of each line; of clean queries and ceilings only what draws them is told.
        varied: dotted paths that the table's columns are of.

    Returns:
        By heading, a text for each line, blank where it has no such setting: budget, iterations,
        step, seeds, questions asked, kernels, precision and version. A setting that all lines agree
        in, as far as they have it, has no column.
    """
    attacks = [[row for row in rows if row.is_attack] for rows in lines]
    steps = iter(_steps([rows[0] for rows in attacks if rows]))
    columns: dict[str, list[str]] = {
        "ε": [] if EPSILON in varied else [_joined(rows, _budget) for rows in attacks],
        "iterations": [_joined(rows, _iterations) for rows in attacks],
        "step": [next(steps) if rows else "" for rows in attacks],
        "seeds": [_joined(rows, draw_of) for rows in lines],
        "questions": [_joined(rows, _questions) for rows in attacks],
    }
    for name, path in PROGRAM.items():
        columns[name] = [_joined(rows, partial(ResultRow.get, path=path)) for rows in lines]
    return {name: texts for name, texts in columns.items() if len(set(filter(None, texts))) > 1}


def one_for_all(rows: Sequence[ResultRow]) -> list[str]:
    """Say what all numbers of a table come from that neither caption nor notes say.

    Args:
        rows: those of the table.

    Returns:
        A sentence with interpolation, what the checkpoint was selected on, kernels, precision and
        version, as far as they are known and the same for all; none where nothing is.
    """
    said = []
    for name, path in {**SOURCE, **PROGRAM}.items():
        values = {canonical(row.get(path)) for row in rows}
        if len(values) == 1 and rows[0].get(path) is not None:
            said.append(f"{name} {rows[0].get(path)}")
    return [f"All numbers: {', '.join(said)}."] if said else []


def warnings_of(lines: Mapping[str, Sequence[ResultRow]]) -> list[str]:
    """Say what runs doubted of their own numbers.

    Args:
        lines: the rows of each line, by its label.

    Returns:
        A sentence for each line and warning.
    """
    return [
        f"{label}{WARNING}{warning}"
        for label, rows in lines.items()
        for warning in dict.fromkeys(str(each) for row in rows for each in row.warnings or ())
    ]


def _joined(rows: Sequence[ResultRow], value: Callable[[ResultRow], Any]) -> str:
    """Return the values of a line, each once."""
    values = [value(group[0]) for group in grouped(rows, lambda row: canonical(value(row)))]
    return ", ".join(str(each) for each in sorted(values, key=in_order) if each not in (None, ""))


def _budget(row: ResultRow) -> str:
    """Return epsilon, with the norm unless it is the largest change."""
    norm = short_class(row.get("attack.budget.class") or "LInf")
    epsilon = format_epsilon(row.get(EPSILON), row.get("attack.budget.space"))
    return epsilon if norm == "LInf" else f"{epsilon} {norm}".strip()


def _iterations(row: ResultRow) -> int | None:
    return row.get("attack.iterations") or None


def _questions(row: ResultRow) -> str | None:
    return None if row.queries is None else f"{row.queries:.6g}"


def _steps(rows: Sequence[ResultRow]) -> list[str]:
    """Name the step rule of each attack, with the options that those of one class differ in."""
    steps = [row.get("attack.step") for row in rows]
    names = [short_class(step.get("class", "")) if isinstance(step, dict) else "" for step in steps]
    for same in grouped(range(len(steps)), names.__getitem__):
        if names[same[0]]:
            said = told_apart([steps[number] for number in same])
            for number, texts in zip(same, said, strict=True):
                names[number] = ", ".join([names[number], *texts])
    return names
