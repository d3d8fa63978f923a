"""The table of results in a README, from result rows."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.reports.grid import Grid, Line, markdown_table
from lightning_hash.reports.numbered import RANDOM_START, numbered_grids
from lightning_hash.reports.papers import TABLES, NumberedTable
from lightning_hash.reports.published import PROTOCOLS, describe_protocol, published
from lightning_hash.results.rows import ResultRow
from lightning_hash.utils.escapes import markdown
from lightning_hash.utils.text_files import read_utf8, utf8
from lightning_hash.utils.whole_file import ready_file, write_whole

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
        column per protocol and victim that was measured; blank where nothing was. Below it, the
        protocol of the published values and that of each column.
    """
    tables = {table.name: table for table in TABLES}
    used = dict.fromkeys(name for name, *_ in SHOWN)
    grids = {name: numbered_grids(tables[name], rows, alone=True) for name in used}
    columns: dict[tuple[str, str], dict[int, list[str]]] = {}  # of a protocol and victim each
    said: dict[tuple[str, str], dict[str, None]] = {}
    for number, (name, label, _) in enumerate(SHOWN):
        for grid, column, line, text in _cells(grids[name], label):
            victim, setting = column.removeprefix(COLUMN), line.label.removeprefix(label)
            protocol = (f"{grid.about}{victim}", grid.caption)
            columns.setdefault(protocol, {}).setdefault(number, []).append(f"{text}{setting}")
            said.setdefault(protocol, {}).update(dict.fromkeys(grid.remarks))
    names = [about for about, _ in columns]
    headings = [
        about if names.count(about) == 1 else f"{about} [{number}]"
        for number, about in enumerate(names, 1)
    ]
    lines = [
        [
            f"{called} ({_paper(name)})",
            ", ".join(_published(tables[name], label)),
            *(", ".join(numbers.get(number, [])) for numbers in columns.values()),
        ]
        for number, (name, label, called) in enumerate(SHOWN)
    ]
    table = markdown_table(("32 bits", "published", *headings), lines)
    below = [
        markdown(f"{name}: {' '.join(x)}") for name, x in zip(headings, said.values(), strict=True)
    ]
    return "\n\n".join([table, markdown(_published_protocols()), *below])


def check_readme(path: Path) -> str:
    """Return the text of a file that has a place for the table of results.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold both markers, once each.
        OSError: if it cannot be written to.
    """
    if not path.is_file():
        msg = f"--readme {path} does not exist"
        raise FileNotFoundError(msg)
    text = read_utf8(path, f"--readme {path}")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        msg = f"--readme {path} must hold {BEGIN} and, behind it, {END}, once each"
        raise ValueError(msg)
    ready_file(path, "--readme", "give another file")
    return text


def fill_readme(path: Path, rows: Sequence[ResultRow]) -> None:
    """Put the table of results between its two markers.

    Args:
        path: the file.
        rows: of any runs.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold both markers, once each.
        OSError: if it cannot be written to.
    """
    text = check_readme(path)
    between = f"{BEGIN}\n{results_table(rows)}\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda _: between, text, flags=re.DOTALL)
    write_whole(path, utf8(text))


def _cells(grids: Sequence[Grid], label: str) -> list[tuple[Grid, str, Line, str]]:
    """Return table, column, line and text of what was measured at 32 bits of a line.

    A line that several settings make, and a column that several victims make, count each.
    """
    return [
        (grid, column, line, cell.text(grid.scale, grid.digits))
        for grid in grids
        for line in grid.lines
        if not line.published and _is_of(line.label, label, " (")
        for column, cell in zip(grid.columns, line.cells, strict=True)
        if cell is not None and _is_of(column, COLUMN, ", ")
    ]


def _is_of(text: str, name: str, behind: str) -> bool:
    """Return whether it is a name, or one with what tells it from others of that name."""
    return text == name or (text.startswith(f"{name}{behind}") and not text.endswith(RANDOM_START))


def _published(table: NumberedTable, label: str) -> list[str]:
    """Return what a paper gives for a line at 32 bits, of each of its data."""
    return [
        f"{values[label, COLUMN]:.{table.digits}f} {data}"
        for data, values in published(table.name).items()
        if (label, COLUMN) in values
    ]


def _published_protocols() -> str:
    """Say under which protocols the published values were measured."""
    papers = [
        f"{paper.upper()}: {data}, {describe_protocol(paper, data)}"
        for paper, protocols in PROTOCOLS.items()
        for data in protocols
    ]
    return (
        "The published values are of the papers' own victims, data and protocols, which are not "
        f"those of the columns beside them. {'; '.join(papers)}. "
        "HAG* is HAG with an alpha that is always 1."
    )


def _paper(name: str) -> str:
    if name == "dhta_table1":
        return "DHTA Tables 1, 2 and 7"
    paper, _, table = name.partition("_table")
    return (
        f"{paper.upper()} Table {table if paper == 'dhta' else ('I', 'II', 'III')[int(table) - 1]}"
    )
