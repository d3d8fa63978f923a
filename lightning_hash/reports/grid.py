"""A table of numbers, and the same in Markdown, LaTeX, CSV and for a terminal."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table

from lightning_hash.results.tables import with_error
from lightning_hash.utils.escapes import csv_text, latex, markdown, terminal

SE = "In brackets: the standard error over the queries in units of the last digit, 0.0275(40)."
DEVIATION = "±: standard deviation over runs of several seeds, their number in brackets."
WARNING = ": warning: "  # behind the name of a line that its own run doubts


@dataclass(frozen=True)
class Cell:
    """A number that was measured once or several times.

    Attributes:
        values: the measurements, each of another seed.
        spread: by how much measurements differ that no seed tells apart.
        se: standard error over the queries, where there is one measurement.
        queries: how many queries the measurements are means of, each number once; empty if unknown.
    """

    values: tuple[float, ...]
    spread: float = 0.0
    se: float | None = None
    queries: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a sample (n - 1), where there are two values or more."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, scale: float, digits: int) -> str:
        """Write it for people.

        Args:
            scale: factor.
            digits: behind the point.

        Returns:
            The value, its standard error in brackets; of several measurements the mean with
            deviation and their number.

        Example:
            >>> Cell((0.5,)).text(1, 4), Cell((0.5,), se=0.02).text(1, 4)
            ('0.5000', '0.5000(200)')
            >>> Cell((0.5, 0.7)).text(100, 1)
            '60.0 ± 14.1 (2)'
        """
        text = f"{self.mean * scale:.{digits}f}"
        if self.deviation is not None:
            return f"{text} ± {self.deviation * scale:.{digits}f} ({len(self.values)})"
        return with_error(self.mean * scale, self.se and self.se * scale, digits)


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        label: its name.
        cells: a number per column, or ``None`` where nothing was measured.
        published: whether the numbers are a paper's.
        settings: what it was measured with, a text for each of the table's settings.
    """

    label: str
    cells: tuple[Cell | None, ...]
    published: bool = False
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table.

    Attributes:
        title: what it shows.
        about: which data or victim.
        caption: the protocol that all its numbers share.
        corner: what the lines are.
        columns: names of the columns.
        lines: the lines.
        notes: what is to be said about single lines.
        settings: names of the settings that lines differ in, columns before those of numbers.
        scale: factor of the numbers in all but CSV.
        digits: behind the point, in all but CSV.
    """

    title: str
    about: str
    caption: str = ""
    corner: str = ""
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())
    settings: tuple[str, ...] = field(default=())
    scale: float = 1.0
    digits: int = 4

    @property
    def heading(self) -> str:
        """Title and data."""
        return f"{self.title}: {self.about}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Caption, notes, what stands behind numbers, a warning where equal runs were unequal."""
        cells = [cell for line in self.lines for cell in line.cells if cell]
        errors = SE if any(cell.se is not None for cell in cells) else ""
        deviations = DEVIATION if any(cell.deviation is not None for cell in cells) else ""
        texts = (self.caption, *self.notes, self._queries(), errors, deviations, self._spread())
        return tuple(text for text in texts if text)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Those remarks that keep a number from being believed."""
        return tuple(text for text in self.remarks if WARNING in text or text == self._spread())

    @property
    def only_published(self) -> bool:
        """Whether no number is of a run."""
        return all(line.published for line in self.lines)

    def _spread(self) -> str:
        """Say by how much equal runs differ; nothing where that is not seen in the table."""
        cells = [cell for line in self.lines for cell in line.cells if cell]
        spread = self.scale * max((cell.spread for cell in cells), default=0.0)
        if not f"{spread:.{self.digits}f}".strip("0."):
            return ""
        return (
            f"Runs of one victim, seed and setting differ by up to {spread:.3g}; the table has "
            "their mean."
        )

    def _queries(self) -> str:
        """Say how many queries the numbers are means of, and of which lines they are others."""
        counts: dict[str, list[str]] = {}
        for line in self.lines:
            for column, cell in zip(self.columns, line.cells, strict=True):
                if cell is not None and cell.queries:
                    number = " and ".join(map(str, cell.queries))
                    counts.setdefault(number, []).append(f"{line.label}, {column}")
        if len(counts) < 2:
            return "".join(f"Each number is the mean over {number} queries." for number in counts)
        usual, *others = sorted(counts, key=lambda number: -len(counts[number]))
        said = [f"over {number}: {'; '.join(counts[number])}" for number in others]
        return f"Means over {usual} queries, but {'. '.join(said)}."

    def texts(self) -> list[list[str]]:
        """Return label and cells of each line as text; blank where nothing was measured."""
        return [
            [
                f"{line.label} (published)" if line.published else line.label,
                *("" if c is None else c.text(self.scale, self.digits) for c in line.cells),
            ]
            for line in self.lines
        ]

    def table(self) -> list[list[str]]:
        """Return header and lines as text, with the settings that lines differ in."""
        body = [
            [label, *(line.settings or [""] * len(self.settings)), *cells]
            for line, (label, *cells) in zip(self.lines, self.texts(), strict=True)
        ]
        return [[self.corner, *self.settings, *self.columns], *body]

    def markdown(self) -> str:
        """Return the table in Markdown, title and protocol around it."""
        header, *body = self.table()
        remarks = [markdown(remark) for remark in self.remarks]
        heading = f"**{markdown(self.heading)}**"
        return "\n\n".join([heading, markdown_table(header, body), *remarks]) + "\n"

    def latex(self) -> str:
        """Return the table in LaTeX, for the package booktabs."""
        lines = [" & ".join(latex(text) for text in row) + r" \\" for row in self.table()]
        caption = " ".join((f"{self.heading}.", *self.remarks))
        left = "l" * (1 + len(self.settings))
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{latex(caption)}}}",
                rf"\begin{{tabular}}{{{left}{'r' * len(self.columns)}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def csv(self) -> str:
        """Return a row per number, unrounded and unscaled, with all that is said of the table."""
        said = ("table", "line", *self.settings, "column", "published")
        numbers = ("mean", "deviation", "n", "se", "values", "queries", "remarks")
        rows: list[tuple[object, ...]] = [(*said, *numbers)]
        remarks = " ".join(self.remarks)
        for line in self.lines:
            settings = line.settings or [""] * len(self.settings)
            for column, cell in zip(self.columns, line.cells, strict=True):
                if cell is not None:
                    each = " ".join(map(repr, cell.values))
                    queries = " ".join(map(str, cell.queries))
                    source = "yes" if line.published else "no"
                    where = (self.heading, line.label, *settings, column, source)
                    found = (cell.mean, cell.deviation, len(cell.values), cell.se, each, queries)
                    rows.append((*where, *found, remarks))
        return csv_text(rows)

    def rich(self) -> Table:
        """Return the table for a terminal."""
        header, *body = self.table()
        table = Table(
            title=terminal(self.heading, "table.title"),
            caption=terminal("\n".join(self.remarks), "table.caption", keep="\n"),
            title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        )  # fmt: skip
        for number, name in enumerate(header):
            left = number <= len(self.settings)
            table.add_column(terminal(name), justify="left" if left else "right")
        for row in body:
            table.add_row(*map(terminal, row))
        return table


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the columns behind the first are numbers."""
    escaped = [[markdown(text) for text in row] for row in (headers, *rows)]
    lines = [escaped[0], ["---", *["---:"] * (len(headers) - 1)], *escaped[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
