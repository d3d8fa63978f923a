"""The table of results in a README, from result rows."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.reports.grid import markdown_table
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
    ("dhta_table5", "HAG", "MAP after HAG at DHTA's ε, %"),
    ("dhta_table5", "DHTA", "MAP after DHTA, %"),
)
COLUMN = "32 bits"


def results_table(rows: Sequence[ResultRow]) -> str:
    """Put published and obtained values at 32 bits side by side.

    Args:
        rows: of any runs.

    Returns:
        Markdown: a line per number, a column per data set; blank where nothing was measured.
    """
    tables = {table.name: table for table in TABLES}
    columns: dict[str, dict[int, str]] = {}
    for number, (name, label, _) in enumerate(SHOWN):
        for column, text in _cells(tables[name], label, rows):
            columns.setdefault(column, {}).setdefault(number, text)
    order = sorted(columns, key=lambda column: column.endswith("published"))
    lines = [
        [_paper(name), called, *(columns[column].get(number, "") for column in order)]
        for number, (name, _, called) in enumerate(SHOWN)
    ]
    return markdown_table(("paper", "number, 32 bits", *order), lines)


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


def _cells(table: NumberedTable, label: str, rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    found = []
    for grid in numbered_grids(table, rows):
        if COLUMN not in grid.columns:
            continue
        place = grid.columns.index(COLUMN)
        for line in grid.lines:
            cell = line.cells[place]
            if line.label == label and cell is not None:
                column = f"{grid.about}, published" if line.published else grid.about
                found.append((column, cell.text(grid.scale, grid.digits)))
    return found


def _paper(name: str) -> str:
    paper, _, table = name.partition("_table")
    return (
        f"{paper.upper()} Table {table if paper == 'dhta' else ('I', 'II', 'III')[int(table) - 1]}"
    )
