"""Tables in every notation."""

import csv
import io

import pytest

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
