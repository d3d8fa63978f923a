"""The table of results in a README, from result rows."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.reports.grid import Grid, markdown_table
from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.papers import TABLES, NumberedTable
from lightning_hash.reports.results import ResultRow
from lightning_hash.whole_file import write_whole

BEGIN, END = "<!-- results -->", "<!-- /results -->"
# Lines of the numbered tables, at 32 bits: table, line, what it is called here.
SHOWN = (
    ("hag_table1", "0", "MAP of clean queries"),
    ("hag_table3", "HAG*", "MAP after HAG*"),
    ("hag_table3", "HAG", "MAP after HAG"),
    ("dhta_table1", "Original, MAP", "MAP of clean queries, %"),
    ("dhta_table1", "Noise", "t-MAP after noise, %"),
    ("dhta_table9", "Feature-based Attack", "t-MAP after the feature-based attack, %"),
    ("dhta_table1", "P2P", "t-MAP after P2P, %"),
    ("dhta_table1", "DHTA", "t-MAP after DHTA, %"),
    ("dhta_table5", "HAG", "MAP after HAG, %"),
    ("dhta_table5", "DHTA", "MAP after DHTA, %"),
)
COLUMN = "32 bits"


def results_table(rows: Sequence[ResultRow]) -> str:
    """Put published and obtained values at 32 bits side by side.

    Args:
        rows: of any runs.

    Returns:
        Markdown: a line per number with what the papers give for each of their data sets, and a
        column per data set that was measured; blank where nothing was. Below it, the protocol of
        each of these.
    """
    tables = {table.name: table for table in TABLES}
    columns: dict[str, dict[int, str]] = {}
    published: list[list[str]] = [[] for _ in SHOWN]
    said: dict[str, dict[str, None]] = {}
    for number, (name, label, _) in enumerate(SHOWN):
        for grid, is_published, text in _cells(tables[name], label, rows):
            if is_published:
                published[number].append(f"{text} {grid.about}")
            else:
                columns.setdefault(grid.about, {}).setdefault(number, text)
                said.setdefault(grid.about, {}).update(dict.fromkeys(grid.remarks))
    lines = [
        [
            f"{called} ({_paper(name)})",
            ", ".join(published[number]),
            *(columns[about].get(number, "") for about in columns),
        ]
        for number, (name, _, called) in enumerate(SHOWN)
    ]
    table = markdown_table(("32 bits", "published", *columns), lines)
    below = [" ".join(remarks) for remarks in said.values()]
    return "\n\n".join([table, *below])


def fill_readme(path: Path, rows: Sequence[ResultRow]) -> None:
    """Put the table of results between its two markers.

    Args:
        path: the file.
        rows: of any runs.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold both markers, once each.
    """
    if not path.is_file():
        msg = f"--readme {path} does not exist"
        raise FileNotFoundError(msg)
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        msg = f"--readme {path} must hold {BEGIN} and, behind it, {END}, once each"
        raise ValueError(msg)
    between = f"{BEGIN}\n{results_table(rows)}\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda _: between, text, flags=re.DOTALL)
    write_whole(path, text.encode())


def _cells(
    table: NumberedTable, label: str, rows: Sequence[ResultRow]
) -> list[tuple[Grid, bool, str]]:
    """Return table, whether published, and text of a line's numbers."""
    found = []
    for grid in numbered_grids(table, rows):
        if COLUMN not in grid.columns:
            continue
        place = grid.columns.index(COLUMN)
        for line in grid.lines:
            cell = line.cells[place]
            if line.label == label and cell is not None:
                text = cell.text(grid.scale, grid.digits)
                found.append((grid, line.published, text))
    return found


def _paper(name: str) -> str:
    paper, _, table = name.partition("_table")
    return (
        f"{paper.upper()} Table {table if paper == 'dhta' else ('I', 'II', 'III')[int(table) - 1]}"
    )
