"""Tables in every notation."""

import csv
import io

import pytest
from rich.console import Console

from lightning_hash.reports.grid import DEVIATION, SE, Cell, Grid, Line

GRID = Grid(
    title="T, 50%", about="a_b", caption="A caption.", corner="x | y", columns=("c", "d & e"),
    lines=(
        Line("a", (Cell((0.25, 0.75)), None)),
        Line("a", (None, Cell((0.125,))), published=True),
    ),
    scale=100.0, digits=1,
)  # fmt: skip


def test_markdown():
    assert GRID.markdown().splitlines() == [
        "**T, 50%: a_b**", "",
        r"| x \| y | c | d & e |",
        "| --- | ---: | ---: |",
        "| a | 50.0 ± 35.4 (2) |  |",
        "| a (published) |  | 12.5 |",
        "", "A caption.", "", DEVIATION,
    ]  # fmt: skip


def test_settings_stand_before_numbers_everywhere():
    lines = (Line("a", (Cell((0.25,)),), settings=("8/255",)), Line("b", (None,)))
    grid = Grid(title="T", about="x", corner="attack", columns=("MAP",), lines=lines,
                settings=("ε",))  # fmt: skip
    assert grid.table() == [["attack", "ε", "MAP"], ["a", "8/255", "0.2500"], ["b", "", ""]]
    assert "| a | 8/255 | 0.2500 |" in grid.markdown()
    assert r"a & 8/255 & 0.2500 \\" in grid.latex()
    assert r"\begin{tabular}{llr}" in grid.latex()
    (only,) = csv.DictReader(io.StringIO(grid.csv()))
    assert (only["ε"], only["mean"]) == ("8/255", "0.25")
    assert [len(list(column.cells)) for column in grid.rich().columns] == [2, 2, 2]


def test_every_notation_says_the_protocol():
    assert GRID.caption in GRID.markdown()
    assert GRID.caption in GRID.latex()
    first, _ = csv.DictReader(io.StringIO(GRID.csv()))
    assert first["remarks"] == f"A caption. {DEVIATION}"
    assert first["values"] == "0.25 0.75"


def test_numbers_over_other_queries_are_said():
    lines = (Line("a", (Cell((0.25,), queries=(100,)),)), Line("b", (Cell((0.5,), queries=(97,)),)))
    grid = Grid(title="T", about="x", columns=("t-MAP",), lines=(*lines, lines[0]))
    assert grid.remarks == ("Means over 100 queries, but over 97: b, t-MAP.",)
    grid = Grid(title="T", about="x", columns=("t-MAP",), lines=lines[:1])
    assert grid.remarks == ("Each number is the mean over 100 queries.",)


def test_markup_of_a_terminal_is_text():
    line = Line("[bold]a[/x]", (None,))
    table = Grid(title="[red]", about="[/y]", columns=("[c]",), lines=(line,)).rich()
    console = Console(file=io.StringIO(), width=60)
    console.print(table)
    printed = console.file.getvalue()
    assert all(text in printed for text in ("[bold]a[/x]", "[red]: [/y]", "[c]"))


def test_latex_of_every_sign():
    grid = Grid(title=r"a\b^c~d<e>", about="µ", columns=("x",), lines=())
    assert (
        r"\caption{a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\textless{}e"
        r"\textgreater{}: µ.}" in grid.latex()
    )


def test_latex():
    text = GRID.latex()
    assert r"\caption{T, 50\%: a\_b. A caption. $\pm$: standard deviation" in text
    assert r"a & 50.0 $\pm$ 35.4 (2) &  \\" in text
    assert r"x | y & c & d \& e \\" in text


def test_csv_is_unscaled():
    first, second = csv.DictReader(io.StringIO(GRID.csv()))
    assert (first["line"], first["column"], first["published"]) == ("a", "c", "no")
    assert float(first["mean"]) == 0.5
    assert float(first["deviation"]) == pytest.approx(0.35355339)
    assert (second["published"], second["mean"], second["n"]) == ("yes", "0.125", "1")


def test_a_standard_error_is_not_taken_for_a_deviation():
    one = Line("one", (Cell((0.25,), se=0.0125),))
    many = Line("many", (Cell((0.25, 0.75), se=None),))
    grid = Grid(title="T", about="a", columns=("c",), lines=(one,), scale=100.0, digits=1)
    assert grid.texts() == [["one", "25.0(12)"]]
    assert grid.remarks == (SE,)
    both = Grid(title="T", about="a", columns=("c",), lines=(one, many))
    assert both.remarks == (SE, DEVIATION)
    single, several = csv.DictReader(io.StringIO(both.csv()))
    assert (single["deviation"], single["se"]) == ("", "0.0125")
    assert several["se"] == ""
