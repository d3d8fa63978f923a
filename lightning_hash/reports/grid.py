"""A table of numbers, and the same in Markdown, LaTeX, CSV and for a terminal."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table

from lightning_hash.results.tables import with_error

SPREAD = 5e-4  # what rounding may change when threads or kernels are others
SE = "In brackets: the standard error over the queries in units of the last digit, 0.0275(40)."
DEVIATION = "±: standard deviation over runs of several victims or seeds, their number in brackets."
LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"})


@dataclass(frozen=True)
class Cell:
    """A number that was measured once or several times.

    Attributes:
        values: the measurements, each of another seed or victim.
        spread: by how much measurements differ that no seed and no victim tells apart.
        se: standard error over the queries, where there is one measurement.
    """

    values: tuple[float, ...]
    spread: float = 0.0
    se: float | None = None

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
    """

    label: str
    cells: tuple[Cell | None, ...]
    published: bool = False


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
        spread = max((cell.spread for cell in cells), default=0.0)
        errors = SE if any(cell.se is not None for cell in cells) else ""
        deviations = DEVIATION if any(cell.deviation is not None for cell in cells) else ""
        warning = (
            f"Runs of one victim, seed and setting differ by up to {spread * self.scale:.3g}; the "
            "table has their mean."
        )
        many = (warning,) if spread > SPREAD else ()
        texts = (self.caption, *self.notes, errors, deviations, *many)
        return tuple(text for text in texts if text)

    def texts(self) -> list[list[str]]:
        """Return label and cells of each line as text; blank where nothing was measured."""
        return [
            [
                f"{line.label} (published)" if line.published else line.label,
                *("" if c is None else c.text(self.scale, self.digits) for c in line.cells),
            ]
            for line in self.lines
        ]

    def markdown(self) -> str:
        """Return the table in Markdown, title and protocol around it."""
        text = f"**{self.heading}**\n\n{markdown_table((self.corner, *self.columns), self.texts())}"
        return "\n\n".join([text, *self.remarks]) + "\n"

    def latex(self) -> str:
        """Return the table in LaTeX, for the package booktabs."""
        rows = [[self.corner, *self.columns], *self.texts()]
        lines = [" & ".join(_latex(text) for text in row) + r" \\" for row in rows]
        caption = " ".join((f"{self.heading}.", *self.remarks))
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{_latex(caption)}}}",
                rf"\begin{{tabular}}{{l{'r' * len(self.columns)}}}",
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
        """Return a row per number, unrounded and unscaled."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("table", "line", "column", "published", "mean", "deviation", "n", "se"))
        for line in self.lines:
            for column, cell in zip(self.columns, line.cells, strict=True):
                if cell is not None:
                    many = ("", 1) if cell.deviation is None else (cell.deviation, len(cell.values))
                    source = "yes" if line.published else "no"
                    error = "" if cell.se is None else cell.se
                    where = (self.heading, line.label, column, source)
                    writer.writerow((*where, cell.mean, *many, error))
        return file.getvalue()

    def rich(self) -> Table:
        """Return the table for a terminal."""
        table = Table(
            title=self.heading, caption="\n".join(self.remarks),
            title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        )  # fmt: skip
        table.add_column(self.corner)
        for column in self.columns:
            table.add_column(column, justify="right")
        for row in self.texts():
            table.add_row(*row)
        return table


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the columns behind the first are numbers."""
    lines = [list(headers), ["---", *["---:"] * (len(headers) - 1)], *map(list, rows)]
    return "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in x) + " |" for x in lines
    )


def _latex(text: str) -> str:
    signs = {"±": r"$\pm$", "ε": r"$\epsilon$", "α": r"$\alpha$", "×": r"$\times$", "–": "--"}  # noqa: RUF001 - Greek on purpose
    return "".join(signs.get(character, character) for character in text.translate(LATEX))
