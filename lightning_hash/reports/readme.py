"""The table of results in a README, from result rows."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.reports.grid import Grid, markdown_table
from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.papers import TABLES
from lightning_hash.results.rows import ResultRow
from lightning_hash.utils.whole_file import write_whole

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
    used = dict.fromkeys(name for name, *_ in SHOWN)
    grids = {name: numbered_grids(tables[name], rows) for name in used}
    columns: dict[tuple[str, str], dict[int, str]] = {}  # a protocol each
    published: list[list[str]] = [[] for _ in SHOWN]
    said: dict[tuple[str, str], dict[str, None]] = {}
    for number, (name, label, _) in enumerate(SHOWN):
        for grid, is_published, text in _cells(grids[name], label):
            if is_published:
                published[number].append(f"{text} {grid.about}")
            else:
                protocol = (grid.about, grid.caption)
                columns.setdefault(protocol, {})[number] = text
                said.setdefault(protocol, {}).update(dict.fromkeys(grid.remarks))
    names = [about for about, _ in columns]
    headings = [
        about if names.count(about) == 1 else f"{about} [{number}]"
        for number, about in enumerate(names, 1)
    ]
    lines = [
        [
            f"{called} ({_paper(name)})",
            ", ".join(published[number]),
            *(numbers.get(number, "") for numbers in columns.values()),
        ]
        for number, (name, _, called) in enumerate(SHOWN)
    ]
    table = markdown_table(("32 bits", "published", *headings), lines)
    below = [f"{name}: {' '.join(x)}" for name, x in zip(headings, said.values(), strict=True)]
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


def _cells(grids: Sequence[Grid], label: str) -> list[tuple[Grid, bool, str]]:
    """Return table, whether published, and text of a line's numbers."""
    found = []
    for grid in grids:
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
    if name == "dhta_table1":
        return "DHTA Tables 1, 2 and 7"
    paper, _, table = name.partition("_table")
    return (
        f"{paper.upper()} Table {table if paper == 'dhta' else ('I', 'II', 'III')[int(table) - 1]}"
    )
